"""Python interface: studies and trained networks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from plotly.io import from_json as plotly_figure

from aebnas_bo.analysis.exit_columns import exit_figures
from aebnas_bo.analysis.pareto import pareto_front
from aebnas_bo.analysis.selection import parse_selection
from aebnas_bo.config.effects import BY_OPTION, settings_with
from aebnas_bo.config.loading import dump_config, load_config, parse_config
from aebnas_bo.config.schema import Config
from aebnas_bo.data.datasets import given_splits
from aebnas_bo.data.given_images import Arrays, ImageDataset
from aebnas_bo.data.splits import Splits
from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.export import export_network
from aebnas_bo.deploy.export_formats import check_formats
from aebnas_bo.deploy.exported_files import NETWORK_FILE
from aebnas_bo.deploy.front_with_trained import draw_front, trained_points
from aebnas_bo.deploy.runtime import Pictures, Predictions, load
from aebnas_bo.deploy.training_folders import trained_networks, training_folder
from aebnas_bo.deploy.training_pipeline import choose_candidate, train_candidate, training_of
from aebnas_bo.errors import UsageError
from aebnas_bo.estimation.cost_objective import CostObjective, check_cost
from aebnas_bo.estimation.estimator import Estimator
from aebnas_bo.estimation.given_estimator import GivenEstimator, MakeEstimator, given_estimator
from aebnas_bo.preparation.consoles import PlainConsole
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import OnEpoch, OnTrial, RunProgress
from aebnas_bo.report.contents import gather
from aebnas_bo.report.page import write_report
from aebnas_bo.report.report_figures import MarkedNetworks, front_figure
from aebnas_bo.report.stored_run import read_run
from aebnas_bo.search.trial import Trial, observations
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.shortlist.shortlist_study import shortlisted
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.storage.count_text import counted
from aebnas_bo.storage.run_folder import RunFolder, choose_run_folder
from aebnas_bo.study.duration import parse_minutes
from aebnas_bo.study.resuming import given_config, resumed_config
from aebnas_bo.study.running import MakeStrategy, run_study
from aebnas_bo.study.timed_run import planned_settings, run_in_time
from aebnas_bo.tracking.watching import watching

if TYPE_CHECKING:
    import pandas as pd
    from plotly import graph_objects as go

Images = ImageDataset | Arrays


@dataclass(frozen=True)
class TrainedNetwork:
    """Fully trained network.

    Args:
        folder: Folder of its weights.
        description: Architecture, thresholds, and figures on validation and test images.
    """

    folder: Path
    description: NetworkDescription

    def export(self, format: str, out: str | Path) -> Path:
        """Write the network to a file that runs without the study.

        Args:
            format: `torch`, `onnx`, `onnx-segments` or `torch-export`.
            out: Folder to write to.

        Returns:
            Path to pass to `aebnas_bo.load`.

        Raises:
            UsageError: If the format is unknown, or a package that it needs is not installed.
        """
        [known] = check_formats([format])
        return export_network(self.folder / NETWORK_FILE, known, Path(out))

    def predict(self, images: Pictures) -> Predictions:
        """Classify images.

        Args:
            images: Array or tensor `N x C x S x S`, uint8 or floats in [0, 1], or pictures and paths of pictures of any
                size.

        Raises:
            DataError: If images have a wrong size, type or range.
        """
        return load(self.folder / NETWORK_FILE).predict(images)


class Study:
    """Search in a run folder.

    Construct it with `Study.create` or `Study.open`. Iterating over a study yields its trials.
    """

    def __init__(self, folder: RunFolder, problem: Problem, make: MakeStrategy | None = None) -> None:
        self._folder = folder
        self._problem = problem
        self._make = make

    @classmethod
    def create(
        cls,
        config: str | Path | Config | None = None,
        folder: str | Path | None = None,
        *,
        overrides: Sequence[str] = (),
        train: Images | None = None,
        test: Images | None = None,
        strategy: MakeStrategy | None = None,
        objective: CostObjective | None = None,
        estimator: Estimator | MakeEstimator | None = None,
    ) -> Self:
        """Load the images and prepare a new study; this trains nothing and creates only the folder.

        Args:
            config: YAML file, or a configuration; `None` for scikit-learn's digits.
            folder: Run folder; by default a new one below `runs/`.
            overrides: `section.key=value` strings, as for `--set`.
            train: Training images, used instead of those that the configuration names.
            test: Test images; `None` takes some of the training images.
            strategy: Function that constructs the search strategy from space and objectives, such as a class with this
                constructor; by default the strategy that `search.strategy` names.
            objective: Additional cost to minimise.
            estimator: Estimator to use instead of a supernet: an estimator of the study's space, or a function that
                constructs one from the space, such as its class.

        Raises:
            ConfigError: If the configuration, the objective or the estimator is wrong.
            DataError: If the images cannot be read.
            UsageError: If the folder holds a study.
        """
        given = [*overrides, *(["search.strategy=given"] if strategy is not None else [])]
        if objective is not None:
            check_cost(objective)
            listed = _configured(config, given).search.objectives
            given.append(f"search.objectives={json.dumps(list(dict.fromkeys([*listed, 'given'])))}")
        if train is None:
            problem = Problem.load(_configured(config, given))
        else:
            problem = _given_problem(config, given, train=train, test=test)
        if estimator is not None:
            problem = _judged_by(problem, given_estimator(estimator, problem.space))
        chosen = choose_run_folder(
            Path(folder) if folder is not None else None, f"{problem.config.name}-seed{problem.config.seed}", False
        )
        return cls(chosen, replace(problem, objective=objective), strategy)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        overrides: Sequence[str] = (),
        train: Images | None = None,
        test: Images | None = None,
        strategy: MakeStrategy | None = None,
        objective: CostObjective | None = None,
        estimator: Estimator | MakeEstimator | None = None,
    ) -> Self:
        """Open a study to inspect or resume it.

        Args:
            folder: Its run folder.
            overrides: `section.key=value` strings for settings that resuming may change, such as `search.budget=300`.
            train: Training images, if the study was created with images passed from Python.
            test: Test images, if the study was created with test images passed from Python.
            strategy: The strategy, if the study was created with one passed from Python.
            objective: The objective, if the study was created with one passed from Python.
            estimator: The estimator, if the study was created with one passed from Python.

        Raises:
            UsageError: If the folder holds no study.
            ConfigError: If a setting can no longer be changed, or the estimator belongs to another space.
            DataError: If the images cannot be read.
        """
        where = RunFolder(Path(folder))
        if not where.holds_study:
            raise UsageError(f"{folder}: holds no study; create one with Study.create")
        config = resumed_config(where.study, given_config(where, None, overrides), has_file=False, options=overrides)
        problem = Problem.load(config) if train is None else Problem.of(config, given_splits(train, test, config.data))
        made = None if estimator is None else given_estimator(estimator, problem.space)
        return cls(where, replace(problem, objective=objective, estimator=made), strategy)

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self._folder.path

    @property
    def config(self) -> Config:
        """The configuration."""
        return self._problem.config

    @property
    def space(self) -> NetworkSpace:
        """The network space."""
        return self._problem.space

    @property
    def trials(self) -> list[Trial]:
        """All trials so far."""
        if not self._folder.holds_study:
            return []
        with TrialStore.open_read_only(self._folder.study) as store:
            return store.trials()

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.trials)

    def __len__(self) -> int:
        return len(self.trials)

    @property
    def front(self) -> pd.DataFrame:
        """The Pareto front as a table: metrics in natural units, their standard errors, exit rates and parameters."""
        import pandas as pd  # noqa: PLC0415  Ax brings it; the command line does without

        front = []
        if self._folder.holds_study:
            with TrialStore.open_read_only(self._folder.study) as store:
                front = pareto_front(store.trials(), store.study.objectives)
        rows = [
            {
                "key": one.key,
                **one.metrics,
                **{f"{name}_sem": value for name, value in one.sems.items()},
                **exit_figures(one),
                **one.parameters,
            }
            for one in front
        ]
        return pd.DataFrame(rows, columns=None if rows else ["key", "accuracy", "average_macs"])

    @property
    def networks(self) -> list[TrainedNetwork]:
        """The fully trained networks."""
        return [TrainedNetwork(one.folder, one.description) for one in trained_networks(self._folder)]

    def run(
        self,
        budget: int | None = None,
        *,
        time_budget: str | None = None,
        quiet: bool = False,
        on_trial: OnTrial | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> Self:
        """Start or resume the search; finished work is not repeated.

        Args:
            budget: Total number of trials; by default `search.budget`.
            time_budget: Total time, such as `30m`, for the search and the final training of the best networks.
            quiet: Whether to hide progress.
            on_trial: Called with every finished trial.
            on_epoch: Called with the name of the training and its `EpochReport` after every epoch.

        Raises:
            ConfigError: If the budget is invalid, or differs from the time budget of a study that has started.
            AebnasError: If a step fails; finished results are stored.
        """
        config = self.config
        if budget is not None:
            config = _configured(config, [f"search.budget={budget}"])
        if time_budget is not None:
            config = config.model_copy(update={"time_budget": parse_minutes(time_budget)})
        if self._folder.holds_study:
            config, _ = planned_settings(config, self._folder, ())
            options = settings_with(BY_OPTION)  # treat every such setting as given by an option
            config = resumed_config(self._folder.study, config, has_file=True, options=options)
        self._problem = self._problem.with_config(config)
        with (
            self._progress(quiet, on_trial, on_epoch) as progress,
            watching(config, self._folder) as progress.watcher,
        ):
            if config.time_budget is None:
                run_study(self._problem, self._folder, progress, resume=True, make=self._make)
            else:
                run_in_time(self._problem, self._folder, progress, resume=True, make=self._make)
        draw_front(self._folder)
        return self

    def train(
        self,
        selection: str = "knee",
        *,
        seed: int | None = None,
        shortlist: int | None = None,
        overrides: Sequence[str] = (),
        quiet: bool = False,
        on_epoch: OnEpoch | None = None,
    ) -> TrainedNetwork:
        """Train a network fully, tune its thresholds and measure it on the test images.

        Args:
            selection: `knee`, `best-accuracy`, `macs<=X` (millions), `latency<=X` (milliseconds), `accuracy>=Y`
                (percent) or the key of a network.
            seed: Seed of the training; by default the study's.
            shortlist: Number of promising networks to train briefly first; the best of them is trained fully.
            overrides: `final_training.key=value` strings.
            quiet: Whether to hide progress.
            on_epoch: See `run`.

        Raises:
            UsageError: If no network meets the selection.
            AebnasError: If training fails.
        """
        candidate = choose_candidate(self._folder, parse_selection(selection), overrides, splits=self._problem.splits)
        with (
            self._progress(quiet, None, on_epoch) as progress,
            watching(candidate.problem.config, self._folder) as progress.watcher,
        ):
            candidate, _ = shortlisted(candidate, shortlist, progress)
            chosen = candidate.problem.config.seed if seed is None else seed
            description = train_candidate(candidate, chosen, is_again=False, progress=progress)
        draw_front(self._folder)
        return TrainedNetwork(training_folder(self._folder, training_of(candidate, chosen)), description)

    def plot_front(self) -> go.Figure:
        """Plot the front, all trials and trained networks as a plotly figure.

        Raises:
            UsageError: If no trial is completed.
        """
        trials = self.trials
        observed = observations(trials)
        if not observed:
            raise UsageError(f"{self.folder}: no trial is completed; search first, with Study.run")
        with TrialStore.open_read_only(self._folder.study) as store:
            objectives = store.study.objectives
        drawn = front_figure(
            observed, pareto_front(trials, objectives), objectives, right=objectives[1],
            design_trials=self.config.search.design_trials,
            marked=MarkedNetworks(trained=trained_points(self._folder)),
        )  # fmt: skip
        return plotly_figure(drawn.json)

    def report(self, out: str | Path | None = None) -> Path:
        """Write the results as one HTML page.

        Args:
            out: File to write; by default `report.html` in the run folder.

        Raises:
            CorruptStateError: If a file of the run is damaged.
        """
        return write_report(gather(read_run(self._folder)), Path(out) if out is not None else None)

    def _repr_html_(self) -> str:
        """Return the front as an HTML table for notebooks."""
        return str(self.front.to_html())

    def __repr__(self) -> str:
        return f"Study({str(self.folder)!r}, {counted(len(self), 'trial')})"

    def _progress(self, quiet: bool, on_trial: OnTrial | None, on_epoch: OnEpoch | None) -> RunProgress:
        return RunProgress(PlainConsole(stderr=True), quiet, on_trial=on_trial, on_epoch=on_epoch)


def _configured(config: str | Path | Config | None, overrides: Sequence[str]) -> Config:
    if isinstance(config, Config):
        return parse_config(dump_config(config), "configuration", overrides) if overrides else config
    return load_config(Path(config) if config is not None else None, overrides)


def _judged_by(problem: Problem, estimator: GivenEstimator) -> Problem:
    """Return the problem with a user's estimator and its name in the configuration."""
    estimation = problem.config.estimation.model_copy(update={"estimator": estimator.name})
    config = problem.config.model_copy(update={"estimation": estimation})
    return replace(problem.with_config(config), estimator=estimator)


def _given_problem(
    config: str | Path | Config | None, overrides: Sequence[str], *, train: Images, test: Images | None
) -> Problem:
    """Construct the problem for images passed from Python, with a space that suits their size."""
    started = time.perf_counter()
    settings = ["data.dataset=given", "data.root=null", *overrides]
    splits: Splits = given_splits(train, test, _configured(config, settings).data)
    size = [f"data.image_size={splits.image_size}"]
    problem = Problem.of(_configured(config, [*size, *settings]), splits)
    return replace(problem, load_s=time.perf_counter() - started)
