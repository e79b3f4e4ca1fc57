"""Short list of a run: selection, short trainings and evaluation; finished trainings are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from aebnas_bo.deploy.training_pipeline import Candidate
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.shortlist.contenders import Contender, Pool, pool_of
from aebnas_bo.shortlist.first_rung import first_rung
from aebnas_bo.shortlist.rungs import EpochsOf, RungResult, TrainShort, climb, equal_epochs
from aebnas_bo.shortlist.rungs_on_workers import RungsOnWorkers
from aebnas_bo.shortlist.short_training import ShortListContext, short_training
from aebnas_bo.shortlist.shortlist_table import write_shortlist
from aebnas_bo.space.plain_points import plain_points
from aebnas_bo.storage.count_text import counted
from aebnas_bo.storage.run_lock import RunLock


def read_pool(context: ShortListContext, goals: Sequence[TuningGoal]) -> Pool:
    """Return the networks of a run that may be on its short list.

    Args:
        context: The run.
        goals: Goals of threshold tuning.

    Raises:
        UsageError: If no trial was completed.
    """
    with TrialStore.open_read_only(context.folder.study) as store:
        objectives, trials = store.study.objectives, store.trials()
    plain = [context.problem.space.architecture(point) for point in plain_points(context.problem.space)]
    return pool_of(trials, context.problem.space, goals, objectives=objectives, plain=plain)


def run_shortlist(
    context: ShortListContext,
    pool: Pool,
    goals: Sequence[TuningGoal],
    *,
    train: TrainShort,
    progress: RunProgress,
    epochs_of: EpochsOf = equal_epochs,
) -> tuple[list[Contender], list[RungResult]]:
    """Train a short list and write `shortlist/shortlist.csv`; finished trainings are not repeated.

    Args:
        context: Run folder and problem.
        pool: The networks of the search.
        goals: Goals of threshold tuning.
        train: Function that trains one of them, see `short_training`.
        progress: Shows how the networks of the first rung were chosen.
        epochs_of: Epochs of each network of a rung; by default those of the rung.

    Returns:
        The winner for each goal, and all evaluations.

    Raises:
        CorruptStateError: If the stored choice of networks is damaged.
        RunFolderInUseError: If another process trains a short list of this run.
        TrainingDivergedError: If a training fails for good.
    """
    set_up_cpu(context.problem.config.num_threads)

    context.folder.shortlist.mkdir(parents=True, exist_ok=True)
    with RunLock(context.folder.shortlist):
        skeleton, settings = context.problem.space.skeleton, context.problem.config.shortlist
        if settings.choice == "surrogate":
            contenders = first_rung(context, pool, goals, train=train, epochs_of=epochs_of, progress=progress)
        else:
            contenders = pool.choose(settings.rungs[0][0])
        winners, rung_results = climb(
            contenders, goals, settings.rungs, skeleton=skeleton, train=train, epochs_of=epochs_of
        )
        write_shortlist(context.folder.shortlist, rung_results)
    return winners, rung_results


def shortlisted(candidate: Candidate, count: int | None, progress: RunProgress) -> tuple[Candidate, list[RungResult]]:
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
    context = ShortListContext(candidate.folder, candidate.problem.with_config(config))
    pool = read_pool(context, [candidate.goal])
    if len(pool.ranked) < count:
        progress.message(f"--shortlist {count}: the search found {counted(len(pool.ranked), 'network')} to choose from")
    train: TrainShort = partial(short_training, context, progress=progress)
    if config.execution.engine != "serial":
        train = RungsOnWorkers(context, progress)
    [winner], rung_results = run_shortlist(context, pool, [candidate.goal], train=train, progress=progress)
    return replace(candidate, observed=winner.observations[candidate.goal]), rung_results
