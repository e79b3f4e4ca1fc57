"""Predictions for pictures as rows or as a table, for `aebnas-bo predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from rich.table import Table
from rich.text import Text

from aebnas_bo.data.names import printable
from aebnas_bo.deploy.runtime import BATCH_SIZE, DeployedNetwork
from aebnas_bo.space.macs import millions


class PredictionRow(TypedDict):
    """Prediction for one picture.

    `exit` is the name of the output at which it left, `macs` the MACs up to there.
    """

    file: str
    label: int
    class_name: str
    confidence: float
    exit: str
    macs: int


def prediction_rows(network: DeployedNetwork, files: Sequence[Path]) -> list[PredictionRow]:
    """Classify pictures batch by batch.

    Args:
        network: The network.
        files: Paths of pictures.

    Raises:
        DataError: If a picture cannot be read.
    """
    names, outputs = network.description.class_names, network.description.outputs
    rows: list[PredictionRow] = []
    for start in range(0, len(files), BATCH_SIZE):
        batch = files[start : start + BATCH_SIZE]
        found = network.predict(batch)
        columns = (found.labels.tolist(), found.confidences.tolist(), found.exit_indices.tolist())
        for file, label, confidence, left_at in zip(batch, *columns, strict=True):
            rows.append(
                PredictionRow(
                    file=printable(str(file)), label=label, class_name=names[label], confidence=round(confidence, 6),
                    exit=outputs[left_at].name, macs=outputs[left_at].macs,
                )
            )  # fmt: skip
    return rows


def prediction_table(network: DeployedNetwork, rows: Sequence[PredictionRow]) -> Table:
    """Return the rows as a table for the terminal, with the average cost below.

    Args:
        network: The network.
        rows: Its predictions; at least one row.
    """
    average = millions(sum(row["macs"] for row in rows) / len(rows))
    worst = millions(network.description.outputs[-1].macs)
    table = Table(
        title=f"Network {network.description.key}",
        caption=f"{average:.4g} M MACs per picture on average; {worst:.4g} M without early exits",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("picture", overflow="fold")
    table.add_column("class", overflow="fold")
    for name in ("confidence", "left at", "MACs (M)"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            Text(row["file"]), Text(row["class_name"]), f"{row['confidence']:.3f}", row["exit"],
            f"{millions(row['macs']):.4g}",
        )  # fmt: skip
    return table
