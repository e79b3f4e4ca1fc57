"""One row of a study: what was proposed, what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

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
