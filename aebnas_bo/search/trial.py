"""One row of a study: what was proposed, what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from aebnas_bo.estimation.estimate import FurtherSetting
from aebnas_bo.space.search_space import ParameterValue

TrialStatus = Literal["COMPLETED", "FAILED", "RUNNING"]


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
        setting: Which of its settings this is: 0 as proposed, 1, 2 ... a further one.
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
    setting: int = 0


def completed_settings(trials: Sequence[Trial]) -> list[Trial]:
    """Return everything that was observed: each completed trial, followed by its further settings as trials."""
    observed = []
    for trial in trials:
        if trial.status == "COMPLETED":
            observed.append(trial)
            observed += [
                replace(
                    trial,
                    parameters={**trial.parameters, **further.thresholds},
                    metrics=further.metrics,
                    sems=further.sems,
                    details=further.details,
                    further=(),
                    setting=position,
                )
                for position, further in enumerate(trial.further, start=1)
            ]
    return observed
