import csv
from pathlib import Path

import pytest
from rich.console import Console

from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.latency_measurement import EARLY, FORCED, PLAIN, Latency
from aebnas_bo.deploy.trained_table import (
    latency_table,
    other_recipes,
    outputs_table,
    training_table,
    write_outputs_csv,
)
from tests.fitting import check_fit


@pytest.fixture
def networks(make_network) -> list[NetworkDescription]:
    """Two seeds of one recipe, and another recipe."""
    description = make_network()[1]
    origins = [{"seed": 0, "recipe": "aaa111"}, {"seed": 1, "recipe": "aaa111"}, {"seed": 0, "recipe": "bbb222"}]
    return [description.model_copy(update={"origin": description.origin.model_copy(update=one)}) for one in origins]


def test_training_table_names_the_recipe(networks) -> None:
    console = Console(width=140)
    with console.capture() as capture:
        console.print(training_table(networks[:2]))
    assert f"Network {networks[0].key}, trained for 1 epoch (recipe aaa111)" in capture.get()


def test_training_table_shows_plain_networks_below(networks) -> None:
    console = Console(width=160)
    better = networks[1].validation.model_copy(update={"accuracy": 92.0})
    plain = [networks[0].model_copy(update={"estimated_accuracy": None})]
    plain.append(networks[1].model_copy(update={"estimated_accuracy": None, "validation": better}))
    with console.capture() as capture:
        console.print(training_table(networks[:2], plain))
    rows = [[cell.strip() for cell in line.split("│")[1:4]] for line in capture.get().splitlines() if "│" in line]
    assert rows == [
        ["0", "88.00", "90.00"], ["1", "88.00", "90.00"], ["mean", "88.00 ± 0.00", "90.00 ± 0.00"],
        ["plain network, 0", "–", "90.00"], ["plain network, 1", "–", "92.00"],
        ["plain network, mean", "–", "91.00 ± 1.41"],
    ]  # fmt: skip


def test_training_table_leaves_out_estimates_if_there_are_none(networks) -> None:
    brief = [one.model_copy(update={"estimated_accuracy": None}) for one in networks[:2]]
    console = Console(width=160)
    for shown, has_column in ((networks[:2], True), (brief, False)):
        with console.capture() as capture:
            console.print(training_table(shown))
        text = capture.get()
        assert ("estimate (%)" in text) == has_column
        assert "validation (%)" in text


def test_other_recipes_are_listed_with_validation_accuracies(networks) -> None:
    assert other_recipes(networks, "bbb222") == [
        "also trained by recipe aaa111, 1 epoch: seed 0 90.00 %, seed 1 90.00 % of the validation images"
    ]
    assert other_recipes(networks[:2], "aaa111") == []


def test_outputs_csv_tells_recipes_apart(networks, tmp_path: Path) -> None:
    write_outputs_csv(tmp_path / "key.csv", networks)
    rows = list(csv.DictReader((tmp_path / "key.csv").open()))
    assert len(rows) == 3 * 2 * 3  # networks, splits, outputs
    assert {(row["seed"], row["recipe"]) for row in rows} == {("0", "aaa111"), ("1", "aaa111"), ("0", "bbb222")}


def test_tables_fit_a_terminal_and_nothing_of_them_is_cut(networks) -> None:
    spread = networks[1].test.model_copy(update={"accuracy": 92.0})
    several = [networks[0], networks[1].model_copy(update={"test": spread})]
    assert "plain network, mean" in check_fit(training_table(several, several))
    check_fit(outputs_table(networks[0]))
    times = [
        Latency("onnx", 256, variant, 123.456, 234.567, 125.0, macs)
        for variant, macs in ((EARLY, 123.4), (FORCED, 234.5), (PLAIN, 345.6))
    ]
    check_fit(latency_table(times))
