"""Settings of the rank correlation study."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from aebnas_bo.storage.frozen_model import Affects, Effect, Section


class FidelityConfig(Section):
    """The study that compares the supernet's estimates with networks trained alone.

    Args:
        num_architectures: Networks drawn and trained.
        repeats: Trainings of each network, with the seeds `seed`, `seed + 1` and so on. Estimates are compared with the
            mean accuracy; the rank correlation between trainings shows how much of the ranking is chance.
        band: Lowest and highest average MACs in millions, as estimated at the thresholds drawn, of all networks; null
            draws networks of all costs. Accuracy grows with MACs: a narrow band shows what estimates add to that.
        top_k: Sizes of the short lists whose regret is reported.
        bootstrap_samples: Resamples behind the 95 % intervals.
    """

    affects: ClassVar[Effect] = "trainings"

    num_architectures: Annotated[int, Field(ge=4, le=1000)] = 24
    repeats: Annotated[int, Field(ge=1, le=10)] = 1
    band: tuple[float, float] | None = None
    top_k: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1), Affects("statistics")] = (1, 3, 5)
    bootstrap_samples: Annotated[int, Field(ge=100, le=100000), Affects("statistics")] = 2000

    @field_validator("band", mode="before")
    @classmethod
    def _check_band(cls, band: object) -> object:
        ends = tuple(band) if isinstance(band, list | tuple) else ()
        is_pair = len(ends) == 2 and all(type(end) in (int, float) for end in ends)
        if band is None or (is_pair and 0.0 < ends[0] < ends[1]):
            return ends or None
        got = f", got {list(ends)}" if isinstance(band, list | tuple) else ""  # config_loading adds other values
        raise ValueError(f"expected [low, high] in millions of average MACs with 0 < low < high, or null{got}")
