"""Trials of a study, and what was observed in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from aebnas_bo.estimation.estimate import FurtherSetting
from aebnas_bo.space.search_space import ParameterValue

TrialStatus = Literal["COMPLETED", "FAILED", "RUNNING"]
Place = tuple[int, int]
"""Number of a trial, and position among its operating points: 0 as proposed."""


@dataclass(frozen=True)
class Trial:
    """A trial in natural units.

    Args:
        number: Position in the study, from 0.
        key: Key of the architecture; empty while unknown.
        status: `RUNNING` until its evaluation ended.
        parameters: The canonical point.
        reason: Why it failed; empty otherwise.
        metrics: Mean of each metric.
        sems: Standard error of each metric.
        details: Further figures of the estimate, such as exit rates.
        further: The same network at other thresholds.
        generation_s: Seconds spent proposing it.
        evaluation_s: Seconds spent evaluating it.
    """

    number: int
    key: str
    status: TrialStatus
    parameters: Mapping[str, ParameterValue]
    reason: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    sems: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, float] = field(default_factory=dict)
    generation_s: float = 0.0
    evaluation_s: float = 0.0
    further: tuple[FurtherSetting, ...] = ()


@dataclass(frozen=True)
class Observation:
    """A completed trial at one of its operating points.

    Args:
        trial: The trial.
        index: Which of its operating points: 0 as proposed, 1, 2 ... a further one.
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
        further = self._further
        return self.trial.parameters if further is None else {**self.trial.parameters, **further.thresholds}

    @property
    def metrics(self) -> Mapping[str, float]:
        """Mean of each metric."""
        return (self._further or self.trial).metrics

    @property
    def sems(self) -> Mapping[str, float]:
        """Standard error of each metric."""
        return (self._further or self.trial).sems

    @property
    def details(self) -> Mapping[str, float]:
        """Further figures of the estimate, such as exit rates."""
        return (self._further or self.trial).details

    @property
    def _further(self) -> FurtherSetting | None:
        return self.trial.further[self.index - 1] if self.index else None


def observations(trials: Sequence[Trial]) -> list[Observation]:
    """Return each completed trial as proposed, followed by its further operating points."""
    completed = [trial for trial in trials if trial.status == "COMPLETED"]
    return [Observation(trial, index) for trial in completed for index in range(1 + len(trial.further))]
