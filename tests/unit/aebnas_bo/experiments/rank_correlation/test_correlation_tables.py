import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from aebnas_bo.errors import CorruptStateError
from aebnas_bo.experiments.rank_correlation.agreement import Comparison, agreements
from aebnas_bo.experiments.rank_correlation.correlation_tables import (
    correlation_table,
    plot_fidelity,
    read_rows,
    tau_table,
    write_agreements,
    write_rows,
)
from aebnas_bo.experiments.rank_correlation.settings import FidelityConfig
from aebnas_bo.experiments.rank_correlation.statistics import AgainstMacs, Agreement, Interval
from tests.fitting import check_fit

QUANTITIES = ("accuracy", "average_macs", "final", "exit1")


def comparisons(count: int = 8, repeats: int = 1) -> list[Comparison]:
    generator = np.random.default_rng(0)

    def one(number: int) -> Comparison:
        has_exit = number % 2 == 0
        names = QUANTITIES if has_exit else QUANTITIES[:3]
        estimates, *alone = ({name: float(generator.uniform(1, 90)) for name in names} for _ in range(repeats + 1))
        macs = {name: float(generator.uniform(1, 9)) for name in names[2:]}
        return Comparison({"width": number, "exit1_threshold": 0.5}, f"key{number}", macs, estimates, tuple(alone))

    return [one(number) for number in range(count)]


def found(entries):
    return agreements(
        entries, QUANTITIES, config=FidelityConfig(bootstrap_samples=100), generator=np.random.default_rng(0)
    )


def test_rows_hold_both_values_and_the_parameters(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.csv", comparisons(2), quantities=QUANTITIES, names=["width", "exit1_threshold"])
    header, first, second = (tmp_path / "rows.csv").read_text().splitlines()
    assert header == (
        "network,key,accuracy_estimate,accuracy_alone,average_macs_estimate,average_macs_alone,final_estimate,"
        "final_alone,final_macs,exit1_estimate,exit1_alone,exit1_macs,width,exit1_threshold"
    )
    assert first.startswith("0,key0,")
    assert second.endswith(",,,,1,0.5")  # no exit 1


@pytest.mark.parametrize("repeats", [1, 2])
def test_all_statistics_can_be_computed_again_from_the_rows(tmp_path: Path, repeats: int) -> None:
    entries = comparisons(repeats=repeats)
    write_rows(tmp_path / "rows.csv", entries, quantities=QUANTITIES, names=["width", "exit1_threshold"])
    read, quantities = read_rows(tmp_path / "rows.csv")
    assert (read, quantities) == (entries, QUANTITIES)
    assert found(read) == found(entries)


@pytest.mark.parametrize(
    "text", ["", "key,final_alone\na,1.0\n", "key,exit1_estimate,exit1_alone,exit1_macs\na,1,b,2\n"]
)
def test_a_file_without_rows_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(CorruptStateError, match="holds no rows of a study"):
        read_rows(tmp_path / "rows.csv")


def test_agreements_are_json_with_their_facts(tmp_path: Path) -> None:
    write_agreements(tmp_path / "fidelity.json", found(comparisons()), {"seed": 3})
    document = json.loads((tmp_path / "fidelity.json").read_text())
    assert document["seed"] == 3
    assert [entry["quantity"] for entry in document["agreements"]] == [*QUANTITIES]
    first = document["agreements"][0]
    assert first["kendall_tau"].keys() == {"value", "low", "high"}
    assert first["against_macs"].keys() == {"kendall_tau", "gain", "partial_kendall_tau"}
    assert document["verdict"].startswith("Estimates ")


def printed(table, width: int) -> list[str]:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    return console.export_text().splitlines()


def test_the_tables_name_every_quantity_and_its_interval() -> None:
    entries = found(comparisons())
    taus, others = "\n".join(printed(tau_table(entries), 100)), "\n".join(printed(correlation_table(entries), 100))
    for part in ("whole network", "average MACs", "final exit", "exit1", "estimates", "MACs alone", "partial"):
        assert part in taus
    for part in ("whole network", "Spearman rho", "Pearson r", "top-3 regret"):
        assert part in others


def test_the_tables_fit_into_100_columns() -> None:
    tau, gain, regret = Interval(0.44, 0.11, 0.77), Interval(-0.22, -0.33, -0.11), Interval(12.34, 1.23, 23.45)
    regrets = dict.fromkeys((1, 3, 5), regret)
    entries = [Agreement("accuracy", 24, tau, AgainstMacs(tau, gain, gain), tau, tau, regrets, tau)]
    for table in (tau_table(entries), correlation_table(entries)):
        assert sum("whole network" in line and "]" in line for line in printed(table, 100)) == 1
        assert not any(line.strip().startswith("[") for line in printed(table, 100))
        assert max(map(len, map(str.rstrip, printed(table, 200)))) <= 100
        check_fit(table, 80)


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    entries = comparisons()
    plot_fidelity(tmp_path / "fidelity.png", entries, found(entries))
    assert imread(tmp_path / "fidelity.png").shape[:2] == (1000, 2200)
    assert not list(tmp_path.glob("*.tmp.png"))
