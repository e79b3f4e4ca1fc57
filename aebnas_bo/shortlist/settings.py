"""Settings of the short list."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from aebnas_bo.storage.frozen_model import Effect, Section

PositiveCount = Annotated[int, Field(ge=1, le=10000)]


class ShortlistConfig(Section):
    """Short trainings that select the networks of a search for full training (successive halving).

    Args:
        rungs: Networks and epochs of each rung, for example `[[8, 8], [3, 20]]`: eight networks for 8 epochs, then the
            best three of them for 20. Trainings use the settings of `final_training`, random initial weights and no
            teacher.
        budgets: Number of budgets of average MACs to choose networks for, evenly on a log scale down to a tenth of the
            highest, but not below the cheapest network found. Only used in runs with a time budget; `aebnas-bo train
            --shortlist` has a single goal.
        choice: Networks of the first rung. `estimates`: plain networks, then the best estimates. `surrogate`: fewer of
            them, then one by one the networks whose training is worth most by a surrogate of estimates and short
            trainings.
    """

    affects: ClassVar[Effect] = "trainings"

    rungs: Annotated[tuple[tuple[PositiveCount, PositiveCount], ...], Field(min_length=1)] = ((8, 8), (3, 20))
    budgets: Annotated[int, Field(ge=1, le=16)] = 3
    choice: Literal["estimates", "surrogate"] = "surrogate"

    @model_validator(mode="after")
    def _check(self) -> ShortlistConfig:
        counts = [count for count, _ in self.rungs]
        if counts != sorted(counts, reverse=True):
            raise ValueError(f"the number of networks must not increase over rungs, got {counts}")
        return self
