"""Run of a study, step by step; each step is implemented in its own module."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from aebnas_bo.analysis.exit_columns import exit_columns
from aebnas_bo.analysis.front_correction import correct_front
from aebnas_bo.analysis.hypervolume import hypervolume
from aebnas_bo.analysis.pareto import pareto_front
from aebnas_bo.analysis.plots import plot_hypervolume, plot_pareto_front
from aebnas_bo.analysis.summary import SearchResult, Summary, write_summary
from aebnas_bo.analysis.supernet_check import plain_tau
from aebnas_bo.analysis.surrogate_report import write_surrogate_report
from aebnas_bo.analysis.tables import write_tables
from aebnas_bo.config.loading import dump_config
from aebnas_bo.config.schema import Config
from aebnas_bo.data.image_shape import ImageShape
from aebnas_bo.errors import ConfigError, CorruptStateError, UsageError
from aebnas_bo.estimation.estimator import Estimator
from aebnas_bo.estimation.exit_prices import ExitPrices
from aebnas_bo.estimation.latency import LatencyPrices
from aebnas_bo.estimation.supernet_estimator import SupernetEstimator
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.preparation.backbone_loading import check_weights
from aebnas_bo.preparation.consoles import PlainConsole
from aebnas_bo.preparation.fingerprints import supernet_fingerprint
from aebnas_bo.preparation.forecast import opening_lines
from aebnas_bo.preparation.latency_preparation import (
    check_latencies,
    given_table,
    key_of,
    known_costs_of,
    prepare_latencies,
)
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.preparation.supernet_preparation import make_estimator, prepare_supernet
from aebnas_bo.search.first_points import FirstPoints
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.search_loop import run_search
from aebnas_bo.search.strategy import Strategy
from aebnas_bo.search.strategy_registry import check_strategy, make_strategy
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.shortlist.budgets import first_points_of
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.search_space import SearchSpace
from aebnas_bo.storage.atomic_files import replacing, write_text
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.run_lock import RunLock
from aebnas_bo.storage.shared_study import SharedStudy
from aebnas_bo.study.edited_config import replace_config
from aebnas_bo.study.study_objectives import check_limits, make_objectives, metrics_text
from aebnas_bo.study.workers import check_workers, evaluation_of
from aebnas_bo.tracking.watcher import SearchState

MakeStrategy = Callable[[SearchSpace, Sequence[Objective]], Strategy]
"""Function that constructs a strategy from a space and its objectives, such as a class with this constructor."""


@dataclass(frozen=True)
class PreparedStudy:
    """Inputs of a search loop, ours or a user's.

    Args:
        problem: Images, space and configuration.
        estimator: Estimator of points.
        objectives: Accuracy, average MACs and, if configured, average latency, with their reference point.
        known_costs: Costs that can be computed for every point; empty without continuous thresholds.
        supernet_source: Source of the supernet: `run folder`, `cache` or `trained`; `none` without a supernet.
    """

    problem: Problem
    estimator: Estimator
    objectives: tuple[Objective, ...]
    known_costs: tuple[ExitPrices, ...]
    supernet_source: str

    @property
    def space(self) -> NetworkSpace:
        """The network space."""
        return self.problem.space


@dataclass
class _Clock:
    """Timer of the seconds spent in each phase."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def prepare_study(config: Config, progress: RunProgress | None = None) -> PreparedStudy:
    """Load the images and prepare the supernet, from the cache if possible, without a run folder.

    Args:
        config: The configuration.
        progress: Shows supernet training; by default nothing is shown.

    Raises:
        AebnasError: If a step fails.
    """
    progress = progress or RunProgress(PlainConsole(stderr=True), quiet=True)
    set_up_cpu(config.num_threads)
    problem = Problem.load(config)
    return _prepare(problem, None, progress, latencies=prepare_latencies(problem, None, progress))


