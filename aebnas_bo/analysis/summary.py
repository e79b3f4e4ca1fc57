"""`summary.json`: the key figures of a run."""

from __future__ import annotations

import platform
import resource
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from aebnas_bo.analysis.exit_columns import exit_figures
from aebnas_bo.analysis.front_correction import CorrectedPoint, FrontCorrection
from aebnas_bo.analysis.hypervolume import hypervolume
from aebnas_bo.analysis.pareto import nearest_to_admissible, pareto_front
from aebnas_bo.config.schema import Config
from aebnas_bo.data.images import LabelledImages
from aebnas_bo.data.splits import Splits
from aebnas_bo.errors import CorruptStateError, first_problem
from aebnas_bo.search.objectives import Objective, misses, optimized
from aebnas_bo.search.strategy import FALLBACKS
from aebnas_bo.search.trial import Observation, Place, Trial
from aebnas_bo.storage.run_folder import RunFolder, resume_command
from aebnas_bo.storage.sealed_json import read_sealed, write_sealed
from aebnas_bo.storage.version import __version__

MOST_RATIO = 5.0  # of the largest class to the others' mean, from which on it is named as a reference
PACKAGES = ("torch", "torchvision", "botorch", "gpytorch", "ax-platform", "scikit-learn", "numpy")


@dataclass(frozen=True)
class Summary:
    """Key figures; field names are the keys of the file.

    Args:
        name: Name of the study.
        seed: Its seed.
        is_finished: Whether the budget is spent.
        trials: Trials by status.
        fallbacks: Trials whose first proposal failed, by fallback: second attempt, surrogates not fitted, drawn at
            random.
        reference_point: Reference point of the hypervolume, in natural units.
        limits: Limits of the metrics that have one.
        nearest_to_limits: If no observation is feasible, the one with the smallest constraint violation, with its
            `misses` in natural units; null otherwise.
        hypervolume: Final hypervolume of the proposed operating points.
        hypervolume_with_settings: Final hypervolume including further operating points.
        front: Trial, setting, key, metrics, exit rates and parameters of every point on the front.
        seconds: Seconds of this call by phase; `generation_median` and `evaluation_median` per trial of the study.
        peak_memory_mb: Largest resident size of the process.
        supernet: Source of the supernet.
        data: Name, hash and sizes of the splits, chance accuracy, and for each split the most frequent class with the
            accuracy of always predicting it, in percent.
        device: Device that networks ran on.
        versions: Versions of the packages that results depend on.
        optimism: Accuracy on the half of the validation images used for selection minus that on the other half, in
            percentage points, averaged over the front: for `thresholds` and for the `choice` of networks.
        plain_tau: Kendall's tau between MACs and estimated accuracy of the search's plain networks; null for fewer than
            five.
    """

    name: str
    seed: int
    is_finished: bool
    trials: dict[str, int]
    fallbacks: dict[str, int]
    reference_point: dict[str, float]
    limits: dict[str, float]
    nearest_to_limits: dict[str, object] | None
    hypervolume: float
    hypervolume_with_settings: float
    front: list[dict[str, object]]
    seconds: dict[str, float]
    peak_memory_mb: float
    supernet: str
    data: dict[str, object]
    device: str
    versions: dict[str, str]
    optimism: dict[str, float] = field(default_factory=dict)
    plain_tau: float | None = None


@dataclass(frozen=True)
class SearchResult:
    """Result of a search.

    Args:
        trials: All trials.
        objectives: The metrics, accuracy first.
        correction: The front corrected for selection, if computed.
        plain_tau: Kendall's tau between MACs and estimated accuracy of its plain networks, if known.
    """

    trials: Sequence[Trial]
    objectives: Sequence[Objective]
    correction: FrontCorrection | None = None
    plain_tau: float | None = None


