"""Settings of the data set, its splits and the augmentation."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from aebnas_bo.data.picture_conversion import Fit
from aebnas_bo.errors import DataError
from aebnas_bo.storage.frozen_model import Affects, Effect, Section

Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]
DatasetName = Literal["digits", "cifar10", "cifar100", "svhn", "imagefolder", "given"]
MixingAlpha = Annotated[float, Field(ge=0.0, le=10.0)]


def _boolean_as_text(value: object) -> object:
    """Return a boolean as text, because `True` equals 1 and would be accepted as one of the values."""
    return str(value).lower() if isinstance(value, bool) else value


class DataConfig(Section):
    """Data set and its splits.

    Args:
        dataset: Name of the data set; `given` is set for images passed from Python (`aebnas_bo.Study.create`).
        root: Folder of the data set (for `imagefolder` also a `.tar`, `.tar.gz` or `.tar.xz` archive); a relative
            path starts at the configuration file. Not used by `digits`.
        download: Whether torchvision may download the data set into `root`.
        image_size: Side in pixels to which every image is resized once on loading; null keeps the native size
            (not with `imagefolder`).
        fit: Treatment of images that are not square: `squeeze` changes the aspect ratio, `letterbox` adds bars (black,
            or of the grey level `background`), `crop` keeps the central square.
        channels: 1 for grey images, 3 for colour. `auto` uses one channel if all training images are stored in grey,
            else three; `cifar10`, `cifar100` and `svhn` have three, `digits` one. The preset `auto` counts MACs for
            three channels unless this is 1 or the data set is `digits`.
        background: Grey level, 0 to 255, behind transparent pixels. `auto` is black if the visible pixels of the
            training images are light, else white.
        max_classes: Number of classes to use, the first by name; null for all. Only `imagefolder`.
        max_train_images: Size of a stratified subset of the training images to use; null for all.
        max_test_images: Size of a stratified subset of the test images to use; null for all.
        calibration_fraction: Share of the training images kept for temperatures and for the BatchNorm statistics of
            networks with the supernet's weights; at least one image of each class, as for the other fractions.
        validation_fraction: Share of the training images kept for search and thresholds.
        test_fraction: Share of all images kept for testing if the data set has no test images.
        group_pattern: Regular expression with one group, searched in the path of each training image relative to its
            class folder. Images of one class with the same match, such as the frames of one video (`'^([0-9]+)_'` for
            names like 00026_00005.jpg), stay in one split; the fractions then count groups. Null splits image by
            image. Only `imagefolder`.
        split_seed: Seed of the split. It differs from the run's seed, so that all runs have the same test images.
    """

    affects: ClassVar[Effect] = "images"

    dataset: DatasetName = "digits"
    root: Annotated[str | None, Affects("nothing")] = None
    download: Annotated[bool, Affects("nothing")] = False
    image_size: Annotated[int, Field(ge=4, le=512)] | None = None
    fit: Fit = "squeeze"
    channels: Annotated[Literal["auto", 1, 3], BeforeValidator(_boolean_as_text)] = "auto"
    background: Literal["auto"] | Annotated[int, Field(ge=0, le=255)] = "auto"
    max_classes: Annotated[int, Field(ge=2)] | None = None
    max_train_images: Annotated[int, Field(ge=10)] | None = None
    max_test_images: Annotated[int, Field(ge=10)] | None = None
    calibration_fraction: Fraction = 0.1
    validation_fraction: Fraction = 0.25
    test_fraction: Fraction = 0.15
    group_pattern: Annotated[str, Field(max_length=1000)] | None = None
    split_seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _check(self) -> DataConfig:
        if self.calibration_fraction + self.validation_fraction >= 0.9:
            raise ValueError(
                "calibration_fraction + validation_fraction must be below 0.9, got "
                f"{self.calibration_fraction} + {self.validation_fraction}"
            )
        if self.dataset not in ("digits", "given") and self.root is None:
            raise ValueError(f"{self.dataset} needs data.root: the folder of the images (--set data.root=FOLDER)")
        if self.dataset == "imagefolder" and self.image_size is None:
            raise ValueError("imagefolder needs data.image_size: the side in pixels to which all images are resized")
        for name in ("max_classes", "group_pattern"):
            if self.dataset != "imagefolder" and getattr(self, name) is not None:
                raise ValueError(f"{name} needs image files; set dataset: imagefolder or {name}: null")
        return self

    @property
    def folder(self) -> Path:
        """The root with `~` expanded.

        Raises:
            DataError: If the home folder is unknown.
        """
        try:
            return Path(self.root or "").expanduser()
        except RuntimeError as error:
            raise DataError(
                f"data.root: the home folder for ~ in {self.root} is unknown; give the full path with "
                "--set data.root=PATH"
            ) from error

    @field_validator("group_pattern")
    @classmethod
    def _check_pattern(cls, pattern: str | None) -> str | None:
        try:
            with warnings.catch_warnings(category=FutureWarning, action="error"):  # sets within sets, meant for letters
                count = 1 if pattern is None else re.compile(pattern).groups
        except (re.error, OverflowError, RecursionError, FutureWarning) as error:
            raise ValueError(
                f"expected a regular expression ({error}); escape special characters with a backslash"
            ) from error
        if count != 1:
            raise ValueError(
                f"expected one group in parentheses, such as '^(.*)_', found {count}; write (?:...) for "
                "further parentheses"
            )
        return pattern


class AugmentationConfig(Section):
    """Random changes of training images, drawn again each time an image is used.

    Args:
        crop_padding: Largest random shift in pixels.
        horizontal_flip: Whether to flip images horizontally with probability one half.
        rotation: Largest random rotation in degrees.
        zoom: Largest random change of size, as a share: 0.2 shows an image at 0.8 to 1.2 times its size.
        color_jitter: Largest random change of brightness and of contrast, as a share of them.
        trivial_augment: Whether to apply torchvision's `TrivialAugmentWide`, to groups of images.
        mixup_alpha: Parameter of torchvision's `MixUp`; 0 for none.
        cutmix_alpha: Parameter of torchvision's `CutMix`; 0 for none. With both, one is drawn for each batch.
    """

    crop_padding: Annotated[int, Field(ge=0, le=32)] = 0
    horizontal_flip: bool = False
    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0
    zoom: Annotated[float, Field(ge=0.0, le=0.9)] = 0.0
    color_jitter: Annotated[float, Field(ge=0.0, le=0.9)] = 0.0
    trivial_augment: bool = False
    mixup_alpha: MixingAlpha = 0.0
    cutmix_alpha: MixingAlpha = 0.0
