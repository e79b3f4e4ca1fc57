import csv
from pathlib import Path

import pytest
import torch
from rich.console import Console
from rich.table import Table

from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.model_card import model_card
from aebnas_bo.deploy.per_class_accuracy import ClassPredictions, class_predictions
from aebnas_bo.deploy.per_class_tables import class_table, confusions_line, reference_text, write_confusion_csv

NAMES = ("cat", "dog", "<b>emu</b>", "fox")


def predictions_of(num_classes: int) -> ClassPredictions:
    """Ten images of every class but the last; of class `k` `k` of them, nine at most, are taken for the first."""
    labels = torch.arange(num_classes - 1).repeat_interleave(10)
    predictions = labels.clone()
    for label in range(num_classes - 1):
        predictions[10 * label : 10 * label + min(label, 9)] = 0
    return class_predictions(labels, predictions, num_classes)


@pytest.fixture
def network(make_network) -> NetworkDescription:
    description = make_network()[1]
    return description.model_copy(update={"test": description.test.model_copy(update={"by_class": predictions_of(4)})})


def text_of(table: Table, width: int = 100) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_class_table_of_few_classes_is_a_matrix(network) -> None:
    text = text_of(class_table(network, predictions_of(4)))
    assert "Its classes on 20 test images, seed 0" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["class", "images", "accuracy", "(%)", "0", "1", "2", "3"] in rows
    assert ["2", "<b>emu</b>", "10", "80.00", "2", "·", "8", "·"] in rows
    assert ["3", "fox", "0", "–", "·", "·", "·", "·"] in rows


def test_class_table_of_many_classes_has_the_worst_first(network) -> None:
    names = tuple(f"a class with quite a long name {label}" for label in range(30))
    many = network.model_copy(update={"class_names": names})
    text = text_of(class_table(many, predictions_of(30)))
    assert "Its 10 worst of 29 classes" in text
    assert max(map(len, text.splitlines())) <= 100
    first = next(line for line in text.splitlines() if "10.00" in line)
    assert first.split()[0] == "9"
    assert first.count("(9)") == 1


def test_class_lines_name_confusions_and_references() -> None:
    text = confusions_line(predictions_of(4), NAMES)
    assert text == "most frequent confusions: <b>emu</b> taken for cat: 2 of 10; dog taken for cat: 1 of 10"
    right = class_predictions(torch.tensor([0, 1]), torch.tensor([0, 1]), 2)
    assert confusions_line(right, NAMES) == "most frequent confusions: none"
    largest = class_predictions(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 1, 1, 0]), 4)
    assert reference_text(largest, NAMES) == (
        "for reference: chance 25.00 %, always predicting 'dog' (the largest class) 75.00 %"
    )


def test_confusion_csv_has_a_row_per_class_and_answer(network, make_network, tmp_path: Path) -> None:
    write_confusion_csv(tmp_path / "confusion.csv", [make_network()[1], network])  # the first one of earlier versions
    rows = [list(row.values())[3:] for row in csv.DictReader((tmp_path / "confusion.csv").open())]
    assert rows == [
        ["cat", "cat", "10", "10"], ["dog", "cat", "1", "10"], ["dog", "dog", "9", "10"],
        ["<b>emu</b>", "cat", "2", "10"], ["<b>emu</b>", "<b>emu</b>", "8", "10"],
    ]  # fmt: skip


def test_model_card_has_classes_confusions_and_the_largest_class(network, make_network) -> None:
    card = model_card(network, "network.onnx")
    for part in (
        "| for reference | predicting the largest class, cat, for every image is correct for 33.33 % of the test "
        "images; chance is 25.00 % |",
        "| \\<b\\>emu\\</b\\> | 10 | 80.00 |\n| dog | 10 | 90.00 |\n| cat | 10 | 100.00 |",
        "* \\<b\\>emu\\</b\\> taken for cat: 2 of 10",
    ):  # fmt: skip
        assert part in card, part
    assert "## Classes" not in model_card(make_network()[1], "network.onnx")
