"""Data behind the figures of a run, shared by the PNG files and the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aebnas_bo.analysis.hypervolume import hypervolume_curve
from aebnas_bo.analysis.pareto import admissible, front_positions
from aebnas_bo.analysis.trained_point import TrainedPoint, trained_range
from aebnas_bo.search.objectives import Objective, optimized
from aebnas_bo.search.trial import Observation, Trial

NUM_STEEP = 5  # first points of a curve, which are left out of the axis range because they rise steeply from zero


@dataclass(frozen=True)
class HypervolumeData:
    """Hypervolume after each of `n` trials.

    Args:
        alone: Hypervolume of the proposed operating points, `n`.
        whole: Hypervolume including further operating points, `n`.
        has_settings: Whether there are further operating points.
        design_end: End of the initial design on the axis of trials.
        bottom: Lower end of the axis of the hypervolume.
        top: Upper end of that axis.
        reference: The reference point as text.
    """

    alone: tuple[float, ...]
    whole: tuple[float, ...]
    has_settings: bool
    design_end: float
    bottom: float
    top: float
    reference: str

    @property
    def numbers(self) -> list[int]:
        """Number of trials at each point, from 1."""
        return list(range(1, len(self.whole) + 1))


def hypervolume_data(trials: Sequence[Trial], objectives: Sequence[Objective], design_trials: int) -> HypervolumeData:
    """Compute the hypervolume curves of a study.

    Args:
        trials: All trials in order.
        objectives: Directions and reference point.
        design_trials: Size of the space-filling design.
    """
    alone, whole = (
        tuple(value for _, value in hypervolume_curve(trials, objectives, has_settings))
        for has_settings in (False, True)
    )
    low, high = (alone[min(NUM_STEEP, len(alone) - 1)], whole[-1]) if alone else (0.0, 0.0)
    margin = 0.08 * max(high - low, 1e-9)
    return HypervolumeData(
        alone=alone,
        whole=whole,
        has_settings=any(len(trial.points) > 1 for trial in trials),
        design_end=min(design_trials, len(trials)) + 0.5,
        bottom=low - margin,
        top=high + 1.5 * margin,
        reference=", ".join(f"{o.reference:.4g} {o.unit}".strip() for o in optimized(objectives)),
    )


@dataclass(frozen=True)
class FrontData:
    """Observations and their front in one metric (vertical axis) and one cost (horizontal axis).

    Args:
        up: The metric.
        right: The cost.
        design: Completed trials of the initial design.
        proposed: Completed trials after the initial design.
        further: Further operating points of both.
        front: The front in all metrics.
        line: The front in these two metrics, cheapest first.
        trained: Trained networks, if the cost is average MACs.
    """

    up: Objective
    right: Objective
    design: tuple[Observation, ...]
    proposed: tuple[Observation, ...]
    further: tuple[Observation, ...]
    front: tuple[Observation, ...]
    line: tuple[Observation, ...]
    trained: tuple[TrainedPoint, ...]

    @property
    def trials(self) -> tuple[Observation, ...]:
        """All completed trials at their proposed operating points."""
        return (*self.design, *self.proposed)

    def visible(self, otherwise: Sequence[Observation]) -> tuple[float, float]:
        """Return the range of the metric that shows the front, the points near it and trained networks.

        Args:
            otherwise: Observations to show without a front.
        """
        return trained_range(self.trained, *visible_range(self.trials, self.front or otherwise, self.up.name))

    def num_below(self, bottom: float) -> int:
        """Return the number of trials below a value of the metric."""
        return sum(trial.metrics[self.up.name] < bottom for trial in self.trials)


def front_data(
    observed: Sequence[Observation],
    front: Sequence[Observation],
    objectives: Sequence[Objective],
    *,
    right: Objective,
    design_trials: int,
    trained: Sequence[TrainedPoint],
) -> FrontData:
    """Group observations for a figure.

    Args:
        observed: All observations, in order.
        front: The feasible non-dominated observations.
        objectives: The metrics, accuracy first.
        right: The cost.
        design_trials: Size of the initial design.
        trained: Trained networks.
    """
    proposed = [one for one in observed if one.index == 0]
    return FrontData(
        up=objectives[0],
        right=right,
        design=tuple(one for one in proposed if one.number < design_trials),
        proposed=tuple(one for one in proposed if one.number >= design_trials),
        further=tuple(one for one in observed if one.index > 0),
        front=tuple(front),
        line=tuple(line_of(observed, objectives, right)),
        trained=tuple(trained) if right.name == "average_macs" else (),
    )


def line_of(observed: Sequence[Observation], objectives: Sequence[Objective], cost: Objective) -> list[Observation]:
    """Return the feasible front in accuracy and one cost, cheapest first.

    Args:
        observed: All observations.
        objectives: All metrics, accuracy first.
        cost: The cost.
    """
    able = admissible(observed, objectives)
    return [able[position] for position in front_positions([one.metrics for one in able], [objectives[0], cost])]


def visible_range(trials: Sequence[Observation], front: Sequence[Observation], metric: str) -> tuple[float, float]:
    """Return a range of a metric that includes the front and points near it, without much worse points."""
    low = min(trial.metrics[metric] for trial in front)
    high = max(trial.metrics[metric] for trial in front)
    lowest = min(trial.metrics[metric] for trial in (*trials, *front))
    return max(lowest, low - 0.5 * max(high - low, 2.0)), high