def run_study(
    problem: Problem,
    folder: RunFolder,
    progress: RunProgress,
    *,
    resume: bool = False,
    is_time_up: Callable[[], bool] = lambda: False,
    make: MakeStrategy | None = None,
) -> Summary:
    """Run or resume a study and write all files of its folder.

    Args:
        problem: The search problem; on `resume` its configuration must be one that `resumed_config` allows.
        folder: The run folder.
        progress: Progress display.
        resume: Whether the folder may hold a study.
        is_time_up: Called before each batch of trials; when it returns true, the search ends and the number of trials
            done becomes its budget.
        make: Constructs the strategy from space and objectives; `None` takes the one that `search.strategy` names.

    Returns:
        The figures of `summary.json`.

    Raises:
        AebnasError: If a step fails. Finished results are stored, and exported unless storage or memory failed.
    """
    config = problem.config
    check_given(problem, make)
    check_workers(problem)
    clock = _Clock({"data": problem.load_s})
    if not folder.holds_study:
        given_table(config, problem.space)
        check_weights(problem.space.declaration.backbone)  # the last check before files are created
    folder.create()
    with RunLock(folder.path):
        if folder.holds_study and not resume:
            raise UsageError(f"{folder.path} already holds a study; add --resume to resume it")
        set_up_cpu(config.num_threads)
        for line in opening_lines(problem):
            progress.message(line)
        with clock.phase("latencies" if config.search.has_latency else "data"):
            latencies = prepare_latencies(problem, folder, progress)
        with _open_store(problem, folder, latencies) as store, store.proposer_lock():
            with clock.phase("supernet" if problem.estimator is None else "data"):
                study = _prepare(problem, folder, progress, latencies=latencies)
            try:
                with clock.phase("search"):
                    trials = _search(study, store, progress, is_time_up=is_time_up, make=make)
                config = _ended(config, len(trials), store=store, folder=folder)
            except (OSError, MemoryError):
                raise  # tables could not be written either; the resumed run writes them
            except BaseException:
                _export(config, folder, study, store=store, seconds=clock.seconds)
                raise
            with clock.phase("export"):
                summary = _export(config, folder, study, store=store, seconds=clock.seconds)
                progress.watcher.picture("front", len(trials), folder.front_figure)
                return summary


def check_given(problem: Problem, make: MakeStrategy | None) -> None:
    """Check that the objects from Python match the configuration.

    Args:
        problem: The search problem.
        make: Constructs the strategy; `None` takes the one that `search.strategy` names.

    Raises:
        ConfigError: If an object is missing, or was not passed when the study was created.
    """
    if make is None:
        check_strategy(problem.config.search)
    if ("given" in problem.config.search.objectives) != (problem.objective is not None):
        raise ConfigError(
            "search.objectives: given stands for an objective from Python; pass it to Study.create(objective=...) or "
            "Study.open(folder, objective=...), or remove given from the list"
        )
    check_limits(problem)
    wanted, given = problem.config.estimation.estimator, problem.estimator
    if given is None and wanted is not None:
        raise ConfigError(
            f"estimation.estimator: {wanted} is an estimator passed from Python; open the study there, with the "
            "same estimator: aebnas_bo.Study.open(folder, estimator=...)"
        )
    if given is not None and given.name != wanted:
        before = f"the estimator {wanted}" if wanted is not None else "a supernet"
        raise ConfigError(
            f"estimation.estimator: this study uses {before}, which cannot be changed to {given.name}; open it with "
            "the arguments it was created with, or create another study"
        )


def _prepare(
    problem: Problem, folder: RunFolder | None, progress: RunProgress, *, latencies: LatencyPrices | None
) -> PreparedStudy:
    objectives = make_objectives(problem, latencies)
    if problem.estimator is not None:
        progress.message(f"estimator: {problem.estimator.name}, passed from Python; no supernet is trained")
        return PreparedStudy(problem, problem.estimator, objectives, known_costs=(), supernet_source="none")
    supernet, source = prepare_supernet(problem, folder, progress)
    progress.message(f"supernet: {source}")
    return PreparedStudy(
        problem=problem,
        estimator=make_estimator(problem, supernet, folder, latencies=latencies),
        objectives=objectives,
        known_costs=known_costs_of(problem.space, latencies),
        supernet_source=source,
    )


