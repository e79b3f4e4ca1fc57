"""Plain networks of several shapes, compared at equal MACs and training time."""

import sys
from pathlib import Path

import pytest

from aebnas_bo.errors import UsageError
from aebnas_bo.space.macs import exit_costs
from benchmarks import plain_shapes
from benchmarks.plain_shapes import Shape, plain_of, table


@pytest.mark.parametrize(
    "text",
    [
        "32:2,1:4",
        "32:2,1:3,5",
        "32:2,1:3:0",
        "32:2,1:3:1,1",
        "32:2,1:3:1:1",
        "32:2,1::2",
        "",
        "32",
        "32:2",
        "0:2,1",
        "32:2,x",
        "32:3,1,2",
        "x:2,1,2",
    ],
)
def test_a_wrong_shape_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--shapes: expected SIDE:STEM,STAGE"):
        Shape.parse(text)


def test_networks_of_all_shapes_have_the_wanted_macs() -> None:
    for text in ("96:2,2,2,2", "48:2,2,2,2", "32:1,2,2,2", "32:2,1,2,2"):
        architecture, skeleton = plain_of(Shape.parse(text), 0.5e6, in_channels=3, num_classes=10)
        assert 0.47e6 < exit_costs(architecture, skeleton).cumulative[-1] < 0.53e6
        assert [len(stage.blocks) for stage in architecture.stages] == [2, 2, 1]
        assert skeleton.stem_stride == int(text[3])


@pytest.mark.slow
def test_what_stands_in_the_file_is_not_run_again(tmp_path: Path, monkeypatch, capsys) -> None:
    config, out = tmp_path / "digits.yaml", tmp_path / "rows.csv"
    config.write_text("name: digits8\ndata:\n  max_train_images: 200\n")
    command = ["prog", str(config), "--macs", "0.01", "--shapes", "8:2,1,2", "8:1,2,2", "--seconds", "0.1"]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(out)])
    plain_shapes.main()
    first, rows = capsys.readouterr().out, out.read_text()
    assert len(rows.splitlines()) == 3
    monkeypatch.setattr(plain_shapes, "trained", None)
    plain_shapes.main()
    assert capsys.readouterr().out == first
    assert out.read_text() == rows


def test_differences_are_paired_by_seed_within_a_budget() -> None:
    rows = [
        {"macs": macs, "variant": shape, "seed": str(seed), "million_macs": macs, "epochs": "3", "accuracy": accuracy}
        for macs, shape, seed, accuracy in (
            ("0.2", "first", 0, "60"), ("0.2", "first", 1, "62"), ("0.2", "other", 0, "63"), ("0.2", "other", 1, "67"),
            ("0.8", "first", 0, "70"), ("0.8", "other", 0, "69"),
        )
    ]  # fmt: skip
    lines = table(rows).splitlines()
    assert "4.00 ± 1.00" in lines[3]
    assert "-1.00" in lines[5].replace("−", "-")


def test_kernels_and_numbers_of_blocks_are_those_of_the_stages() -> None:
    architecture, _ = plain_of(Shape.parse("32:2,1,2,2:3,5,7:2,4,1"), 0.5e6, in_channels=3, num_classes=10)
    assert [{block.kernel for block in stage.blocks} for stage in architecture.stages] == [{3}, {5}, {7}]
    assert [len(stage.blocks) for stage in architecture.stages] == [2, 4, 1]
