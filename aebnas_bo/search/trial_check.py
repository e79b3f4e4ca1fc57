"""Checks of trials: finite numbers within their bounds, and points of the space in canonical form.

Estimates are checked before they are stored, and stored trials when they are read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple

from aebnas_bo.early_exit.calibrated_output import Calibration
from aebnas_bo.errors import CorruptStateError, SearchSpaceError
from aebnas_bo.estimation.estimate import Estimate, Measurement, OperatingPoint
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Trial, observations
from aebnas_bo.space.search_space import SearchSpace

ROUNDING = 1e-9  # relative; a mean over images may exceed the largest value by this much
RATES_ROUNDING = 1e-4  # of the sum of all exit rates, which may have single precision
LONGEST_KEY = 64  # characters


def estimate_problems(estimate: object) -> list[str]:
    """Return the type errors in the return value of an estimator; an empty list if it is a valid estimate.

    Args:
        estimate: Return value of the estimator.
    """
    if not isinstance(estimate, Estimate):
        return [f"the estimator must return an Estimate, got {type(estimate).__name__}"]
    problems = []
    if not (isinstance(estimate.key, str) and 0 < len(estimate.key) <= LONGEST_KEY and estimate.key.isprintable()):
        problems.append(f"key must be a text of 1 to {LONGEST_KEY} printable characters, got {estimate.key!r:.80}")
    if not isinstance(estimate.metrics, Mapping) or not all(
        isinstance(one, Measurement) for one in estimate.metrics.values()
    ):
        problems.append("metrics must be a mapping of names to Measurement")
    if not isinstance(estimate.further, tuple | list) or not all(
        isinstance(one, OperatingPoint) for one in estimate.further
    ):
        problems.append("further must be a tuple of OperatingPoint")
    return problems


def plain_point(point: OperatingPoint) -> OperatingPoint:
    """Convert the NumPy or PyTorch numbers of an operating point to Python numbers, which the store can write.

    Args:
        point: The operating point.

    Raises:
        TypeError: If a field is no mapping of names to numbers.
        ValueError: If a number has more than one element.
    """
    if not isinstance(point.calibrations, Mapping) or not all(
        isinstance(one, Calibration) for one in point.calibrations.values()
    ):
        raise TypeError("calibrations must be a mapping of names to Calibration")
    return OperatingPoint(
        metrics=_plain("metrics", point.metrics),
        sems=_plain("standard errors", point.sems),
        exit_rates=_plain("exit_rates", point.exit_rates),
        thresholds=_plain("thresholds", point.thresholds),
        calibrations={
            output: Calibration(*(_number(f"calibration of {output}", value) for value in astuple(one)))
            for output, one in point.calibrations.items()
        },
    )


def _plain(field: str, numbers: object) -> dict[str, float]:
    if not isinstance(numbers, Mapping) or not all(isinstance(name, str) for name in numbers):
        raise TypeError(f"{field} must be a mapping of names to numbers, got {numbers!r:.80}")
    return {name: _number(name, value) for name, value in numbers.items()}


def _number(name: str, value: object) -> float:
    if value is None or isinstance(value, str | bytes | bool):
        raise TypeError(f"{name} must be a number, got {value!r:.80}")
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:  # PyTorch raises RuntimeError
        raise TypeError(f"{name} must be a single number, got {type(value).__name__}") from error


def point_problems(points: Sequence[OperatingPoint], objectives: Sequence[Objective]) -> list[str]:
    """Return the metrics that are missing, not finite or out of bounds in the operating points of a trial.

    Args:
        points: Operating points with Python numbers, the proposed one first.
        objectives: The metrics of the study.
    """
    problems = []
    for number, point in enumerate(points):
        where = f"operating point {number}: " if number else ""
        problems += [f"{where}{problem}" for problem in _problems(point, objectives)]
    return problems


def _problems(point: OperatingPoint, objectives: Sequence[Objective]) -> Iterator[str]:
    yield from (f"{one.name} was not measured" for one in objectives if one.name not in point.metrics)
    for name, mean in point.metrics.items():
        sem = point.sems.get(name, math.nan)
        if not (math.isfinite(mean) and math.isfinite(sem)):
            yield f"{name} is {mean} with standard error {sem}"
        elif sem < 0.0:
            yield f"{name} has the standard error {sem}, which cannot be negative"
    for one in objectives:
        yield from _out_of_bounds(one, point.metrics.get(one.name, math.nan))
    yield from (f"{name} is {value}" for name, value in point.exit_figures.items() if not math.isfinite(value))
    for name, value in (*((f"{n}_rate", r) for n, r in point.exit_rates.items()), *point.thresholds.items()):
        if math.isfinite(value) and not 0.0 <= value <= 1.0:
            yield f"{name} is {value}, expected a number in [0, 1]"
    total = sum(point.exit_rates.values())
    if point.exit_rates and math.isfinite(total) and abs(total - 1.0) > RATES_ROUNDING:
        yield f"exit rates sum to {total:.6g}, expected 1"
    for name, calibration in point.calibrations.items():
        if calibration.temperature <= 0.0 or min(calibration.error_before, calibration.error_after) < 0.0:
            yield f"calibration of {name}: temperature must be positive and errors at least 0, got {calibration}"


def _out_of_bounds(objective: Objective, value: float) -> Iterator[str]:
    least, greatest = objective.values
    slack = ROUNDING * max((abs(bound) for bound in (least, greatest) if math.isfinite(bound)), default=0.0)
    if value < least - slack or value > greatest + slack:
        yield f"{objective.name} is {value}, expected a number in [{least:.6g}, {greatest:.6g}]"


def trial_problems(trial: Trial, objectives: Sequence[Objective]) -> list[str]:
    """Return the problems of a stored trial.

    Args:
        trial: The trial.
        objectives: The objectives of its study.
    """
    problems = []
    seconds = (trial.generation_s, trial.evaluation_s)
    if not all(isinstance(one, int | float) and math.isfinite(one) and one >= 0.0 for one in seconds):
        problems.append(f"its seconds are {seconds}")
    if not isinstance(trial.parameters, Mapping) or not all(
        isinstance(value, int | float | str) for value in trial.parameters.values()
    ):
        problems.append("its parameters are not a mapping of names to values")
    problems += _claim_problems(trial)
    if (trial.status == "COMPLETED") != bool(trial.points):
        problems.append(f"it is {trial.status} but has {len(trial.points)} operating points")
    try:
        points = [plain_point(point) for point in trial.points]
    except (TypeError, ValueError) as error:
        return [*problems, str(error)]
    return problems + point_problems(points, objectives)


def _claim_problems(trial: Trial) -> Iterator[str]:
    """Yield the problems of what a trial says about workers."""
    if type(trial.worker) is not str:
        yield f"its worker is {trial.worker!r}"
    if type(trial.attempt) is not int or trial.attempt < 0:
        yield f"its attempt is {trial.attempt!r}"
    pending = trial.pending
    is_numbers = isinstance(pending, tuple) and all(type(one) is int for one in pending)
    if not is_numbers or list(pending) != sorted({one for one in pending if 0 <= one < trial.number}):
        yield f"its pending trials are {pending!r}, expected earlier trials in order"


def check_points(trials: Sequence[Trial], space: SearchSpace, origin: object) -> None:
    """Check that all operating points of completed trials are canonical points of a space.

    Args:
        trials: The trials.
        space: The space.
        origin: File or database of the trials, for the message.

    Raises:
        CorruptStateError: If a trial is not a canonical point.
    """
    for one in observations(trials):
        try:
            is_canonical = space.canonical(one.parameters) == dict(one.parameters)
            problem = "" if is_canonical else "parameters that are switched off have values"
        except SearchSpaceError as error:
            problem = "; ".join(error.problems)
        if problem:
            raise CorruptStateError(
                f"{origin} is damaged: trial {one.number} does not belong to its space ({problem}); restore it from a "
                "copy, or start another run folder"
            )
