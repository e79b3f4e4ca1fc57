"""Contents of a report, collected from a run folder."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from aebnas_bo.analysis.front_table import limits_text
from aebnas_bo.analysis.hypervolume import hypervolume
from aebnas_bo.analysis.pareto import nearest_to_admissible, pareto_front
from aebnas_bo.analysis.selection import COSTS, Selection, select
from aebnas_bo.analysis.summary import Summary, corrected_accuracies, read_summary
from aebnas_bo.analysis.surrogate_report import SurrogateReport, surrogate_reports
from aebnas_bo.analysis.trained_point import TrainedPoint
from aebnas_bo.data.image_shape import ImageShape
from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.front_with_trained import had_brief_search, trained_points
from aebnas_bo.deploy.looks_at_test_images import known_looks
from aebnas_bo.deploy.training_folders import plain_networks, trained_networks
from aebnas_bo.errors import CorruptStateError, first_problem
from aebnas_bo.estimation.exit_prices import ExitPrices
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.preparation.latency_preparation import check_latencies, known_costs_of, stored_latencies
from aebnas_bo.preparation.supernet_preparation import table_store
from aebnas_bo.report.gene_effects import GeneEffects, gene_effects
from aebnas_bo.report.networks import ShownNetwork, show_network
from aebnas_bo.report.stored_run import StoredRun
from aebnas_bo.search.objectives import optimized
from aebnas_bo.search.trial import Observation, Place, observations
from aebnas_bo.search.trial_check import check_points
from aebnas_bo.space.macs import exit_costs, millions
from aebnas_bo.space.network_space import NetworkSpace, threshold_name
from aebnas_bo.storage.run_folder import RunFolder, resume_command
from aebnas_bo.supernet.supernet_file import images_of_supernet

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LargestClass:
    """Most frequent class of a split.

    Args:
        name: Its name.
        accuracy: Accuracy of always predicting it, in percent.
    """

    name: str
    accuracy: float


@dataclass(frozen=True)
class DataFacts:
    """Facts about the images from `summary.json`.

    Args:
        dataset: Name of the data set.
        hash: Hash over all splits.
        classes: Names of the classes.
        images: Number of images of each split.
        chance_accuracy: Chance accuracy in percent; `None` in folders of earlier versions.
        largest_class: Most frequent class of the validation and of the test images; `None` in folders of earlier
            versions.
    """

    dataset: str
    hash: str
    classes: tuple[str, ...]
    images: Mapping[str, int]
    chance_accuracy: float | None = None
    largest_class: Mapping[str, LargestClass] | None = None


@dataclass(frozen=True)
class Networks:
    """Networks of a study with at least one completed trial.

    Args:
        space: The network space.
        observed: All observations.
        front: The feasible non-dominated observations, cheapest first.
        hypervolume: Hypervolume of the front.
        chosen: Networks shown in detail.
        largest_macs: MACs of the largest network without exits, in millions.
        limits: Text on how the limits of the search are met; empty without limits.
        effects: Effects of the parameters; `None` if too few networks are evaluated.
        surrogates: Report of the surrogate of each metric; empty if they could not be fitted.
        original: A given backbone without exits; `None` if it was not evaluated, or the backbone is searched.
    """

    space: NetworkSpace
    observed: tuple[Observation, ...]
    front: tuple[Observation, ...]
    hypervolume: float
    chosen: tuple[ShownNetwork, ...]
    largest_macs: float
    limits: str
    effects: GeneEffects | None
    surrogates: tuple[SurrogateReport, ...]
    original: Observation | None = None


@dataclass(frozen=True)
class Contents:
    """Contents of a report.

    Args:
        run: The stored run.
        networks: Evaluated networks; `None` until a trial is completed, and after a brief search if none is selected.
        summary: Summary that the latest call wrote at its end; `None` before the first.
        data: Facts about the images, from the summary.
        trained: Fully trained networks.
        plain: Plain networks that were trained by the same recipe.
        points: Points of all trained networks on the validation images, including short lists.
        test_looks: Number of networks measured on the test images, counting seeds, recipes and thresholds.
        is_brief: Whether the search was brief, so that its estimates do not rank networks.
    """

    run: StoredRun
    networks: Networks | None
    summary: Summary | None = None
    data: DataFacts | None = None
    trained: tuple[NetworkDescription, ...] = field(default=())
    plain: tuple[NetworkDescription, ...] = field(default=())
    points: tuple[TrainedPoint, ...] = field(default=())
    test_looks: int = 0
    is_brief: bool = False

    @property
    def corrected(self) -> Mapping[Place, float]:
        """Corrected accuracy of the points of the front, by place."""
        return {} if self.summary is None else corrected_accuracies(self.summary)


def gather(run: StoredRun, selections: Sequence[Selection] = ()) -> Contents:
    """Collect the contents of a report.

    Args:
        run: The run.
        selections: Networks to show in detail; by default the knee, the most accurate network and, if the search has a
            limit of MACs, the most accurate network within it.

    Raises:
        UsageError: If no network meets a given selection.
        CorruptStateError: If a file of the run is damaged or missing.
    """
    set_up_cpu(run.config.num_threads)
    summary, is_brief = _fitting_summary(run), had_brief_search(run.folder)
    has_networks = bool(observations(run.trials)) and (bool(selections) or not is_brief)
    return Contents(
        run=run,
        networks=_networks(run, selections) if has_networks else None,
        summary=summary,
        data=_data_facts(run.folder, summary) if summary is not None else None,
        trained=tuple(one.description for one in trained_networks(run.folder)),
        plain=tuple(one.description for one in plain_networks(run.folder)),
        points=tuple(trained_points(run.folder)),
        test_looks=len(known_looks(run.folder)),
        is_brief=is_brief,
    )


def _fitting_summary(run: StoredRun) -> Summary | None:
    """Return the summary, or `None` if there is none or it describes other trials than the database holds."""
    if not run.folder.summary.exists():
        return None
    summary = read_summary(run.folder.summary)
    number, there = sum(summary.trials.values()), len(run.trials)
    volume = hypervolume(run.trials, run.study.objectives) if number == there else summary.hypervolume
    if number <= there and math.isclose(volume, summary.hypervolume, rel_tol=1e-6, abs_tol=1e-9):
        return summary
    logger.warning(
        "%s describes other trials than %s: rows were removed, or a file was copied from another run. Its figures are "
        "left out; %s writes it again",
        run.folder.summary, run.folder.study, resume_command(run.folder),
    )  # fmt: skip
    return None


def _networks(run: StoredRun, selections: Sequence[Selection]) -> Networks:
    space = _space(run)
    _check_networks(run, space)
    objectives = run.study.objectives
    known_costs: tuple[ExitPrices, ...] = ()
    if run.config.estimation.estimator is None:
        latencies = stored_latencies(run.config, space, run.folder)
        check_latencies(latencies, run.study.latencies, run.folder)
        known_costs = known_costs_of(space, latencies)
    largest = exit_costs(space.largest_without_exits, space.skeleton).cumulative[-1]
    return Networks(
        space=space,
        observed=tuple(observations(run.trials)),
        front=tuple(pareto_front(run.trials, objectives)),
        hypervolume=hypervolume(run.trials, objectives, has_settings=True),
        chosen=_chosen(run, space, selections),
        largest_macs=millions(largest),
        limits=limits_text(run.trials, objectives),
        effects=gene_effects(run.trials, space.search_space, optimized(objectives)),
        surrogates=surrogate_reports(run.trials, space.search_space, objectives, known_costs=known_costs),
        original=_original(run, space),
    )


def _original(run: StoredRun, space: NetworkSpace) -> Observation | None:
    """Return the observation of a given backbone without exits."""
    if space.skeleton.given is None:
        return None
    key = space.largest_without_exits.key
    return next((one for one in observations(run.trials) if one.key == key), None)


def _space(run: StoredRun) -> NetworkSpace:
    """Return the network space of a run without loading its images."""
    if run.config.estimation.estimator is not None:
        shape = ImageShape.read(run.folder.images)
        return NetworkSpace(run.config.space, shape.channels, shape.classes)
    backbone = run.config.space.backbone
    if backbone is not None and backbone.found is not None:
        return NetworkSpace(run.config.space, backbone.found.in_channels, backbone.found.num_classes)
    if not run.has_supernet:
        raise CorruptStateError(
            f"{run.folder.supernet} is missing, which holds the shape of the images; "
            f"{resume_command(run.folder)} trains it again"
        )
    return NetworkSpace(run.config.space, *images_of_supernet(run.folder.supernet, run.study.fingerprint))


def _check_networks(run: StoredRun, space: NetworkSpace) -> None:
    """Check that the trials of a study belong to its space."""
    check_points(run.trials, space.search_space, run.folder.study)
    is_given = (
        run.config.estimation.estimator is not None
    )  # a user's estimator has its own keys and may leave out exit rates
    for one in observations(run.trials):
        architecture, rates = space.architecture(one.parameters), one.point.exit_rates
        problems = [f"rate of {name}: missing" for name in space.output_names if name not in rates]
        problems = [] if is_given and not rates else problems
        named = {threshold_name(position) for position in architecture.active_exits}
        problems += [f"{name}: no such threshold" for name in one.point.thresholds if name not in named]
        if architecture.key != one.key and not is_given:
            problems.append(f"its parameters are those of network {architecture.key}, not of {one.key}")
        if problems:
            raise CorruptStateError(
                f"{run.folder.study} is damaged: trial {one.number} does not belong to its space "
                f"({'; '.join(problems)}); restore it from a copy, or start another run folder"
            )


def _chosen(run: StoredRun, space: NetworkSpace, selections: Sequence[Selection]) -> tuple[ShownNetwork, ...]:
    titles: dict[Place, list[str]] = {}
    chosen: dict[Place, Observation] = {}
    for title, one in _selected(run, selections):
        chosen[one.place] = one
        titles.setdefault(one.place, []).append(title)
    tables = table_store(run.folder, run.study.fingerprint, run.config.estimation)
    shown = []
    for place, one in chosen.items():
        measured = tables.load(one.key)
        title = " and ".join(titles[place])
        shown.append(show_network(title, one, space, measured=None if measured is None else measured.table))
    return tuple(shown)


def _selected(run: StoredRun, selections: Sequence[Selection]) -> list[tuple[str, Observation]]:
    objectives = run.study.objectives
    if not selections and not pareto_front(run.trials, objectives):
        nearest = nearest_to_admissible(run.trials, objectives)
        return [] if nearest is None else [("nearest to the limits", nearest)]
    limits = {objective.name: objective.limit for objective in objectives}
    within = [Selection(kind, limit) for kind, name in COSTS.items() if (limit := limits.get(name))]
    default = [Selection("knee"), Selection("best-accuracy"), *within]
    wanted = list(selections) or default
    return [(_title(selection), select(run.trials, objectives, selection)) for selection in wanted]


def _title(selection: Selection) -> str:
    return {
        "knee": "knee of the front",
        "best-accuracy": "most accurate",
        "macs": f"most accurate within {selection.value:g} M average MACs",
        "latency": f"most accurate within {selection.value:g} ms",
        "accuracy": f"cheapest with at least {selection.value:g} %",
        "key": "chosen by key",
    }[selection.kind]


def _data_facts(folder: RunFolder, summary: Summary) -> DataFacts:
    try:
        return TypeAdapter(DataFacts).validate_python(summary.data)
    except ValidationError as error:
        raise CorruptStateError(
            f"{folder.summary} cannot be read ({first_problem(error)}); delete it, then "
            f"{resume_command(folder)} writes it again"
        ) from error
