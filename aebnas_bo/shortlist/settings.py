"""Settings of the short list."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from aebnas_bo.storage.frozen_model import Effect, Section

PositiveCount = Annotated[int, Field(ge=1, le=10000)]


class ShortlistConfig(Section):
    """Short trainings that decide which networks of a search are trained to the end (successive halving).

    Args:
        rungs: Networks and epochs of each rung, for example `[[8, 8], [3, 20]]`: eight networks for 8 epochs, the best
            three of them for 20. Rungs are trained as `final_training` says, from fresh weights and without a teacher.
        budgets: Budgets of average MACs that networks are chosen for, evenly on a logarithmic scale down to a tenth of
            the highest, but not below the cheapest network found. Only of runs with a time budget; `aebnas-bo train
            --shortlist` serves the goal it is given.
    """

    affects: ClassVar[Effect] = "trainings"

    rungs: Annotated[tuple[tuple[PositiveCount, PositiveCount], ...], Field(min_length=1)] = ((8, 8), (3, 20))
    budgets: Annotated[int, Field(ge=1, le=16)] = 3

    @model_validator(mode="after")
    def _check(self) -> ShortlistConfig:
        counts = [count for count, _ in self.rungs]
        if counts != sorted(counts, reverse=True):
            raise ValueError(f"rungs must not grow in networks, got {counts}")
        return self
