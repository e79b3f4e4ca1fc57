import csv
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.space.macs import exit_costs
from benchmarks import hand_made


def test_the_network_is_the_one_that_was_measured_by_hand() -> None:
    splits = load_splits(load_config(None).data)
    architecture, skeleton = hand_made.hand_made(splits, "relu")
    assert architecture.resolution == splits.image_size
    of_colours = type(skeleton)(**{**vars(skeleton), "in_channels": 3})
    assert exit_costs(type(architecture)(32, architecture.stages, ()), of_colours).cumulative == (2_425_824,)


def test_it_is_trained_with_and_without_a_teacher_once_each(tiny_run, tmp_path: Path, monkeypatch, capsys) -> None:
    run, out = tiny_run("data.max_train_images=200"), tmp_path / "hand-made.csv"
    settings = ["--set", "final_training.epochs=1", "--set", "final_training.teacher={source: supernet}"]
    arguments = ["hand_made", str(run.path), "--out", str(out), *settings, "--seeds", "100"]
    monkeypatch.setattr("sys.argv", arguments)
    with monkeypatch.context() as context:
        context.setattr(hand_made, "train_network", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            hand_made.main()
    hand_made.main()  # goes on with the file that was left, which has its header once
    rows = list(csv.DictReader(out.open()))
    assert [row["teacher"] for row in rows] == ["yes", "no"]
    assert all(0.0 <= float(row["test_accuracy"]) <= 100.0 and row["epochs"] == "1" for row in rows)
    assert "relu, teacher no, epochs 1:" in capsys.readouterr().out
    assert [path.name for path in tmp_path.glob("*.safetensors")] == []
    with monkeypatch.context() as context:
        context.setattr(hand_made, "train_network", lambda *_, **__: pytest.fail("trained again"))
        hand_made.main()
    assert list(csv.DictReader(out.open())) == rows
    monkeypatch.setattr("sys.argv", [*arguments, "--activation", "hardswish"])
    hand_made.main()
    assert [row["activation"] for row in csv.DictReader(out.open())] == ["relu", "relu", "hardswish", "hardswish"]
    longer = rows[1] | {"epochs": "2", "test_accuracy": "100.0"}  # must not enter the mean of the shorter ones
    before = float(rows[1]["test_accuracy"])
    capsys.readouterr()
    hand_made.print_means([*rows, longer])
    assert f"relu, teacher no, epochs 1: {before:.2f} % (1 seed)" in capsys.readouterr().out


def test_a_recipe_without_a_teacher_trains_it_alone(tiny_run, tmp_path: Path, monkeypatch) -> None:
    run, out = tiny_run("data.max_train_images=200"), tmp_path / "hand-made.csv"
    settings = ["--set", "final_training.epochs=1", "--set", "final_training.teacher=null"]
    monkeypatch.setattr("sys.argv", ["hand_made", str(run.path), "--out", str(out), *settings])
    monkeypatch.setattr(hand_made, "prepare_supernet", lambda *_: pytest.fail("needs no supernet"))
    hand_made.main()
    assert [row["teacher"] for row in csv.DictReader(out.open())] == ["no"]
    monkeypatch.setattr(
        hand_made, "train_network", lambda *_, **__: pytest.fail("trained again for a supernet it never saw")
    )
    monkeypatch.setattr("sys.argv", [*sys.argv, "--set", "supernet.epochs=7"])
    hand_made.main()
