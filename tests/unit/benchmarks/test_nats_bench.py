"""Cells of NATS-Bench: MACs against published numbers, and tables that are not the benchmark."""

import csv
import itertools
from pathlib import Path

import pytest

from aebnas_bo.errors import DataError, UsageError
from benchmarks.nats_bench import EDGES, IMAGE_SETS, NUM_CELLS, OPERATIONS, load_table, network_macs, parse_cell
from benchmarks.problem import load_problem

FIRST = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"


@pytest.mark.parametrize(
    ("images", "published"), [("cifar10", 15.64737), ("cifar100", 15.65322), ("imagenet16-120", 3.91948)]
)
def test_macs_are_the_published_ones_less_a_bias_per_class(images, published) -> None:
    # Published for the benchmark's cell 0; see the issue "FLOPS data in nasbench201" of D-X-Y/NATS-Bench.
    found = network_macs(parse_cell(FIRST), IMAGE_SETS[images])
    assert (found + IMAGE_SETS[images].num_classes) / 1e6 == pytest.approx(published, abs=1e-9)


def test_macs_of_an_empty_cell_are_those_of_the_skeleton() -> None:
    stem = 9 * 3 * 16 * 32 * 32
    first = (9 * 16 * 32 + 9 * 32 * 32 + 16 * 32) * 16 * 16
    second = (9 * 32 * 64 + 9 * 64 * 64 + 32 * 64) * 8 * 8
    empty = network_macs(("none",) * 6, IMAGE_SETS["cifar10"])
    assert empty == stem + first + second + 64 * 10
    per_cell = 5 * 9 * 16 * 16 * 32 * 32  # five 3x3 convolutions, at equal cost in each stage
    assert network_macs(parse_cell(BEST), IMAGE_SETS["cifar10"]) == empty + 15 * per_cell


def test_operations_are_read_in_the_order_of_the_edges() -> None:
    by_edge = dict(zip(EDGES, parse_cell(FIRST), strict=True))
    assert by_edge["edge_0_1"] == "avg_pool_3x3"
    assert by_edge["edge_0_2"] == by_edge["edge_0_3"] == "nor_conv_1x1"


@pytest.mark.parametrize(
    "text", ["", FIRST[:-1], FIRST.replace("skip_connect~2", "skip_connect~1"), FIRST.replace("avg_pool", "max_pool")]
)
def test_a_text_that_is_no_cell_is_refused(text) -> None:
    with pytest.raises(DataError, match="not a cell"):
        parse_cell(text)


def write_table(path: Path, num_cells: int = NUM_CELLS) -> Path:
    """Write a made-up table: accuracy grows with the number of convolutions, with diminishing returns."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*(images.column for images in IMAGE_SETS.values()), "ArchitectureString"])
        for a, b, c, d, e, f in itertools.islice(itertools.product(OPERATIONS, repeat=6), num_cells):
            accuracy = 90.0 - 10.0 * 0.5 ** sum("conv" in name for name in (a, b, c, d, e, f))
            writer.writerow([accuracy] * 3 + [f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"])
    return path


def test_a_missing_or_foreign_table_is_refused_with_its_source(tmp_path: Path) -> None:
    images = IMAGE_SETS["cifar10"]
    with pytest.raises(DataError, match=r"no such file; give the table with --table FILE: .*NATS-Bench"):
        load_table(tmp_path / "table.csv", images)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"has no column CIFAR10TestAccuracy200Epochs; expected .*NATS-Bench"):
        load_table(tmp_path / "table.csv", images)
    with pytest.raises(DataError, match="has 30 different cells, expected 15625"):
        load_table(write_table(tmp_path / "part.csv", 30), images)
    with pytest.raises(UsageError, match="nats/cifar10 needs the table of NATS-Bench: give it with --table FILE"):
        load_problem("nats/cifar10")


@pytest.mark.slow
def test_the_reference_lies_a_tenth_of_the_front_beyond_its_nadir(tmp_path: Path) -> None:
    problem = load_problem("nats/cifar10", write_table(tmp_path / "table.csv"))
    accuracy, macs = problem.objectives
    cheapest, dearest = 7.78304, 7.78304 + 6 * 3.93216  # six 1x1 convolutions have the accuracy of six 3x3 ones
    assert accuracy.reference == pytest.approx(80.0 - 0.1 * (90.0 - 10.0 / 64.0 - 80.0), abs=1e-3)
    assert macs.reference == pytest.approx(dearest + 0.1 * (dearest - cheapest), abs=1e-3)
    steps = [90.0 - 10.0 * 0.5**count - accuracy.reference for count in range(7)]
    widths = [3.93216] * 6 + [macs.reference - dearest]
    assert problem.best_hypervolume == pytest.approx(sum(a * b for a, b in zip(steps, widths, strict=True)))
