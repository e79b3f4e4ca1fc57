"""Trace of a given backbone: its graph of operations for a batch of any size, in evaluation mode."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from aebnas_bo.backbones.factories import NAME, BackboneInput
from aebnas_bo.errors import ConfigError, reason_of
from aebnas_bo.storage.count_text import counted

TOLERANCE = 1e-3  # relative to the largest logit; batches of another size are summed in another order


@dataclass(frozen=True, eq=False)
class TracedBackbone:
    """Graph of a backbone.

    Args:
        module: The graph, whose weights are those of the backbone.
        class_of: Class of each module of the backbone that contains others, by path.
    """

    module: fx.GraphModule
    class_of: dict[str, type[nn.Module]]

    @property
    def image(self) -> fx.Node:
        """The batch of images that it reads."""
        [image] = [node for node in self.module.graph.nodes if node.op == "placeholder"]
        return image

    @property
    def logits(self) -> fx.Node:
        """The logits that it returns."""
        [output] = [node for node in self.module.graph.nodes if node.op == "output"]
        [logits] = output.all_input_nodes
        return logits


def trace(backbone: nn.Module, shape: BackboneInput) -> TracedBackbone:
    """Trace a backbone with `torch.export`.

    Args:
        backbone: The backbone; it is set to evaluation mode.
        shape: Images and classes.

    Raises:
        ConfigError: If it does not map one batch of images to logits, its outputs are random or depend on the other
            images of a batch, or it cannot be traced.
    """
    backbone.eval()
    images = torch.randn(
        2, shape.channels, shape.side, shape.side, generator=torch.Generator().manual_seed(0)
    )  # fmt: skip
    images = images.to(next(backbone.parameters(), images).device)
    with torch.no_grad():
        _check_outputs(backbone, images, shape)
        try:
            dynamic = ({0: torch.export.Dim.DYNAMIC},)
            program = torch.export.export(backbone, (images,), dynamic_shapes=dynamic, strict=False)
        except Exception as error:  # any that the code of the backbone causes
            raise ConfigError(
                f"{NAME}: torch.export cannot trace the backbone ({reason_of(error)}); its forward() must not "
                "branch on pixels, and must take the number of images from images.shape[0], not from len(images)"
            ) from error
        module = program.module(check_guards=False)
    assert isinstance(module, fx.GraphModule)
    return TracedBackbone(
        module, {name: type(one) for name, one in backbone.named_modules() if next(one.children(), None) is not None}
    )


def _check_outputs(backbone: nn.Module, images: Tensor, shape: BackboneInput) -> None:
    needed = [
        name
        for name, one in inspect.signature(backbone.forward).parameters.items()
        if one.default is one.empty and one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY}
    ]
    if len(needed) > 1:
        raise ConfigError(
            f"{NAME}: the backbone reads {counted(len(needed), 'input')} ({', '.join(needed)}); wrap it in a module "
            "whose forward(images) reads one batch of images"
        )
    logits = _run(backbone, images)
    if not isinstance(logits, Tensor):
        raise ConfigError(
            f"{NAME}: the backbone returns {_described(logits)}; wrap it in a module whose forward(images) returns "
            "only the logits"
        )
    if tuple(logits.shape) != (len(images), shape.classes):
        raise ConfigError(
            f"{NAME}: for 2 images and {counted(shape.classes, 'class', 'classes')} the backbone must return logits of "
            f"shape {[2, shape.classes]}, got {list(logits.shape)}; let its factory take num_classes"
        )
    limit = TOLERANCE * max(float(logits.abs().max()), 1.0)
    if float((_as_tensor(_run(backbone, images)) - logits).abs().max()) > limit:
        raise ConfigError(
            f"{NAME}: the backbone is in evaluation mode and still returns other logits for the same images; let "
            "dropout and other noise depend on self.training"
        )
    if float((_as_tensor(_run(backbone, images[:1])) - logits[:1]).abs().max()) > limit:
        raise ConfigError(
            f"{NAME}: the logits of an image depend on the other images of its batch; let normalisation use stored "
            "statistics in evaluation mode"
        )


def _run(backbone: nn.Module, images: Tensor) -> object:
    try:
        found: object = backbone(images.clone())  # it may change its input in place
    except Exception as error:  # any that the code of the backbone causes
        sizes = " x ".join(map(str, images.shape[1:]))
        raise ConfigError(
            f"{NAME}: the backbone fails on {counted(len(images), 'image')} of {sizes} ({reason_of(error)}); set "
            "data.image_size (or space.resolutions) and data.channels to what it reads"
        ) from error
    return found


def _as_tensor(found: object) -> Tensor:
    assert isinstance(found, Tensor)
    return found


def _described(found: object) -> str:
    kind = type(found).__name__
    return f"a {kind} of {len(found)}" if isinstance(found, tuple | list | dict) else f"a {kind}"