def _open_store(problem: Problem, folder: RunFolder, latencies: LatencyPrices | None) -> TrialStore:
    """Open the folder's study, or create it; on creation the configuration is written first and the study last."""
    config = problem.config
    fingerprint = supernet_fingerprint(config, problem.splits.data_hash)
    if folder.holds_study:
        store = TrialStore.open(folder.study)
        if store.study.fingerprint != fingerprint:
            raise CorruptStateError(
                f"{folder.path}: the images or this program changed since the study began; start another run folder"
            )
        check_latencies(latencies, store.study.latencies, folder)
        stored, wanted = store.study.objectives, make_objectives(problem, latencies)
        if [(one.name, one.is_constraint) for one in stored] != [(one.name, one.is_constraint) for one in wanted]:
            raise ConfigError(
                f"{folder.path}: the study has {metrics_text(stored)}, which cannot be changed to "
                f"{metrics_text(wanted)}; pass the objective that it was created with"
            )
        replace_config(config, store, folder)
        return store
    if config.time_budget is None:
        folder.time_plan.unlink(missing_ok=True)  # left by a run that stopped before its study was created
    write_text(folder.config, dump_config(config))
    if problem.estimator is not None:
        ImageShape(channels=problem.splits.in_channels, classes=problem.splits.num_classes).write(folder.images)
    objectives = make_objectives(problem, latencies)
    record = StudyRecord(config.name, config.seed, fingerprint, dump_config(config), objectives, key_of(latencies))
    if config.storage is None:
        with replacing(folder.study_file) as temporary, TrialStore.create(temporary, record):
            pass  # a killed process leaves a complete study or none
    else:
        with TrialStore.create(config.storage, record) as created:
            if isinstance(created.place, SharedStudy):
                created.place.write(folder.shared_study_file)
    return TrialStore.open(folder.study)


def _ended(config: Config, num_trials: int, *, store: TrialStore, folder: RunFolder) -> Config:
    """Return the configuration with the number of trials as its budget, after a search ended by its time limit."""
    if num_trials >= config.search.budget:
        return config
    config = config.model_copy(update={"search": config.search.model_copy(update={"budget": num_trials})})
    replace_config(config, store, folder)
    return config


def _search(
    study: PreparedStudy,
    store: TrialStore,
    progress: RunProgress,
    *,
    is_time_up: Callable[[], bool],
    make: MakeStrategy | None,
) -> list[Trial]:
    config, objectives = study.problem.config, store.study.objectives
    # Set explicitly, so that the design has the size that tables and figures assume.
    settings = config.search.model_copy(update={"design_trials": config.search.design_trials})
    if make is not None:
        strategy = make(study.space.search_space, objectives)
    else:
        strategy = make_strategy(
            study.space.search_space, objectives, settings, seed=config.seed, known_costs=study.known_costs
        )
    if make is None:
        strategy = FirstPoints(first_points_of(study.problem), strategy)

    limited = any(objective.limit is not None for objective in objectives)

    def show(trials: Sequence[Trial]) -> None:
        area, front = hypervolume(trials, objectives, has_settings=True), pareto_front(trials, objectives)
        failed = sum(trial.status == "FAILED" for trial in trials)
        found = f"hypervolume {area:.3f}  front {len(front)}" if front or not limited else "no feasible network yet"
        progress.trials(trials, f"{found}  failed {failed}")
        progress.watcher.search(SearchState(trials, objectives, config.search.design_trials, hypervolume=area))

    stored = store.trials()
    num_finished = sum(trial.status != "RUNNING" for trial in stored)
    progress.start("trials", max(config.search.budget, len(stored)), num_finished)
    with evaluation_of(study.problem, study.estimator, objectives, progress=progress) as evaluation:
        return run_search(store, strategy, evaluation, settings=config.search, on_trial=show, is_time_up=is_time_up)


def _export(
    config: Config, folder: RunFolder, study: PreparedStudy, *, store: TrialStore, seconds: dict[str, float]
) -> Summary:
    trials, objectives = store.trials(), store.study.objectives
    names = study.space.search_space.names
    exit_names = exit_columns(study.space, config.estimation.temperature_scaling)
    result = SearchResult(trials, objectives)
    if isinstance(study.estimator, SupernetEstimator):
        table_of = study.estimator.exit_table
        correction = correct_front(trials, objectives, study.space, table_of=table_of, seed=config.seed)
        result = SearchResult(trials, objectives, correction, plain_tau(trials, study.space))
    corrected = result.correction.points if result.correction is not None else None
    write_tables(folder.path, trials, objectives, parameter_names=names, exit_names=exit_names, corrected=corrected)
    write_surrogate_report(
        folder.path / "surrogate.csv",
        trials,
        space=study.space.search_space,
        objectives=objectives,
        known_costs=study.known_costs,
    )
    design = config.search.design_trials
    plot_hypervolume(folder.path / "hypervolume.png", trials, objectives, design_trials=design)
    plot_pareto_front(folder.front_figure, trials, objectives, design_trials=design)
    return write_summary(
        folder.summary, config, study.problem.splits, result=result, supernet_source=study.supernet_source,
        seconds=seconds,
    )  # fmt: skip
