"""Declaration of a space of early-exit networks: checked data, as written in a YAML file."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from aebnas_bo.space.architecture import Activation, Block
from aebnas_bo.space.backbone_declaration import BackboneDeclaration
from aebnas_bo.space.block_and_layer_kinds import LAYER_KINDS, LayerKind
from aebnas_bo.space.consistency import exit_problems, space_problems
from aebnas_bo.space.given_backbone import TokenPooling
from aebnas_bo.storage.frozen_model import FrozenModel, refuse

PositiveInt = Annotated[int, Field(ge=1, le=4096)]
Stride = Annotated[int, Field(ge=1, le=2)]
Kernel = Annotated[int, Field(ge=1, le=11)]
PositiveChoices = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
KernelChoices = Annotated[tuple[Kernel, ...], Field(min_length=1)]


class Declaration(FrozenModel):
    """Base of all declarations: choices are ascending and distinct."""

    @field_validator("*")
    @classmethod
    def _check_choices(cls, values: object, info: ValidationInfo) -> object:
        is_choice = isinstance(values, tuple) and all(isinstance(v, int | float | str) for v in values)
        if not isinstance(values, tuple) or not is_choice or info.field_name == "threshold":
            return values
        wanted = [value for value in dict.fromkeys(values) if info.field_name != "kernels" or value % 2]
        wanted = wanted if any(isinstance(value, str) for value in wanted) else sorted(wanted)
        if wanted == list(values):
            return values
        expected = f"expected {wanted}" if wanted else "expected odd ones such as [3, 5]"
        if info.field_name == "kernels" and any(value % 2 == 0 for value in values):
            raise ValueError(f"must be odd, so that padding keeps images centred, got {list(values)}; {expected}")
        if len(set(values)) != len(values):
            raise ValueError(f"lists a value twice: {list(values)}; {expected}")
        raise ValueError(f"must be ascending, got {list(values)}; {expected}")


class StageChoices(Declaration):
    """Choices of one backbone stage, shared by all its blocks.

    Args:
        widths: Output channels.
        depths: Number of blocks; 0, which only the last stage may have, leaves the stage out.
        kernels: Kernel sizes of the spatial convolution.
        expansions: Channel multipliers of the kinds that expand inside, such as inverted residuals.
        stride: Stride of the first block.
        kinds: Kinds of block (`block_and_layer_kinds.LAYER_KINDS`); every block of the stage may be of another one.
    """

    widths: PositiveChoices
    depths: Annotated[tuple[Annotated[int, Field(ge=0, le=64)], ...], Field(min_length=1)]
    kernels: KernelChoices
    expansions: PositiveChoices
    stride: Stride
    kinds: Annotated[tuple[LayerKind, ...], Field(min_length=1)] = ("inverted_residual",)

    @field_validator("depths")
    @classmethod
    def _check_depths(cls, depths: tuple[int, ...]) -> tuple[int, ...]:
        if max(depths) == 0:
            raise ValueError("must allow at least one block, got [0]; leave the stage out of the list")
        return depths

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Every block the stage may have, in order of kinds, kernels and expansions."""
        return tuple(
            Block(kernel, expansion, kind)
            for kind in self.kinds
            for kernel in self.kernels
            for expansion in (self.expansions if LAYER_KINDS[kind].expands else (1,))
        )


class BranchLayerChoices(Declaration):
    """Choices of one layer of an exit branch (`BranchLayer` explains each)."""

    kinds: Annotated[tuple[LayerKind, ...], Field(min_length=1)] = ("dense",)
    kernels: KernelChoices = (3,)
    expansions: PositiveChoices = (1,)
    pools: Annotated[tuple[bool, ...], Field(min_length=1)] = (False,)
    upsamples: Annotated[tuple[Annotated[int, Field(ge=0, le=512)], ...], Field(min_length=1)] = (0,)


