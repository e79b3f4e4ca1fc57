"""Images of one class and group stay in one split."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aebnas_bo.config.loading import load_config
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.data.groups import carve_groups, check_groups, number_groups
from aebnas_bo.data.splits import Splits
from aebnas_bo.errors import ConfigError, DataError

PARTS = ("train", "calibration", "validation", "test")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of 8, 6 and 4 tracks with five frames each; the colour says which image it is."""
    for label, (name, tracks) in enumerate((("give-way", 8), ("no-entry", 6), ("stop", 4))):
        for split in ("train", "test"):
            (tmp_path / "signs" / split / name).mkdir(parents=True)
            for track in range(tracks if split == "train" else 1):
                for frame in range(5):
                    colour = np.full((8, 8, 3), (80 * label, 10 * track, 10 * frame), dtype=np.uint8)
                    Image.fromarray(colour).save(tmp_path / "signs" / split / name / f"{track:05d}_{frame:05d}.png")
    return tmp_path / "signs"


def splits_of(folder: Path, *settings: str) -> Splits:
    return load_splits(
        load_config(None, ["data.dataset=imagefolder", f"data.root={folder}", "data.image_size=8", *settings]).data
    )


def tracks(splits: Splits, part: str) -> list[tuple[int, int]]:
    colours = getattr(splits, part).images[:, :2, 0, 0].long() // torch.tensor([80, 10])
    return sorted({(label, track) for label, track in colours.tolist()})


def test_splits_keep_tracks_together(folder: Path) -> None:
    splits = splits_of(folder, "data.group_pattern='^(\\d+)_'")
    train, calibration, validation = (tracks(splits, part) for part in PARTS[:3])
    assert sorted(train + calibration + validation) == [(k, t) for k, n in enumerate((8, 6, 4)) for t in range(n)]
    # 22 of 90 images, then a tenth of all: 2.0, 1.5 and 1.0 tracks, then no whole one, but at least one
    assert [[label for label, _ in part].count(k) for part in (validation, calibration) for k in range(3)] == [
        2, 1, 1, 1, 1, 1,
    ]  # fmt: skip
    assert len(splits.test) == 15
    assert len(splits.train) == 5 * len(train)


def test_splits_without_a_pattern_mix_tracks(folder: Path) -> None:
    splits = splits_of(folder)
    assert set(tracks(splits, "train")) & set(tracks(splits, "validation"))


def test_splits_by_group_depend_on_the_seed_alone(folder: Path) -> None:
    pattern = "data.group_pattern='^(\\d+)_'"
    assert splits_of(folder, pattern).data_hash == splits_of(folder, pattern).data_hash
    assert splits_of(folder, pattern).data_hash != splits_of(folder, pattern, "data.split_seed=1").data_hash


def test_splits_carve_the_test_images_by_group_too(folder: Path) -> None:
    (folder / "test").rename(folder / "unused")
    splits = splits_of(folder, "data.group_pattern='^(\\d+)_'")
    parts = [tracks(splits, part) for part in PARTS]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 18


def test_splits_name_the_classes_of_too_few_groups_and_take_the_advice(folder: Path) -> None:
    for track in (0, 1):
        for path in (folder / "train/stop").glob(f"{track:05d}_*"):
            path.unlink()
    pattern = "data.group_pattern='^(\\d+)_'"
    with pytest.raises(DataError, match=r"data\.group_pattern: expected at least 3 groups .*: stop \(2\); add images"):
        splits_of(folder, pattern)
    splits_of(folder, "data.group_pattern=null")
    splits_of(folder, "data.group_pattern='_(\\d+)'")


def test_splits_name_a_file_that_does_not_match(folder: Path) -> None:
    (folder / "train/stop/00000_00000.png").rename(folder / "train/stop/other.png")
    with pytest.raises(DataError, match=r"'\^\(\\\\d\+\)_', 1 of 90 do not, for example other\.png; change"):
        splits_of(folder, "data.group_pattern='^(\\d+)_'")


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(", "data.group_pattern: expected a regular expression (missing ), unterminated subpattern at position 0)"),
        ("^([[a])_", "data.group_pattern: expected a regular expression (Possible nested set at position 3); escape "),
        ("^x_", "data.group_pattern: expected one group in parentheses, such as '^(.*)_', found 0"),
        ("(a)(b)", "data.group_pattern: expected one group in parentheses, such as '^(.*)_', found 2"),
    ],
)
def test_config_refuses_other_patterns(pattern: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        splits_of(tmp_path, f"data.group_pattern={pattern!r}")
    assert str(caught.value).startswith(problem)


def test_a_pattern_with_the_backslash_that_is_advised_is_accepted() -> None:
    images = ("data.dataset=imagefolder", "data.root=.", "data.image_size=8")
    assert load_config(None, [*images, r"data.group_pattern='^([\[a])_'"]).data.group_pattern == r"^([\[a])_"


@pytest.mark.parametrize("setting", ["max_classes=2", "group_pattern='(a)'"])
def test_config_refuses_settings_of_files_for_other_data_sets(setting: str) -> None:
    name = setting.partition("=")[0]
    with pytest.raises(ConfigError, match=f"{name} needs image files; set dataset: imagefolder or {name}: null"):
        load_config(None, [f"data.{setting}"])


def test_max_classes_takes_the_first_by_name(folder: Path) -> None:
    splits = splits_of(folder, "data.max_classes=2")
    assert splits.class_names == ("give-way", "no-entry")
    assert sorted(set(splits.test.labels.tolist())) == [0, 1]
    assert splits_of(folder, "data.max_classes=9").num_classes == 3


def test_number_groups_reads_folders_and_refuses_an_empty_match() -> None:
    assert number_groups(["b/1.png", "a/2.png", "b/3.png"], "^(.*)/").tolist() == [1, 0, 1]
    with pytest.raises(DataError, match=r"1 of 2 do not, for example y\.png"):
        number_groups(["x-1.png", "y.png"], "(?:x-(.)|y)")


def test_carve_groups_leaves_and_takes_one_of_each_class() -> None:
    labels, groups = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 0, 1, 0, 1])
    for share in (0.01, 0.99):
        left, carved = carve_groups(labels, groups, share, seed=0)
        assert sorted([*left.tolist(), *carved.tolist()]) == [0, 1, 2, 3, 4]
        assert {0, 1} == set(labels[left].tolist()) == set(labels[carved].tolist())


def test_check_groups_counts_them_class_by_class() -> None:
    labels, groups = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1])
    check_groups(labels, groups, ["a", "b"], num_parts=1)
    with pytest.raises(DataError, match=r"in: b \(1\);"):
        check_groups(labels, groups, ["a", "b"], num_parts=2)
