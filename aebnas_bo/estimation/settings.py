"""Settings of estimates: confidences, thresholds, latencies."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from aebnas_bo.early_exit.settings import ConfidenceName, ExitRule
from aebnas_bo.storage.frozen_model import Affects, Effect, Section


class TuningConfig(Section):
    """Goal of threshold tuning per network, for spaces without threshold parameters (`threshold: null`).

    Args:
        goal: `target_macs` maximises accuracy with a penalty of a tenth of a point for every percent of average MACs
            above a target; `max_macs` maximises accuracy up to a limit of average MACs; `min_accuracy` minimises
            average MACs down to a limit of accuracy.
        value: Target or limit: average MACs in millions, or accuracy in percent. null takes `search.max_average_macs`
            or `search.min_accuracy`; without the former, it takes the geometric mean of the MACs of the space's
            cheapest and most expensive backbones.
        may_switch_off: Whether tuning may switch off an exit, which saves its branch, and end the network at an exit,
            which saves all later layers.
    """

    goal: Literal["target_macs", "max_macs", "min_accuracy"] = "target_macs"
    value: Annotated[float, Field(gt=0.0)] | None = None
    may_switch_off: bool = False


class EstimationConfig(Section):
    """Evaluation of an architecture.

    Args:
        estimator: Name of an estimator passed from Python (`aebnas_bo.Study.create` sets it); null for a supernet.
        confidence: Confidence measure of exits, in [0, 1]; `learned` needs `space.learned_confidence`.
        exit_rule: Value compared with the threshold: `each` takes the confidence of the exit itself; `cumulative` takes
            the probability of leaving at this exit or an earlier one, assuming independent exits (NACHOS).
        temperature_scaling: Whether to divide each output's logits by a temperature fitted on the calibration images;
            calibration errors before and after are stored for every network.
        batch_size: Images per forward pass.
        further_settings: Maximum number of further non-dominated operating points stored with every evaluated network;
            0 for none. Needs continuous threshold parameters.
        tuning: Threshold tuning, for spaces without threshold parameters.
        latency_table: Latency table measured by `aebnas-bo latency-table`, on this machine or another; a relative path
            is resolved from the folder of the configuration file. null measures one at the start of a run. Needs the
            objective `latency_ms`.
    """

    affects: ClassVar[Effect] = "estimates"

    estimator: str | None = None
    confidence: ConfidenceName = "score_margin"
    exit_rule: ExitRule = "each"
    temperature_scaling: bool = False
    batch_size: Annotated[int, Field(ge=1, le=8192), Affects("nothing")] = 256
    further_settings: Annotated[int, Field(ge=0, le=64)] = 4
    tuning: TuningConfig = TuningConfig()
    latency_table: str | None = None
