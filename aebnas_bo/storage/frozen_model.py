"""Base classes of validated data; sections of a configuration also declare the effects of their settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

Effect = Literal[
    "images",
    "supernet",
    "estimates",
    "trials",
    "budget",
    "trainings",
    "figures",
    "statistics",
    "machine",
    "place",
    "nothing",
]
"""The first result that a setting changes; all results that depend on it change too.

`images`: the images and their splits. `supernet`: its weights. `estimates`: the estimates of networks. `trials`: the
networks that a search evaluates. `budget`: only the number of trials. `trainings`: separate trainings of networks,
including the short list, but no trial. `figures`: predictions and figures of trained networks, whose weights stay.
`statistics`: the statistics of a rank correlation study. `machine`: device and speed, and through them the rounding of
numbers. `place`: where the trials are stored, which is fixed when a study is created. `nothing`: no result.
"""


@dataclass(frozen=True)
class Affects:
    """Annotation of a field whose effect differs from that of its section.

    Args:
        effect: The first result that the field changes.
    """

    effect: Effect


class FrozenModel(BaseModel):
    """Base of declarations and of files that the package writes: frozen, strict, no unknown keys, NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def refuse(problems: list[str]) -> None:
    """Raise all inconsistencies between values from within a validator.

    Args:
        problems: One sentence per problem, each beginning with the path of its field; empty if the values are valid.

    Raises:
        PydanticCustomError: If there are problems; its type is `fields`, with a line per problem.
    """
    if problems:
        raise PydanticCustomError("fields", "{problems}", {"problems": "\n".join(problems)})


class Section(FrozenModel):
    """Base of the sections of a configuration.

    The class variable `affects` declares the effect of its settings; a nested section may inherit it.
    """

    affects: ClassVar[Effect | None] = None
