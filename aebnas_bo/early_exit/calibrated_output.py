"""Calibration of an output, as stored with trials; does not import PyTorch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Calibration:
    """Calibration of one output.

    Args:
        temperature: Divisor of its logits.
        error_before: Expected calibration error in percent before temperature scaling.
        error_after: Expected calibration error in percent after it; both on images not used to fit the temperature.
    """

    temperature: float
    error_before: float
    error_after: float
