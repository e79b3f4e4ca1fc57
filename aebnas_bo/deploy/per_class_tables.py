"""Tables of a trained network's predictions by class, for the terminal and as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.per_class_accuracy import ClassPredictions, confusion_text
from aebnas_bo.storage.count_text import counted

MOST_IN_MATRIX = 12  # classes; a larger matrix is only in the CSV file
MOST_ROWS = 10  # classes with the lowest accuracy, if there are too many for a matrix
MOST_CONFUSIONS = 5
MOST_NAME = 24  # characters of a class name in the terminal


def class_table(network: NetworkDescription, predictions: ClassPredictions) -> Table:
    """Return a table of accuracy and confusions by class: a matrix for few classes, else a row per worst class.

    Args:
        network: The network.
        predictions: Its predictions on the test images.
    """
    names = network.class_names
    has_matrix = len(names) <= MOST_IN_MATRIX
    worst = predictions.worst_first()
    shown = list(range(len(names))) if has_matrix else worst[:MOST_ROWS]
    which = "Its classes" if has_matrix else f"Its {len(shown)} worst of {counted(len(worst), 'class', 'classes')}"
    table = Table(
        title=f"{which} on {network.test.images} test images, seed {network.origin.seed}",
        title_justify="left",
        caption="rows: true classes, columns: predictions" if has_matrix else None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("class", no_wrap=True)
    table.add_column("images", justify="right")
    table.add_column("accuracy (%)", justify="right")
    if has_matrix:
        for label in range(len(names)):
            table.add_column(str(label), justify="right", no_wrap=True)
    else:
        table.add_column("most often taken for")
    matrix = predictions.matrix() if has_matrix else []
    for label in shown:
        accuracy = predictions.accuracy(label)
        cells = [_short(label_text(label, names)), str(predictions.images[label])]
        cells.append("–" if accuracy is None else f"{accuracy:.2f}")
        if has_matrix:
            cells += [str(count) if count else "·" for count in matrix[label]]
        else:
            taken = predictions.confusions_of(label)[:3]
            cells.append(", ".join(f"{_short(names[one.predicted])} ({one.images})" for one in taken) or "–")
        table.add_row(*cells)
    return table


def confusions_line(predictions: ClassPredictions, names: Sequence[str]) -> str:
    """Return the most frequent confusions in one line.

    Args:
        predictions: Predictions on the test images.
        names: Names of the classes, by label.
    """
    shown = [confusion_text(one, predictions, names) for one in predictions.confusions[:MOST_CONFUSIONS]]
    return f"most frequent confusions: {'; '.join(shown) or 'none'}"


def reference_text(predictions: ClassPredictions, names: Sequence[str]) -> str:
    """Return the accuracy of two baselines without a network: chance and the most frequent class.

    Args:
        predictions: Predictions on the test images.
        names: Names of the classes, by label.
    """
    return (
        f"for reference: chance {100.0 / len(names):.2f} %, always predicting {names[predictions.largest_class]!r} "
        f"(the largest class) {predictions.largest_class_accuracy:.2f} %"
    )


def label_text(label: int, names: Sequence[str]) -> str:
    """Return the label of a class with its name, unless the name equals the label."""
    return names[label] if names[label] == str(label) else f"{label} {names[label]}"


def write_confusion_csv(path: Path, networks: Sequence[NetworkDescription]) -> None:
    """Write a row for each pair of class and prediction on the test images; earlier versions of networks have none."""
    rows = []
    for network in networks:
        predictions = network.test.by_class
        if predictions is None:
            continue
        for label, counts in enumerate(predictions.matrix()):
            for predicted, count in enumerate(counts):
                if count:
                    names = network.class_names[label], network.class_names[predicted]
                    origin = network.origin
                    rows.append([network.key, origin.seed, origin.recipe, *names, count, predictions.images[label]])
    write_csv(path, ["key", "seed", "recipe", "class", "predicted", "images", "images_of_class"], rows)


def _short(name: str) -> str:
    return name if len(name) <= MOST_NAME else f"{name[: MOST_NAME - 1]}…"
