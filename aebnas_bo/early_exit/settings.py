"""Names of confidence measures and exit rules."""

from __future__ import annotations

from typing import Literal

ConfidenceName = Literal["score_margin", "max_softmax", "negative_entropy", "learned"]
ExitRule = Literal["each", "cumulative"]
