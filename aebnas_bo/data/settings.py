"""Settings of the images: which they are, how they are split, and how training changes them at random."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from aebnas_bo.data.picture_conversion import Fit
from aebnas_bo.errors import DataError
from aebnas_bo.storage.frozen_model import Affects, Effect, Section

Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]
DatasetName = Literal["digits", "cifar10", "cifar100", "svhn", "imagefolder", "given"]
MixingAlpha = Annotated[float, Field(ge=0.0, le=10.0)]


class DataConfig(Section):
    """Which images, and how they are split.

    Args:
        dataset: Name of the data set; `given` is set where images are given from Python (`aebnas_bo.Study.create`).
        root: Folder (for `imagefolder` also a `.tar`, `.tar.gz` or `.tar.xz` archive) that holds it; a relative
            path counts from the configuration file. Not used by `digits`.
        download: Whether torchvision may download the data set into `root`.
        image_size: Side in pixels to which every image is resized once on loading; null keeps the native size
            (`imagefolder` needs it).
        fit: What becomes of pictures that are not square: `squeeze` changes their shape, `letterbox` adds bars (black,
            or of the grey level `background`), `crop` keeps the square in the middle.
        channels: 1 for grey images, 3 for colour. `auto` keeps one channel where all training pictures are stored in
            shades of grey, else three; `cifar10`, `cifar100` and `svhn` have three, `digits` one. The preset `auto`
            counts the MACs of three unless this is 1 or the data set is `digits`.
        background: Grey level, 0 to 255, behind transparent parts of pictures. `auto` is white, or black where what is
            visible of the training pictures is light.
        max_classes: Use only the first classes, in the order of their names; null for all. Only `imagefolder`.
        max_train_images: Stratified subset of the training images to use; null for all.
        max_test_images: Likewise of the test images.
        calibration_fraction: Share of the training images kept for temperatures and for the BatchNorm statistics of
            networks with the supernet's weights.
        validation_fraction: Share of the training images kept for search and thresholds.
        test_fraction: Share of all images kept for testing; only for data sets without a test split (`digits`).
        group_pattern: Regular expression with one group, searched in the path of each training image below the folder
            of its class. Images of one class that agree in what the group matches, such as the frames of one video
            (`'^([0-9]+)_'` for names like 00026_00005.jpg), stay in one split; the fractions then count groups. Null
            splits image by image. Only `imagefolder`.
        split_seed: Seed of the split, apart from the run's seed so that test images stay the same.
    """

    affects: ClassVar[Effect] = "images"

    dataset: DatasetName = "digits"
    root: Annotated[str | None, Affects("nothing")] = None
    download: Annotated[bool, Affects("nothing")] = False
    image_size: Annotated[int, Field(ge=4, le=512)] | None = None
    fit: Fit = "squeeze"
    channels: Literal["auto", 1, 3] = "auto"
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
                "calibration_fraction + validation_fraction must leave at least a tenth for training, got "
                f"{self.calibration_fraction} + {self.validation_fraction}"
            )
        if self.dataset not in ("digits", "given") and self.root is None:
            raise ValueError(f"{self.dataset} needs data.root: the folder of the images (--set data.root=FOLDER)")
        if self.dataset == "imagefolder" and self.image_size is None:
            raise ValueError("imagefolder needs data.image_size: the side in pixels all images are resized to")
        for name in ("max_classes", "group_pattern"):
            if self.dataset != "imagefolder" and getattr(self, name) is not None:
                raise ValueError(f"{name} needs image files; set dataset: imagefolder or {name}: null")
        return self

    @property
    def folder(self) -> Path:
        """The root, with the home folder in the place of `~`.

        Raises:
            DataError: If no home folder is known.
        """
        try:
            return Path(self.root or "").expanduser()
        except RuntimeError as error:
            raise DataError(
                f"data.root: no home folder is known for the ~ of {self.root}; give the folder with "
                "--set data.root=PATH"
            ) from error

    @field_validator("group_pattern")
    @classmethod
    def _check_pattern(cls, pattern: str | None) -> str | None:
        try:
            count = 1 if pattern is None else re.compile(pattern).groups
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(
                f"expected a regular expression ({error}); write a backslash before a character meant literally"
            ) from error
        if count != 1:
            raise ValueError(
                f"expected one group in parentheses, such as '^(.*)_', found {count}; write (?:...) where parentheses "
                "only join"
            )
        return pattern


class AugmentationConfig(Section):
    """How training images are changed at random, every time they are shown.

    Args:
        crop_padding: Shifts by up to this many pixels.
        horizontal_flip: Mirrors images, left to right, with probability one half.
        trivial_augment: Applies torchvision's `TrivialAugmentWide`, to groups of images.
        mixup_alpha: Parameter of torchvision's `MixUp`; 0 for none.
        cutmix_alpha: Parameter of torchvision's `CutMix`; 0 for none. With both, each batch takes one at random.
    """

    crop_padding: Annotated[int, Field(ge=0, le=32)] = 0
    horizontal_flip: bool = False
    trivial_augment: bool = False
    mixup_alpha: MixingAlpha = 0.0
    cutmix_alpha: MixingAlpha = 0.0
