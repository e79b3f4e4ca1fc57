import json
from pathlib import Path

import numpy as np
from matplotlib.image import imread
from rich.console import Console

from aebnas_bo.config import FidelityConfig
from aebnas_bo.fidelity.comparison import Comparison, agreements
from aebnas_bo.fidelity.outputs import agreement_table, plot_fidelity, write_agreements, write_rows

QUANTITIES = ("accuracy", "average_macs", "final", "exit1")


def comparisons(count: int = 8) -> list[Comparison]:
    generator = np.random.default_rng(0)

    def one(number: int) -> Comparison:
        has_exit = number % 2 == 0
        names = QUANTITIES if has_exit else QUANTITIES[:3]
        estimates, alone = ({name: float(generator.uniform(1, 90)) for name in names} for _ in range(2))
        return Comparison({"width": number, "exit1_threshold": 0.5}, f"key{number}", number + 1.0, estimates, alone)

    return [one(number) for number in range(count)]


def found(entries):
    return agreements(entries, QUANTITIES, FidelityConfig(bootstrap_samples=100), np.random.default_rng(0))


def test_rows_hold_both_values_and_the_parameters(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.csv", comparisons(2), QUANTITIES, ["width", "exit1_threshold"])
    header, first, second = (tmp_path / "rows.csv").read_text().splitlines()
    assert header == (
        "network,key,macs,accuracy_estimate,accuracy_alone,average_macs_estimate,average_macs_alone,final_estimate,"
        "final_alone,exit1_estimate,exit1_alone,width,exit1_threshold"
    )
    assert first.startswith("0,key0,1.0,")
    assert second.endswith(",,,1,0.5")  # no exit 1


def test_agreements_are_json_with_their_facts(tmp_path: Path) -> None:
    write_agreements(tmp_path / "fidelity.json", found(comparisons()), {"seed": 3})
    document = json.loads((tmp_path / "fidelity.json").read_text())
    assert document["seed"] == 3
    assert [entry["quantity"] for entry in document["agreements"]] == [*QUANTITIES]
    assert document["agreements"][0]["kendall_tau"].keys() == {"value", "low", "high"}


def test_the_table_names_every_quantity_and_its_interval() -> None:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(agreement_table(found(comparisons())))
    text = console.export_text()
    for part in ("whole network", "average MACs", "final exit", "exit1", "Kendall tau", "top-3 regret"):
        assert part in text


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    entries = comparisons()
    plot_fidelity(tmp_path / "fidelity.png", entries, found(entries))
    assert imread(tmp_path / "fidelity.png").shape[:2] == (1000, 2200)
    assert not list(tmp_path.glob("*.tmp.png"))
