"""A given backbone for the images of a study: created, filled with its weights, traced, and its points found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError
from torch import nn

from aebnas_bo.backbones.exit_points import find_points
from aebnas_bo.backbones.factories import BackboneInput, create_backbone
from aebnas_bo.backbones.tracing import TracedBackbone, trace
from aebnas_bo.backbones.weights import WEIGHTS, load_weights
from aebnas_bo.data.splits import Splits
from aebnas_bo.errors import ConfigError
from aebnas_bo.space.backbone_declaration import BackboneDeclaration
from aebnas_bo.space.declaration import NetworkSpaceDeclaration
from aebnas_bo.space.given_backbone import BackbonePoint, GivenBackbone
from aebnas_bo.space.given_exits import propose_exits


def completed_space(
    space: NetworkSpaceDeclaration, *, in_channels: int, num_classes: int, image_size: int
) -> NetworkSpaceDeclaration:
    """Return a space with the points of its given backbone, and with exits if it declares none.

    Args:
        space: The space; one without a given backbone, or with its points, is returned as it is.
        in_channels: Channels of the images.
        num_classes: Number of classes.
        image_size: Side of the images in pixels, the default of `resolutions`.

    Raises:
        ConfigError: If the backbone cannot be created, traced or filled with its weights, has no points, or does not
            suit the images or the declared exits.
    """
    declared = space.backbone
    if declared is None or declared.found is not None:
        return space
    resolution = space.resolutions[0] if space.resolutions else image_size
    shape = BackboneInput(in_channels, num_classes, resolution)
    _check_normalisation(declared, in_channels)
    backbone, weights_hash = loaded_backbone(declared, shape)
    points, macs = find_points(trace(backbone, shape), shape)
    found = GivenBackbone(
        source=declared.source,
        name=declared.name,
        in_channels=in_channels,
        num_classes=num_classes,
        resolution=resolution,
        points=_named(points, declared.exits_after),
        macs=macs,
    )
    tree = space.model_dump(mode="json")
    tree["resolutions"] = [resolution]
    tree["backbone"] = json.loads(
        declared.model_copy(update={"found": found, "weights_hash": weights_hash}).model_dump_json()
    )
    tree["exits"] = tree["exits"] or propose_exits(found)
    return _validated(tree)


def loaded_backbone(declared: BackboneDeclaration, shape: BackboneInput) -> tuple[nn.Module, str]:
    """Create a backbone and load its weights; return it with the hash of the weights, empty for random ones.

    Args:
        declared: The backbone.
        shape: Images and classes.

    Raises:
        ConfigError: If it cannot be created, or the weights cannot be read, do not fit, or changed since the study was
            created.
    """
    backbone = create_backbone(declared.source, declared.name, shape)
    if declared.weights is None:
        return backbone, ""
    weights_hash = load_weights(backbone, Path(declared.weights))
    if declared.weights_hash not in {"", weights_hash}:
        raise ConfigError(
            f"{WEIGHTS}: {declared.weights} changed since the study was created; restore it, or start another run"
        )
    return backbone, weights_hash


def check_weights(declared: BackboneDeclaration | None) -> None:
    """Check that a given backbone has weights.

    Args:
        declared: The backbone; `None` if it is searched.

    Raises:
        ConfigError: If it has none.
    """
    if declared is not None and declared.weights is None:
        raise ConfigError(
            f"{WEIGHTS}: is missing; give the trained weights of {declared.name} as a .safetensors file, for exits "
            "are attached to a trained network"
        )


def traced_backbone(declared: BackboneDeclaration, device: str) -> TracedBackbone:
    """Return the trace of a completed backbone with its weights.

    Args:
        declared: The backbone.
        device: Device to run it on.

    Raises:
        ConfigError: If it cannot be created again as it was, or has no weights.
    """
    check_weights(declared)
    found = declared.found
    assert found is not None
    shape = BackboneInput(found.in_channels, found.num_classes, found.resolution)
    backbone, _ = loaded_backbone(declared, shape)
    return trace(backbone.to(device), shape)


def with_normalisation(splits: Splits, space: NetworkSpaceDeclaration) -> Splits:
    """Return splits with the means and standard deviations that a given backbone was trained with.

    Args:
        splits: The images.
        space: The space.
    """
    declared = space.backbone
    if declared is None or declared.mean is None or declared.std is None:
        return splits
    return replace(splits, mean=declared.mean, std=declared.std)


def _check_normalisation(declared: BackboneDeclaration, in_channels: int) -> None:
    for name, values in (("mean", declared.mean), ("std", declared.std)):
        if values is not None and len(values) != in_channels:
            raise ConfigError(
                f"space.backbone.{name}: expected a number for each of {in_channels} channels of the images, got "
                f"{list(values)}"
            )


def _named(points: tuple[BackbonePoint, ...], names: tuple[str, ...]) -> tuple[BackbonePoint, ...]:
    """Return the points with given names; all without names."""
    known = [point.name for point in points]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(
            f"space.backbone.exits_after: no point {', '.join(unknown)}; the backbone has {', '.join(known)}"
        )
    return tuple(point for point in points if not names or point.name in names)


def _validated(tree: dict[str, object]) -> NetworkSpaceDeclaration:
    try:
        return NetworkSpaceDeclaration.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        lines = [line for one in error.errors() for line in one["msg"].splitlines()]
        raise ConfigError([f"space.{line}" for line in lines]) from error
