"""Drawn digits: a folder of images, equal for equal seeds."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import drawn_digits
from benchmarks.drawn_digits import SIDE, draw_digit


def test_pictures_of_equal_seeds_are_equal_and_show_a_digit() -> None:
    one, same, other = (np.asarray(draw_digit(8, np.random.default_rng(seed)), dtype=np.float64) for seed in (0, 0, 1))
    assert one.shape == (SIDE, SIDE)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    spread = np.abs(one - np.median(one))
    assert spread[8:20, 8:20].mean() > 1.2 * spread[:4].mean()  # ink in the middle, paper at the edge


def test_the_folder_has_every_class_in_both_splits(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "digits"
    monkeypatch.setattr(sys, "argv", ["prog", str(folder), "--train", "25", "--test", "10"])
    drawn_digits.main()
    assert sorted(path.name for path in (folder / "train").iterdir()) == [str(digit) for digit in range(10)]
    counts = {split: len(list((folder / split).rglob("*.png"))) for split in ("train", "test")}
    assert counts == {"train": 25, "test": 10}
    assert Image.open(folder / "test" / "3" / "00003.png").size == (SIDE, SIDE)
    with pytest.raises(SystemExit):
        drawn_digits.main()
