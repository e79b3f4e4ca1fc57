"""Creation of a given backbone by its name, with random weights; nothing is downloaded."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from torch import nn

from aebnas_bo.backbones.small_vit import SmallViT
from aebnas_bo.errors import ConfigError, reason_of
from aebnas_bo.space.given_backbone import BackboneSource
from aebnas_bo.storage.count_text import counted

EXTRAS = {"timm": "timm", "transformers": "transformers"}  # package: extra of this package that installs it
NAME = "space.backbone.name"
OWN: dict[str, Callable[[int, int, int], nn.Module]] = {"small_vit": SmallViT}
"""Networks of this package by name, from classes, channels and side of the images."""


@dataclass(frozen=True)
class BackboneInput:
    """What a backbone reads and predicts.

    Args:
        channels: Channels of an image.
        classes: Number of classes.
        side: Side of an image in pixels.
    """

    channels: int
    classes: int
    side: int


def create_backbone(source: BackboneSource, name: str, shape: BackboneInput) -> nn.Module:
    """Create a backbone with random weights, in evaluation mode.

    Args:
        source: Library or `module` that creates it; `aebnas_bo` for a network of this package.
        name: Name of the model in the library or in `OWN`; `package.module:factory` for `module`, imported with the
            current folder on the path.
        shape: Images and classes.

    Raises:
        ConfigError: If the library is not installed, does not know the name, or the factory fails.
    """
    makers: dict[BackboneSource, Callable[[str, BackboneInput], nn.Module]] = {
        "torchvision": _torchvision,
        "timm": _timm,
        "transformers": _transformers,
        "aebnas_bo": _own,
        "module": _of_module,
    }
    try:
        backbone = makers[source](name, shape)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"{NAME}: {name} cannot be created for images of {shape.channels} x {shape.side} x {shape.side} and "
            f"{counted(shape.classes, 'class', 'classes')} ({reason_of(error)}); choose a model that fits them"
        ) from error
    if not isinstance(backbone, nn.Module):
        raise ConfigError(f"{NAME}: {name} must return a torch.nn.Module, got {type(backbone).__name__}")
    return backbone.eval()


def _torchvision(name: str, shape: BackboneInput) -> nn.Module:
    from torchvision import models  # noqa: PLC0415  importing all models takes a second

    if name not in models.list_models(module=models):
        raise ConfigError(f"{NAME}: torchvision has no image classifier {name!r}; see torchvision.models.list_models()")
    options: dict[str, int] = {"num_classes": shape.classes}
    if name.startswith("vit_"):
        options["image_size"] = shape.side
    backbone: nn.Module = models.get_model(name, weights=None, **options)
    return backbone


def _own(name: str, shape: BackboneInput) -> nn.Module:
    if name not in OWN:
        raise ConfigError(f"{NAME}: aebnas_bo has no network {name!r}; it has {', '.join(OWN)}")
    return OWN[name](shape.classes, shape.channels, shape.side)


def _timm(name: str, shape: BackboneInput) -> nn.Module:
    timm = _extra("timm")
    if not timm.is_model(name):
        raise ConfigError(f"{NAME}: timm has no model {name!r}; see timm.list_models()")
    options: dict[str, object] = {"num_classes": shape.classes, "in_chans": shape.channels}
    try:
        backbone: nn.Module = timm.create_model(name, pretrained=False, **options, img_size=shape.side)
    except TypeError:  # convolutional models read images of any size
        backbone = timm.create_model(name, pretrained=False, **options)
    return backbone


def _transformers(name: str, shape: BackboneInput) -> nn.Module:
    transformers = _extra("transformers")
    folder = Path(name)
    if not folder.is_dir():
        raise ConfigError(f"{NAME}: expected a folder with the config.json of an image classifier, got {name!r}")
    options = {"num_labels": shape.classes, "image_size": shape.side, "num_channels": shape.channels}
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, **options)
    return LogitsOnly(transformers.AutoModelForImageClassification.from_config(config))


class LogitsOnly(nn.Module):
    """Classifier of `transformers` whose only output is the logits.

    Args:
        model: Model that returns an object or a mapping with `logits`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: object) -> object:
        """Return the logits of `B x C x S x S` images."""
        found = self.model(pixel_values=images)
        return found["logits"] if isinstance(found, Mapping) else found.logits


def _of_module(name: str, shape: BackboneInput) -> nn.Module:
    place, separator, factory_name = name.partition(":")
    if not (separator and place and factory_name):
        raise ConfigError(f"{NAME}: expected package.module:factory for source: module, got {name!r}")
    factory = getattr(_imported(place, name), factory_name, None)
    if not callable(factory):
        raise ConfigError(f"{NAME}: {place} has no function or class {factory_name}")
    given = {"num_classes": shape.classes, "in_channels": shape.channels, "image_size": shape.side}
    known = inspect.signature(factory).parameters
    backbone: nn.Module = factory(**{key: value for key, value in given.items() if key in known})
    return backbone


def _imported(place: str, name: str) -> ModuleType:
    here, had_path = str(Path.cwd()), list(sys.path)
    sys.path.insert(0, here)  # as `python -m` does; an installed program has its own folder there instead
    try:
        return importlib.import_module(place)
    except ImportError as error:
        raise ConfigError(
            f"{NAME}: {place} of {name} cannot be imported ({reason_of(error)}); install its package, or start the "
            "program in the folder that contains it"
        ) from error
    finally:
        sys.path[:] = had_path


def _extra(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"space.backbone.source: {package} is not installed ({reason_of(error)}); run "
            f"pip install 'aebnas_bo[{EXTRAS[package]}]'"
        ) from error
