"""The base of all checked data; sections of a configuration also say what their settings change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

Effect = Literal["images", "supernet", "estimates", "trials", "budget", "trainings", "statistics", "machine", "nothing"]
"""The first result that another value of a setting changes; all that follows from that result changes with it.

`images`: the images and their splits. `supernet`: its weights. `estimates`: what a network is estimated at. `trials`:
which networks a search tries. `budget`: only how many. `trainings`: networks trained alone, the short list included,
but no trial. `statistics`: how the networks of a rank correlation study are summed up. `machine`: where and how fast
things are computed, and with that the rounding of numbers. `nothing`: no number at all.
"""


@dataclass(frozen=True)
class Affects:
    """Marks a field of a section that changes something else than the rest of its section.

    Args:
        effect: The first result that it changes.
    """

    effect: Effect


class FrozenModel(BaseModel):
    """Base of declarations and of files that the package writes: frozen, strict, no unknown keys, NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def refuse(problems: list[str]) -> None:
    """Refuse values that contradict each other, from within a validator; all problems at once.

    Args:
        problems: A sentence per problem, each beginning with the path of its field; none to accept the values.

    Raises:
        PydanticCustomError: Of the type `fields`, with a line per problem.
    """
    if problems:
        raise PydanticCustomError("fields", "{problems}", {"problems": "\n".join(problems)})


class Section(FrozenModel):
    """Base of the sections of a configuration.

    A section states once, in `affects`, what its settings change; a section within another one may leave that to it.
    """

    affects: ClassVar[Effect | None] = None
