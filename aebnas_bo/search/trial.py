"""Trials of a study and their observations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.space.search_space import ParameterValue

TrialStatus = Literal["COMPLETED", "FAILED", "RUNNING"]
Place = tuple[int, int]
"""Number of a trial and index of its operating point; index 0 is the proposed one."""


@dataclass(frozen=True)
class Trial:
    """Trial of a study, with metrics in natural units.

    Args:
        number: Position in the study, from 0.
        key: Key of the architecture; empty until it is known.
        status: `RUNNING` until the evaluation ends.
        parameters: The canonical point.
        reason: Why the trial failed; empty if it did not.
        points: Operating points, the proposed one first; empty until the trial is completed.
        generation_s: Seconds spent on the proposal.
        evaluation_s: Seconds spent on the evaluation.
        worker: Name of the worker that evaluates or evaluated it; empty without workers.
        attempt: Number of times that a worker claimed it; 0 without workers.
        pending: Numbers of the trials that were running when this one was proposed, in order. The proposal depends on
            all other earlier trials, so a study with several workers can be replayed exactly.
    """

    number: int
    key: str
    status: TrialStatus
    parameters: Mapping[str, ParameterValue]
    reason: str = ""
    points: tuple[OperatingPoint, ...] = ()
    generation_s: float = 0.0
    evaluation_s: float = 0.0
    worker: str = ""
    attempt: int = 0
    pending: tuple[int, ...] = ()

    @property
    def metrics(self) -> Mapping[str, float]:
        """Mean of each metric at the proposed operating point; empty until the trial is completed."""
        return self.points[0].metrics if self.points else {}

    @property
    def sems(self) -> Mapping[str, float]:
        """Standard error of each metric at the proposed operating point; empty until the trial is completed."""
        return self.points[0].sems if self.points else {}


def as_proposed(trial: Trial) -> Trial:
    """Return a trial with its proposed operating point only."""
    return replace(trial, points=trial.points[:1])


@dataclass(frozen=True)
class Observation:
    """Completed trial at one of its operating points.

    Args:
        trial: The trial.
        index: Index of the operating point; 0 is the proposed one.
    """

    trial: Trial
    index: int = 0

    @property
    def place(self) -> Place:
        """Number of the trial and index of the operating point."""
        return self.trial.number, self.index

    @property
    def number(self) -> int:
        """Number of the trial."""
        return self.trial.number

    @property
    def key(self) -> str:
        """Key of the architecture."""
        return self.trial.key

    @property
    def parameters(self) -> Mapping[str, ParameterValue]:
        """The canonical point, with the thresholds of this operating point."""
        proposed = self.trial.parameters
        if self.index == 0:
            return proposed
        return {**proposed, **{name: value for name, value in self.point.thresholds.items() if name in proposed}}

    @property
    def point(self) -> OperatingPoint:
        """The operating point."""
        return self.trial.points[self.index]

    @property
    def metrics(self) -> Mapping[str, float]:
        """Mean of each metric."""
        return self.point.metrics

    @property
    def sems(self) -> Mapping[str, float]:
        """Standard error of each metric."""
        return self.point.sems


def observations(trials: Sequence[Trial]) -> list[Observation]:
    """Return the operating points of all completed trials, the proposed one of each trial first."""
    completed = [trial for trial in trials if trial.status == "COMPLETED"]
    return [Observation(trial, index) for trial in completed for index in range(len(trial.points))]