def write_summary(
    path: Path,
    config: Config,
    splits: Splits,
    *,
    result: SearchResult,
    supernet_source: str,
    seconds: Mapping[str, float],
) -> Summary:
    """Collect the figures of a run, write them as JSON and return them."""
    trials, objectives, correction = result.trials, result.objectives, result.correction
    corrected = correction.points if correction is not None else {}
    counts = {status: sum(t.status == status for t in trials) for status in ("COMPLETED", "FAILED", "RUNNING")}
    proposed = [t.generation_s for t in trials if t.number >= config.search.design_trials]
    evaluated = [t.evaluation_s for t in trials if t.status != "RUNNING"]
    summary = Summary(
        name=config.name,
        seed=config.seed,
        is_finished=len(trials) >= config.search.budget and counts["RUNNING"] == 0,
        trials=counts,
        fallbacks={name: sum(t.reason.startswith(f"{name}: ") for t in trials) for name in FALLBACKS},
        reference_point={objective.name: objective.reference for objective in optimized(objectives)},
        limits={objective.name: objective.limit for objective in objectives if objective.limit is not None},
        nearest_to_limits=_nearest_row(trials, objectives),
        hypervolume=hypervolume(trials, objectives),
        hypervolume_with_settings=hypervolume(trials, objectives, has_settings=True),
        front=[
            {**_front_row(one), **_corrected_row(corrected.get(one.place))} for one in pareto_front(trials, objectives)
        ],
        seconds={
            **{name: round(value, 3) for name, value in seconds.items()},
            "generation_median": round(statistics.median(proposed), 4) if proposed else 0.0,
            "evaluation_median": round(statistics.median(evaluated), 4) if evaluated else 0.0,
        },
        peak_memory_mb=round(peak_memory_mb(), 1),
        supernet=supernet_source,
        data={
            "dataset": config.data.dataset,
            "hash": splits.data_hash,
            "classes": list(splits.class_names),
            "images": {name: len(getattr(splits, name)) for name in ("train", "calibration", "validation", "test")},
            "chance_accuracy": 100.0 / splits.num_classes,
            "largest_class": {name: _largest_class(splits, getattr(splits, name)) for name in ("validation", "test")},
        },
        device=config.device,
        versions=package_versions(),
        optimism=_optimism(correction),
        plain_tau=result.plain_tau,
    )
    write_sealed(path, asdict(summary))
    return summary


def read_summary(path: Path) -> Summary:
    """Read a summary written by `write_summary`.

    Raises:
        CorruptStateError: If it is damaged or of another version.
    """
    way_out = f"delete it, then {resume_command(RunFolder(path.parent))} writes it again"
    try:
        return TypeAdapter(Summary).validate_python(read_sealed(path, way_out))
    except ValidationError as error:
        raise CorruptStateError(f"{path} cannot be read ({first_problem(error)}); {way_out}") from error


def _largest_class(splits: Splits, images: LabelledImages) -> dict[str, object]:
    counts = images.labels.bincount(minlength=splits.num_classes)
    label = int(counts.argmax())
    return {"name": splits.class_names[label], "accuracy": 100.0 * int(counts[label]) / len(images)}


def majority_text(summary: Summary) -> str:
    """Return how often predicting the largest class is correct, where it is much larger than the others; else nothing.

    Args:
        summary: The figures of a run.
    """
    largest, classes = summary.data.get("largest_class"), summary.data.get("classes")
    share = largest["validation"] if isinstance(largest, dict) else None
    if not isinstance(share, dict) or not isinstance(classes, list) or len(classes) < 2:
        return ""
    percent = float(share["accuracy"])
    if percent * (len(classes) - 1) <= MOST_RATIO * (100.0 - percent):
        return ""
    return (
        f"for reference: always predicting {share['name']!r} (the largest class) is correct for {percent:.2f} % of the "
        "validation images"
    )


def _front_row(observed: Observation) -> dict[str, object]:
    return {
        "trial": observed.number,
        "setting": observed.index,
        "key": observed.key,
        **observed.metrics,
        **{f"{name}_sem": value for name, value in observed.sems.items()},
        "details": exit_figures(observed),
        "parameters": dict(observed.parameters),
    }


def _corrected_row(point: CorrectedPoint | None) -> dict[str, object]:
    if point is None:
        return {}
    return {"accuracy_corrected": point.accuracy, "average_macs_corrected": point.average_macs}


def _optimism(correction: FrontCorrection | None) -> dict[str, float]:
    if correction is None:
        return {}
    found = {"thresholds": correction.threshold_optimism, "choice": correction.choice_optimism}
    return {name: round(value, 4) for name, value in found.items() if value is not None}


def corrected_accuracies(summary: Summary) -> dict[Place, float]:
    """Return the corrected accuracy of each point of the front by its place."""
    known = ((row.get("trial"), row.get("setting"), row.get("accuracy_corrected")) for row in summary.front)
    return {
        (number, setting): accuracy
        for number, setting, accuracy in known
        if isinstance(number, int) and isinstance(setting, int) and isinstance(accuracy, float)
    }


def _nearest_row(trials: Sequence[Trial], objectives: Sequence[Objective]) -> dict[str, object] | None:
    nearest = nearest_to_admissible(trials, objectives)
    missed = misses(nearest.metrics, objectives) if nearest is not None else {}
    return {**_front_row(nearest), "misses": missed} if nearest is not None and missed else None


def peak_memory_mb() -> float:
    """Return the largest resident size of this process so far, in megabytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that results depend on."""
    found = {"aebnas_bo": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
