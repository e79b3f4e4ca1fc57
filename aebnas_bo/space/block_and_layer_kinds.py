"""The kinds of layers: backbone blocks and the layers of exit branches are made of them.

The one place that knows what a kind consists of. Its convolutions are written down once; MACs, weights of the
supernet, plain networks, exported files and diagrams follow from them. CONTRIBUTING.md says how to add a kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LayerKind = Literal["dense", "depthwise_separable", "inverted_residual", "convnext"]
Channels = Literal["input", "hidden", "output"]


@dataclass(frozen=True)
class KindConvolution:
    """One convolution of a kind, followed by BatchNorm; it reads what the one before it writes.

    Args:
        writes: Its output channels: as many as the layer reads (`input`), `expansion` times as many (`hidden`), or as
            many as the layer writes (`output`).
        is_spatial: Whether it has the kernel size and the stride of the layer; otherwise it is 1x1.
        is_depthwise: Whether every channel has its own kernel.
        is_linear: Whether no non-linearity follows it in a backbone block; in a branch, ReLU follows every one.
    """

    writes: Channels
    is_spatial: bool = False
    is_depthwise: bool = False
    is_linear: bool = False


@dataclass(frozen=True)
class Kind:
    """Convolutions of a kind of block or layer.

    Args:
        convolutions: Its convolutions in order: exactly one is spatial, the last one writes `output`.
        diagram_name: Name in diagrams of networks.

    Raises:
        ValueError: If the convolutions do not fit together.
    """

    convolutions: tuple[KindConvolution, ...]
    diagram_name: str

    def __post_init__(self) -> None:
        name, reads = self.diagram_name, "input"
        if [one.is_spatial for one in self.convolutions].count(True) != 1:
            raise ValueError(f"{name}: exactly one convolution must be spatial, got {self.convolutions}")
        for one in self.convolutions:
            if one.is_depthwise and not (one.is_spatial and one.writes == reads):
                raise ValueError(f"{name}: a depthwise convolution must be spatial and write {reads!r}, got {one}")
            reads = one.writes
        if reads != "output":
            raise ValueError(f"{name}: the last convolution must write 'output', got {reads!r}")

    @property
    def expands(self) -> bool:
        """Whether `expansion` multiplies channels inside it; a branch layer of such a kind keeps its channels."""
        return any(one.writes == "hidden" for one in self.convolutions)

    @property
    def depthwise_channels(self) -> Channels | None:
        """Channels of its depthwise convolution, which squeeze-and-excitation follows; `None` if it has none."""
        return next((one.writes for one in self.convolutions if one.is_depthwise), None)


LAYER_KINDS: dict[LayerKind, Kind] = {
    # one ordinary convolution
    "dense": Kind((KindConvolution("output", is_spatial=True),), "dense"),
    # MobileNets (Howard et al. 2017), section 3.1
    "depthwise_separable": Kind(
        (KindConvolution("input", is_spatial=True, is_depthwise=True), KindConvolution("output")), "separable"
    ),
    # MobileNetV2 (Sandler et al. 2018), figure 3
    "inverted_residual": Kind(
        (
            KindConvolution("hidden"),
            KindConvolution("hidden", is_spatial=True, is_depthwise=True),
            KindConvolution("output", is_linear=True),
        ),
        "inverted",
    ),
    # ConvNeXt (Liu et al., CVPR 2022), section 2.6. BatchNorm replaces LayerNorm: it treats each channel by itself, so
    # slices of the shared weights need no other statistics than their own, and it folds into the convolution. The
    # activation of the space replaces GELU; there is no layer scale.
    "convnext": Kind(
        (
            KindConvolution("input", is_spatial=True, is_depthwise=True, is_linear=True),
            KindConvolution("hidden"),
            KindConvolution("output", is_linear=True),
        ),
        "ConvNeXt",
    ),
}
