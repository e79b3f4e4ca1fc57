"""Settings of estimates: confidences, thresholds, latencies."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from aebnas_bo.early_exit.settings import ConfidenceName, ExitRule
from aebnas_bo.storage.frozen_model import Affects, Effect, Section


class TuningConfig(Section):
    """What thresholds are tuned for, network by network, where the space leaves them out (`threshold: null`).

    Args:
        goal: `target_macs`: accuracy less a tenth of a point for every percent above a target of average MACs (a
            cheaper network is not punished); `max_macs`: the highest accuracy at no more average MACs; `min_accuracy`:
            the least average MACs at no less accuracy.
        value: Average MACs in millions, or accuracy in percent; null takes `search.max_average_macs` or
            `search.min_accuracy`, and without these, of MACs, the geometric mean of the space's cheapest and most
            expensive backbone.
        may_switch_off: Whether an exit may be switched off, which saves its branch, and the network may end at an exit,
            which saves all that lies behind it.
    """

    goal: Literal["target_macs", "max_macs", "min_accuracy"] = "target_macs"
    value: Annotated[float, Field(gt=0.0)] | None = None
    may_switch_off: bool = False


class EstimationConfig(Section):
    """How an architecture is measured.

    Args:
        estimator: Name of the estimator that was given from Python (`aebnas_bo.Study.create` sets it); null for the
            weights of a supernet.
        confidence: Measure of an exit's confidence, in [0, 1]; `learned` needs `space.learned_confidence`.
        exit_rule: What thresholds are held against: `each` exit's confidence, or the `cumulative` probability, exits
            taken for independent, that this exit or one before it is to be left (NACHOS).
        temperature_scaling: Whether each output's logits are divided by a temperature that makes its confidences fit
            its accuracy on the calibration images; errors before and after are noted with every network.
        batch_size: Images per forward pass.
        further_settings: Most non-dominated settings of the thresholds that are noted with every evaluated network
            beside the proposed one; 0 for none. Only where thresholds are continuous parameters.
        tuning: How thresholds are tuned where they are no parameters.
        latency_table: Table that `aebnas-bo latency-table` measured, on this machine or another; a relative path counts
            from the configuration file. Null measures one as a run begins. Only where `latency_ms` is an objective.
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
