"""Short list of a run: selection, short trainings and evaluation; finished trainings are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from aebnas_bo.deploy.standalone import StandaloneNetworks
from aebnas_bo.deploy.training_pipeline import Candidate, final_recipe
from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.shortlist.contenders import Contender, choose_contenders
from aebnas_bo.shortlist.rungs import EpochsOf, Judgement, TrainShort, climb, equal_epochs
from aebnas_bo.shortlist.shortlist_table import write_shortlist
from aebnas_bo.space.plain_points import plain_points
from aebnas_bo.storage.count_text import counted
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.run_lock import RunLock


@dataclass(frozen=True)
class Ground:
    """Run folder and problem, shared by all short trainings of a run.

    Args:
        folder: The run folder, which stores tables in `shortlist/`.
        problem: Its images and space, and its configuration: rungs, recipe, seed.
    """

    folder: RunFolder
    problem: Problem


def choose_shortlist(ground: Ground, goals: Sequence[TuningGoal], count: int) -> list[Contender]:
    """Return the networks of the first rung of a short list.

    Args:
        ground: The run.
        goals: Goals of threshold tuning.
        count: Number of networks; fewer are returned if the search found fewer.

    Raises:
        UsageError: If no trial was completed.
    """
    with TrialStore.open_read_only(ground.folder.study) as store:
        objectives, trials = store.study.objectives, store.trials()
    plain = [ground.problem.space.architecture(point) for point in plain_points(ground.problem.space)]
    return choose_contenders(trials, ground.problem.space, goals, count=count, objectives=objectives, plain=plain)


def run_shortlist(
    ground: Ground,
    contenders: Sequence[Contender],
    goals: Sequence[TuningGoal],
    *,
    train: TrainShort,
    epochs_of: EpochsOf = equal_epochs,
) -> tuple[list[Contender], list[Judgement]]:
    """Train a short list and write `shortlist/shortlist.csv`; finished trainings are not repeated.

    Args:
        ground: Run folder and problem.
        contenders: The networks of the first rung.
        goals: Goals of threshold tuning.
        train: Function that trains one of them, see `short_training`.
        epochs_of: Epochs of each network of a rung; by default those of the rung.

    Returns:
        The winner for each goal, and all evaluations.

    Raises:
        RunFolderInUseError: If another process trains a short list of this run.
        TrainingDivergedError: If a training fails for good.
    """
    torch.set_num_threads(ground.problem.config.num_threads)

    ground.folder.shortlist.mkdir(parents=True, exist_ok=True)
    with RunLock(ground.folder.shortlist):
        skeleton, rungs = ground.problem.space.skeleton, ground.problem.config.shortlist.rungs
        winners, judgements = climb(contenders, goals, rungs, skeleton=skeleton, train=train, epochs_of=epochs_of)
        write_shortlist(ground.folder.shortlist, judgements)
    return winners, judgements


def shortlisted(candidate: Candidate, count: int | None, progress: RunProgress) -> tuple[Candidate, list[Judgement]]:
    """Train the most promising networks for a candidate's goal briefly and return the best one.

    Args:
        candidate: The selected network with its goal.
        count: Networks of the first rung; the other rungs have at most `count` networks. `None` trains no short list
            and returns the candidate.
        progress: Shows the epochs.

    Returns:
        The best network as a candidate, and all evaluations.

    Raises:
        RunFolderInUseError: If another process trains a short list of this run.
        TrainingDivergedError: If a training fails for good.
    """
    if count is None:
        return candidate, []
    (_, first_epochs), *others = candidate.problem.config.shortlist.rungs
    rungs = ((count, first_epochs), *((min(most, count), epochs) for most, epochs in others))
    shortlist = candidate.problem.config.shortlist.model_copy(update={"rungs": rungs})
    config = candidate.problem.config.model_copy(update={"shortlist": shortlist})
    ground = Ground(candidate.folder, candidate.problem.with_config(config))
    contenders = choose_shortlist(ground, [candidate.goal], count)
    if len(contenders) < count:
        progress.message(f"--shortlist {count}: the search found {counted(len(contenders), 'network')} to choose from")
    train = partial(short_training, ground, progress=progress)
    [winner], judgements = run_shortlist(ground, contenders, [candidate.goal], train=train)
    return replace(candidate, observed=winner.observations[candidate.goal]), judgements


def short_training(ground: Ground, contender: Contender, epochs: int, *, progress: RunProgress) -> ExitTable:
    """Train a network of a short list, if it is not trained yet, and return its exit table over the validation images.

    Args:
        ground: Folder, problem and settings of the study.
        contender: The network.
        epochs: Epochs of the training and of its learning-rate schedule.
        progress: Shows the epochs.

    Raises:
        TrainingDivergedError: If training fails for good.
    """
    networks = _networks(ground, epochs)
    known = networks.known_table(contender.architecture)
    if known is not None:
        return known
    stream = f"short/{contender.key}-{epochs}"
    progress.start(f"short training of {contender.key}, epochs", epochs, stream=stream)
    return networks.train(contender.architecture, progress.epoch, progress.step)


def is_begun(ground: Ground, contender: Contender, epochs: int) -> bool:
    """Return whether a short training is finished or has a checkpoint."""
    return _networks(ground, epochs).is_begun(contender.architecture)


def _networks(ground: Ground, epochs: int) -> StandaloneNetworks:
    problem = ground.problem
    recipe = final_recipe(problem).model_copy(update={"epochs": epochs})
    short = problem.with_config(problem.config.model_copy(update={"final_training": recipe}))
    folder = ground.folder.shortlist / f"{epochs}-epochs"
    return StandaloneNetworks(short, folder)
