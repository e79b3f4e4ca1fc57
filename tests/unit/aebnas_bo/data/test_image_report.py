from dataclasses import replace
from pathlib import Path

import pytest
import torch

from aebnas_bo.data.datasets import load_splits
from aebnas_bo.data.image_report import image_line, image_warnings, largest_share
from aebnas_bo.data.images import ImageOrigin, LabelledImages
from aebnas_bo.data.picture_conversion import PictureConversion
from aebnas_bo.data.picture_loading import PictureCounts
from aebnas_bo.data.settings import DataConfig
from aebnas_bo.data.splits import Splits


def images(counts: list[int], channels: int = 3) -> LabelledImages:
    generator = torch.Generator().manual_seed(sum(counts))
    pixels = torch.randint(0, 256, (sum(counts), channels, 8, 8), generator=generator).byte()
    return LabelledImages(pixels, torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)))


def splits(
    train: list[int],
    *,
    test: list[int] | None = None,
    counts: PictureCounts | None = None,
    conversion: PictureConversion | None = None,
    passed_over: tuple[str, ...] = (),
) -> Splits:
    origin = ImageOrigin(conversion or PictureConversion(), counts or PictureCounts(), passed_over)
    few = images([2] * len(train))
    names = tuple("abcdefgh"[: len(train)])
    return Splits(
        images(train), few, few, images(test or [5] * len(train)), names, (0.5,) * 3, (0.2,) * 3, origin=origin
    )


def test_ordinary_images_give_one_line_and_no_warning() -> None:
    ordinary = splits([30, 40])
    assert image_line(ordinary) == (
        "images: 70 train, 4 calibration, 4 validation, 10 test; without test: a 34, b 44; 3 channels of 8x8"
    )
    assert image_warnings(ordinary) == []
    assert image_warnings(load_splits(DataConfig())) == []


def test_the_line_says_what_pictures_were_like_and_what_was_passed_over() -> None:
    counts = PictureCounts(90, 0, 0, sixteen_bits=12, transparent=5, not_square=80, typical_size=(40, 56))
    conversion = PictureConversion(background=0, sixteen_bits=(0, 4095), fit="crop")
    told = splits([30] * 8, counts=counts, conversion=conversion, passed_over=("3 hidden", "4 .txt"))
    assert image_line(replace(told, has_own_validation=True)).split("; ")[1:] == [
        "8 classes of 34 images without test",
        "3 channels of 8x8",
        "the data set has its own validation images",
        "80 not square, such as 40x56 (crop)",
        "5 with transparency, on grey level 0",
        "12 with 16 bits, 0 becomes black and 4095 white",
        "ignored: 3 hidden, 4 .txt",
    ]
    assert image_warnings(told) == []


def test_the_line_says_that_folders_are_classes_if_there_are_no_splits() -> None:
    ordinary = splits([30, 40])
    unsplit = replace(ordinary, origin=replace(ordinary.origin, has_splits=False))
    assert image_line(unsplit) == f"{image_line(ordinary)}; no folder train/, so every folder with images is a class"


def alike(images: LabelledImages, count: int) -> LabelledImages:
    pixels = images.images.clone()
    pixels[:count] = pixels[0]
    return LabelledImages(pixels, images.labels)


@pytest.mark.parametrize(("count", "is_warned"), [(35, True), (34, False)])
def test_copies_of_one_picture_are_counted(count: int, is_warned: bool) -> None:
    ordinary = splits([30, 40])
    found = image_warnings(replace(ordinary, train=alike(ordinary.train, count)))
    assert found == [] or found[0].startswith("35 of 70 training images are identical")
    assert bool(found) == is_warned


def test_nearly_equal_pictures_are_noticed() -> None:
    ordinary = splits([30, 40])
    faint = LabelledImages(ordinary.train.images // 128 + 100, ordinary.train.labels)
    [found] = image_warnings(replace(ordinary, train=faint))
    assert found.startswith("training images differ by only 0.5 of 255 grey levels on average")


def test_small_classes_are_counted_with_calibration_and_validation_images() -> None:
    [found] = image_warnings(splits([30, 5, 6]))
    assert found.startswith("1 of 3 classes have fewer than 10 images for training and validation together (b 9)")


@pytest.mark.parametrize(("train", "is_warned"), [([76, 12], False), ([77, 12], True)])
def test_unbalanced_classes_are_named_with_the_share_of_the_largest(train: list[int], is_warned: bool) -> None:
    found = image_warnings(splits(train, test=[95, 5]))
    assert len(found) == is_warned
    if is_warned:
        assert "classes are imbalanced 5.06:1 (a 81, b 16 images)" in found[0]
        assert "always predicting a has an accuracy of 95.0 % on the test images" in found[0]
        assert "class_weights: balanced" in found[0]
    assert largest_share(splits(train, test=[95, 5])) == ("a", 95.0)


def test_squeezed_pictures_are_counted_with_the_way_out() -> None:
    counts = PictureCounts(72, not_square=63, typical_size=(40, 56))
    [found] = image_warnings(splits([30, 40], counts=counts))
    assert found.startswith("63 of 72 images are not square: the typical one has 40x56 pixels and becomes 8x8")
    assert "squeezed by 29 % in one direction; set data.fit: letterbox" in found
    assert not image_warnings(splits([30, 40], counts=replace(counts, typical_size=(40, 41))))


def test_grey_images_of_three_channels_are_noticed() -> None:
    ordinary = splits([30, 40])
    grey = LabelledImages(ordinary.train.images[:, :1].repeat(1, 3, 1, 1), ordinary.train.labels)
    [found] = image_warnings(replace(ordinary, train=grey))
    assert found.startswith("all 70 training images are grey but have three channels")


def test_colours_that_are_dropped_are_counted() -> None:
    [found] = image_warnings(splits([30, 40], counts=PictureCounts(72, lost_colours=3)))
    assert found.startswith("3 of 72 images are converted from colour to grey")
    assert found.endswith("set data.channels: 3 to keep the colours")


def test_names_that_are_no_text_are_escaped(tmp_path: Path) -> None:
    assert r"caf\xe9 34" in image_line(replace(splits([30, 40]), class_names=("caf\udce9", "b")))