class ExitChoices(Declaration):
    """Choices of one exit.

    Args:
        after_stage: The stage, counted from 1, after whose last block the branch sits; of a given backbone, the point.
        depths: Layers of the branch, including its linear classifier: 0 is no exit, 1 only the classifier.
        layers: Choices of each layer before the classifier, in order; as many as `max(depths) - 1`.
        threshold: Range of the exit's confidence threshold; null leaves it out of the space, to be tuned instead.
        threshold_values: The only values it may take, ascending; empty for any in the range.
        poolings: Ways to pool the tokens of a given backbone; empty behind maps.
    """

    after_stage: PositiveInt
    depths: Annotated[tuple[Annotated[int, Field(ge=0, le=9)], ...], Field(min_length=1)]
    layers: tuple[BranchLayerChoices, ...] = ()
    threshold: tuple[float, float] | None = (0.0, 1.0)
    threshold_values: tuple[Annotated[float, Field(ge=0.0, le=1.0)], ...] = ()
    poolings: tuple[TokenPooling, ...] = ()

    @model_serializer(mode="wrap")
    def _without_poolings_of_maps(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out `poolings` behind maps, so that texts and hashes are those from before there were any."""
        return _without(serialize(self), "poolings", self.poolings)

    @field_validator("threshold")
    @classmethod
    def _check_threshold(cls, threshold: tuple[float, float] | None) -> tuple[float, float] | None:
        if threshold is not None and not 0.0 <= threshold[0] < threshold[1] <= 1.0:
            raise ValueError(f"must be [low, high] with 0 <= low < high <= 1, got {list(threshold)}")
        return threshold

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse(exit_problems(self.model_dump()))
        return self

    @property
    def has_one_branch(self) -> bool:
        """Whether all networks with this exit have the same branch."""
        options = [getattr(layer, name) for layer in self.layers for name in type(layer).model_fields]
        return len(set(self.depths) - {0}) <= 1 and all(len(values) <= 1 for values in [*options, self.poolings])

    @property
    def has_free_threshold(self) -> bool:
        """Whether its threshold is a continuous parameter of the space."""
        return max(self.depths) > 0 and self.threshold is not None and not self.threshold_values


class NetworkSpaceDeclaration(Declaration):
    """A space of early-exit networks.

    Args:
        backbone: A given backbone, to which only exits are attached; it has no stages. null searches the backbone.
        resolutions: Sides in pixels the images may be resized to; of a given backbone at most one, by default that of
            the images.
        stem_channels: Output channels of the stem; null takes half the first stage's width, so that the stem of a
            small network is small too.
        stem_stride: Stride of the stem.
        head_channels: Channels of the 1x1 convolution before the final pooling; 0 for none.
        branch_stride: Stride of every branch layer.
        activation: Non-linearity of the backbone.
        learned_confidence: Whether every exit has one more output, the logit of its confidence (NACHOS).
        squeeze_excitation: Stages, counted from 1, whose blocks have squeeze-and-excitation behind the depthwise
            convolution (Hu et al., CVPR 2018; as in MobileNetV3).
        stages: Backbone stages in order.
        exits: Exit positions in order of `after_stage`.
    """

    backbone: BackboneDeclaration | None = None
    resolutions: tuple[Annotated[int, Field(ge=4, le=512)], ...]
    stem_channels: PositiveInt | None
    stem_stride: Stride
    head_channels: Annotated[int, Field(ge=0, le=8192)]
    branch_stride: Stride
    activation: Activation
    learned_confidence: bool = False
    squeeze_excitation: tuple[PositiveInt, ...] = ()
    stages: tuple[StageChoices, ...]
    exits: tuple[ExitChoices, ...]

    @model_serializer(mode="wrap")
    def _without_absent_backbone(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out an absent `backbone`, so that texts and hashes are those from before there were any."""
        return _without(serialize(self), "backbone", self.backbone)

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse(space_problems(self.model_dump()))
        return self


def _without(fields: dict[str, object], name: str, value: object) -> dict[str, object]:
    """Return fields without one of them, if its value is empty."""
    return fields if value else {field: one for field, one in fields.items() if field != name}
