"""The first rung as the last rounds of the search: after its beginning, trainings decide which network is next."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.execution.cpu import one_thread
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.search.machine_failures import machine_failure
from aebnas_bo.shortlist.chosen_networks import ChosenNetworks
from aebnas_bo.shortlist.contenders import Contender, Pool
from aebnas_bo.shortlist.rungs import EpochsOf, TrainShort, TrainsTogether, TunedNetworks, tune
from aebnas_bo.shortlist.short_training import ShortListContext, networks_of
from aebnas_bo.shortlist.shortlist_table import goal_text
from aebnas_bo.space.architecture import content_key
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.storage.count_text import counted
from surrogates.errors import NoCandidateError

logger = logging.getLogger(__name__)

FEWEST_NETWORKS = 10  # with estimates; with fewer there is little to learn, and most of them are trained anyway


def first_rung(
    context: ShortListContext,
    pool: Pool,
    goals: Sequence[TuningGoal],
    *,
    train: TrainShort,
    epochs_of: EpochsOf,
    progress: RunProgress,
) -> list[Contender]:
    """Train the first rung and return its networks; all but its beginning are chosen from the trainings so far.

    One network is chosen at a time. If `train` can train networks at the same time, the beginning is trained together,
    and so is the rest, which is chosen at once. Choices are stored, and not made again. If the surrogate cannot choose,
    the best estimates follow.

    Args:
        context: Run folder and problem.
        pool: The networks of the search.
        goals: Goals of threshold tuning.
        train: Function for a short training; see `climb`.
        epochs_of: Epochs of each network of a rung.
        progress: Shows how the networks were chosen.

    Raises:
        CorruptStateError: If the stored choice is damaged.
        TrainingDivergedError: If a training fails for good.
        OutOfMemoryError: If memory runs out.
    """
    count, epochs = context.problem.config.shortlist.rungs[0]
    path, space = choice_path(context, pool, goals), context.problem.space
    length = min(count, len(pool.ranked))
    if reason := obstacle(pool, goals, space):
        if length < len(pool.ranked):
            progress.message(f"short list: chosen by estimates alone, because {reason}")
        return pool.choose(length)
    chosen = ChosenNetworks.read(path)
    begun = pool.beginning(goals, count)
    rung = [*begun, *chosen.networks(pool, path)]
    tables = _train_all(rung, epochs, train=train, epochs_of=epochs_of)
    while len(rung) < length and not chosen.failure:
        trained = {goal: [tune(one, tables[one.key], goal, skeleton=space.skeleton) for one in rung] for goal in goals}
        wanted = length - len(rung) if isinstance(train, TrainsTogether) else 1
        chosen = _choose(chosen, pool, trained, space=space, count=wanted)
        chosen.write(path)
        rung = [*begun, *chosen.networks(pool, path)]
        tables = _train_all(rung, epochs, train=train, epochs_of=epochs_of)
    if len(rung) < length:
        progress.message(f"short list: the best estimates complete it, because {chosen.failure}")
    rung = pool.by_estimates(length, rung)
    _train_all(rung, epochs, train=train, epochs_of=epochs_of)
    if chosen.correlation is not None:
        progress.message(correlation_text(chosen))
    return rung


def _choose(
    chosen: ChosenNetworks, pool: Pool, trained: TunedNetworks, *, space: NetworkSpace, count: int
) -> ChosenNetworks:
    """Return the choice with further networks, or with the reason why the surrogate cannot choose."""
    from aebnas_bo.shortlist.surrogate_choice import choose_by_surrogate  # noqa: PLC0415  it loads BoTorch

    try:
        with one_thread():
            found = choose_by_surrogate(pool, trained, space, count=count)
    except NoCandidateError:
        return chosen.model_copy(update={"failure": "every network within a budget is trained already"})
    except Exception as error:  # a short list must survive every numerical failure in a library
        if (failure := machine_failure(error)) is not None:
            raise failure from error
        logger.warning("no network was chosen by the surrogate (%s: %s)", type(error).__name__, error)
        return chosen.model_copy(update={"failure": f"the surrogate failed ({type(error).__name__}: {error})"})
    return chosen.model_copy(
        update={
            "keys": (*chosen.keys, *(pool.ranked[number].key for number in found.networks)),
            "trainings": len(next(iter(trained.values()))),
            "correlation": found.correlation,
        }
    )


def obstacle(pool: Pool, goals: Sequence[TuningGoal], space: NetworkSpace) -> str:
    """Return why the surrogate cannot choose networks; empty if it can.

    Args:
        pool: The networks of the search.
        goals: Goals of threshold tuning.
        space: The space.
    """
    if len(pool.ranked) < FEWEST_NETWORKS:
        return (
            f"the search found only {counted(len(pool.ranked), 'network')}, and the surrogate needs {FEWEST_NETWORKS}"
        )
    if others := [goal_text(goal) for goal in goals if goal.kind != "max_macs"]:
        return f"the surrogate compares accuracies within a limit of average MACs, and the goal is {others[0]}"
    if len(goals) > 1 and space.tunes_thresholds:
        return "the space has no thresholds, so networks have the same estimate for all budgets"
    return ""


def correlation_text(chosen: ChosenNetworks) -> str:
    """Return what the last model learned of estimates and short trainings."""
    return (
        f"estimates and {counted(chosen.trainings, 'short training')}: learned correlation {chosen.correlation:.2f}; "
        f"the surrogate chose {counted(len(chosen.keys), 'network')}"
    )


def choice_path(context: ShortListContext, pool: Pool, goals: Sequence[TuningGoal]) -> Path:
    """Return the file of the choice, which belongs to trials, goals, the first rung and its recipe.

    Args:
        context: Run folder and problem.
        pool: The networks of the search.
        goals: Goals of threshold tuning.
    """
    count, epochs = context.problem.config.shortlist.rungs[0]
    observed = [[*one.place, one.key, sorted(one.metrics.items())] for one in pool.observed]
    asked = [[goal.kind, goal.value] for goal in goals]
    listed = [one.key for one in pool.plain]
    identity = content_key([count, asked, networks_of(context, epochs).fingerprint, observed, listed])
    return context.folder.shortlist / "chosen" / f"{identity}.json"


def _train_all(
    rung: Sequence[Contender], epochs: int, *, train: TrainShort, epochs_of: EpochsOf
) -> dict[str, ExitTable]:
    """Train networks, at the same time if that is possible, and return their tables by key."""
    own = [(one, epochs_of(one, epochs)) for one in rung]
    if isinstance(train, TrainsTogether):
        train.train_all(own)
    return {one.key: train(one, its_epochs) for one, its_epochs in own}
