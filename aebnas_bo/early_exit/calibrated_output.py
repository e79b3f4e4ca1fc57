"""How an output of a network was calibrated: three numbers that trials store, read without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Calibration:
    """How one output was calibrated.

    Args:
        temperature: Divisor of its logits.
        error_before: Expected calibration error of its probabilities as they are, in percent.
        error_after: The same once its logits are divided; both on images that the temperature was not fitted to.
    """

    temperature: float
    error_before: float
    error_after: float
