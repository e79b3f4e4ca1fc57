"""Declaration of a given backbone, as written in a YAML file and completed by the program."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from aebnas_bo.space.given_backbone import BackboneSource, GivenBackbone
from aebnas_bo.storage.frozen_model import FrozenModel, refuse

Channel = Annotated[float, Field(ge=0.0, le=1.0)]
Spread = Annotated[float, Field(gt=0.0, le=1.0)]


class BackboneDeclaration(FrozenModel):
    """A network that users have, to which the search attaches exits.

    Args:
        source: Library that creates it, `aebnas_bo` for a network of this package, or `module` for a factory of the
            user.
        name: Name of the model in torchvision or timm, `small_vit` of this package, folder of a model of transformers,
            or `package.module:factory`.
        weights: State dict in safetensors, relative to the configuration file; null only describes the space.
        exits_after: Names of the points at which exits may be attached; empty for all that are found.
        mean: Mean of each channel for the normalisation of its images, in [0, 1]; null takes that of the training
            images.
        std: Standard deviation of each channel, likewise.
        feature_gigabytes: Largest size of the features that are kept on disk. If those of all training images are
            larger, branches are trained on fewer images.
        weights_hash: SHA-256 of the weights; filled in by the program.
        found: Its points and MACs for the images of the study; filled in by the program.
    """

    source: BackboneSource
    name: Annotated[str, Field(min_length=1, max_length=1000)]
    weights: str | None = None
    exits_after: tuple[str, ...] = ()
    mean: tuple[Channel, ...] | None = None
    std: tuple[Spread, ...] | None = None
    feature_gigabytes: Annotated[float, Field(gt=0.0, le=10_000.0)] = 4.0
    weights_hash: str = ""
    found: GivenBackbone | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.mean is None) != (self.std is None):
            refuse(["mean: and std belong together; give both or none"])
        return self

    @property
    def as_given(self) -> Self:
        """The declaration without what the program fills in."""
        return self.model_copy(update={"weights_hash": "", "found": None})
