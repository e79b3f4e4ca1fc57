import re

import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.preparation.forecast import (
    duration_text,
    epoch_text,
    images_text,
    opening_lines,
    power_text,
    resolution_warnings,
    space_text,
)
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.training.training_loop import EpochReport


def test_images_are_counted_with_classes_and_size() -> None:
    splits = load_splits(load_config(None).data)
    assert images_text(splits) == f"{len(splits.train):,} training images of 10 classes at 8x8"


def test_a_space_is_told_by_its_ends() -> None:
    space = NetworkSpace(load_config(None).space, 1, 10)
    assert space_text(space) == "space: about 10⁸ networks; without exits they have 0.0104 to 0.333 M MACs"


def test_the_first_epoch_says_how_long_all_take() -> None:
    report = EpochReport(epoch=1, epochs=30, loss=1.0, learning_rate=0.1, images_per_s=1.0, rollbacks=0)
    assert epoch_text(report, 14.2) == "epoch 1 of 30 took 14 s; the supernet takes about 7 min"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (9.9, "9.9 s"), (9.96, "10 s"), (45.0, "45 s"), (89.4, "89 s"), (100.0, "2 min"),
     (720.0, "12 min"), (5399.0, "90 min"), (9000.0, "2.5 h")],
)  # fmt: skip
def test_seconds_are_put_into_words(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(99_999, "99999"), (2 * 10**20, "10²⁰")])
def test_large_numbers_are_powers_of_ten(number: int, text: str) -> None:
    assert power_text(number) == text


def problem(*settings: str) -> Problem:
    return Problem.of(load_config(None, settings), load_splits(load_config(None, settings).data))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["data.image_size=64"], r"read images at 8x8 at most, those here have 64x64.*set space: auto.*up to 64x64"),
        (["space.preset=cifar32"], "read images at 20x20 at least, those here have 8x8.*set space: auto"),
    ],
)
def test_a_preset_that_does_not_suit_the_images_is_named_with_a_better_one(settings: list[str], message: str) -> None:
    lines = opening_lines(problem(*settings))
    assert re.search(message, lines[1])
    assert lines[1].startswith("warning: ")
    advised = [one for one in settings if not one.startswith("space")] + ["space.preset=auto"]
    assert resolution_warnings(problem(*advised)) == []


@pytest.mark.parametrize(
    "settings", [[], ["data.image_size=16", "space.preset=cifar"], ["data.image_size=10"]], ids=str
)
def test_presets_that_suit_the_images_give_no_warning(settings: list[str]) -> None:
    images, space = opening_lines(problem(*settings))
    assert images.startswith("images: 992 train, 153 calibration, 382 validation, 270 test; 10 classes of ")
    assert space.startswith("space: ")
