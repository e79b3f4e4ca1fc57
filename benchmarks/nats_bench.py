"""The topology space of NATS-Bench: 15,625 trained cells, searched for test accuracy against MACs.

A cell has six edges, each with one of five operations. The table has one row per cell: its test accuracy on three data
sets after 200 epochs. MACs are computed from the cell: convolutions and the classifier as built, without biases. The
published numbers of the benchmark are larger by the biases of the classifier, one per class.

References:
    X. Dong, L. Liu, K. Musial, B. Gabrys. NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size.
    IEEE TPAMI 2021.
    X. Dong, Y. Yang. NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search. ICLR 2020 (the
    skeleton: Figure 1).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aebnas_bo.errors import DataError
from aebnas_bo.estimation.tabular_estimator import TabularEstimator
from aebnas_bo.space.search_space import ChoiceParameter, ParameterValue, SearchSpace

OPERATIONS = ("avg_pool_3x3", "none", "nor_conv_1x1", "nor_conv_3x3", "skip_connect")
EDGES = ("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3")  # from node, to node
SOURCES = ("0", "0", "1", "0", "1", "2")  # node from which each edge starts, in the order of a cell's string
CELL_COLUMN = "ArchitectureString"
NUM_CELLS = 15_625
CELLS_PER_STAGE = 5
CHANNELS = (16, 32, 64)
KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}
SOURCE = (
    "one row per cell of NATS-Bench's topology space (https://github.com/D-X-Y/NATS-Bench), written with its Python "
    "package nats_bench: get_more_info(index, dataset, hp=200, is_random=False)['test-accuracy']"
)


@dataclass(frozen=True)
class ImageSet:
    """Images on which the cells were trained.

    Args:
        column: Column of the test accuracy in the table.
        num_classes: Number of classes.
        resolution: Height and width of an image in pixels.
    """

    column: str
    num_classes: int
    resolution: int


IMAGE_SETS = {
    "cifar10": ImageSet("CIFAR10TestAccuracy200Epochs", 10, 32),
    "cifar100": ImageSet("CIFAR100TestAccuracy200Epochs", 100, 32),
    "imagenet16-120": ImageSet("ImageNetTestAccuracy200Epochs", 120, 16),
}


def parse_cell(text: str) -> tuple[str, ...]:
    """Return the operations of a cell in the order of `EDGES`.

    Args:
        text: Such as `|none~0|+|none~0|none~1|+|none~0|none~1|none~2|`.

    Raises:
        DataError: If the text is not a cell.
    """
    found = re.findall(r"([a-z0-9_]+)~(\d)", text)
    rebuilt = "".join(f"+|{name}~{node}|" if node == "0" else f"{name}~{node}|" for name, node in found)[1:]
    if (
        rebuilt != text
        or tuple(node for _, node in found) != SOURCES
        or any(name not in OPERATIONS for name, _ in found)
    ):
        raise DataError(f"not a cell: {text!r}; expected six operations of {list(OPERATIONS)}, each with its node")
    return tuple(name for name, _ in found)


def network_macs(operations: Sequence[str], images: ImageSet) -> int:
    """Return the multiply-accumulates of the network built from a cell, for one image.

    A stem (3x3 convolution, 3 to 16 channels), three stages of five cells with 16, 32 and 64 channels, between them
    residual blocks that halve the resolution (two 3x3 convolutions, and a 1x1 convolution after average pooling on the
    shortcut), average pooling and a linear classifier. Convolutions whose output no other part uses are counted too.

    Args:
        operations: Operation of each edge.
        images: Data set of the network.
    """
    pixels = images.resolution**2
    macs = 9 * 3 * CHANNELS[0] * pixels
    for stage, width in enumerate(CHANNELS):
        if stage > 0:
            before = CHANNELS[stage - 1]
            pixels //= 4
            macs += (9 * before * width + 9 * width * width + before * width) * pixels
        weights = sum(KERNELS.get(operation, 0) ** 2 for operation in operations)
        macs += CELLS_PER_STAGE * weights * width * width * pixels
    return macs + CHANNELS[-1] * images.num_classes


def load_table(path: Path, images: ImageSet) -> TabularEstimator:
    """Return an estimator of test accuracy in percent and MACs in millions over the six edges.

    Args:
        path: The table, a CSV file.
        images: Data set whose accuracy is read.

    Raises:
        DataError: If the file is missing, is not the table, or does not have every cell once.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; give the table with --table FILE: {SOURCE}")
    rows: dict[tuple[ParameterValue, ...], dict[str, float]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in (images.column, CELL_COLUMN) if name not in (reader.fieldnames or ())]
        if missing:
            raise DataError(f"{path}: has no column {missing[0]}; expected {SOURCE}")
        for row in reader:
            cell = parse_cell(row[CELL_COLUMN])
            macs = network_macs(cell, images) / 1e6
            rows[cell] = {"accuracy": float(row[images.column]), "average_macs": macs}
    if len(rows) != NUM_CELLS:
        raise DataError(f"{path}: has {len(rows)} different cells, expected {NUM_CELLS}; expected {SOURCE}")
    edges = tuple(ChoiceParameter(edge, OPERATIONS, is_ordered=False) for edge in EDGES)
    return TabularEstimator(SearchSpace(edges), rows)
