import csv
from pathlib import Path

import pytest

from aebnas_bo.analysis.front_correction import CorrectedPoint
from aebnas_bo.analysis.hypervolume import hypervolume_curve
from aebnas_bo.analysis.tables import write_csv, write_tables
from tests.made_trials import with_further

from .conftest import make_point, make_trial


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables_hold_everything(tmp_path: Path, trials, objectives) -> None:
    write_tables(
        tmp_path,
        trials,
        objectives,
        parameter_names=["exit1_depth", "exit1_threshold"],
        exit_names=["exit1_rate", "final_rate"],
    )
    rows = read(tmp_path / "trials.csv")
    assert list(rows[0]) == [
        "trial", "key", "status", "reason", "accuracy", "accuracy_sem", "average_macs", "average_macs_sem",
        "exit1_rate", "final_rate", "exit1_depth", "exit1_threshold", "generation_s", "evaluation_s",
    ]  # fmt: skip
    assert rows[3]["status"] == "FAILED"
    assert rows[3]["reason"] == "RuntimeError: two lines, and a comma"
    assert rows[3]["accuracy"] == ""
    assert [row["trial"] for row in read(tmp_path / "pareto_front.csv")] == ["5", "0", "2", "1"]


def test_front_has_corrected_accuracies(tmp_path: Path, trials, objectives) -> None:
    write_tables(
        tmp_path,
        trials,
        objectives,
        parameter_names=[],
        exit_names=[],
        corrected={(0, 0): CorrectedPoint(49.0, 52.0, 2.1)},
    )
    rows = {row["trial"]: row for row in read(tmp_path / "pareto_front.csv")}
    assert (rows["0"]["accuracy_corrected"], rows["0"]["average_macs_corrected"]) == ("49.0", "2.1")
    assert rows["1"]["accuracy_corrected"] == ""
    assert "accuracy_corrected" not in read(tmp_path / "trials.csv")[0]


def test_curve_recomputed_from_the_file_is_the_same(tmp_path: Path, objectives) -> None:
    many = [make_trial(n, 100 / (n + 3) + n / 7, 4.9 / (n + 1) ** 0.5) for n in range(30)]
    write_tables(tmp_path, many, objectives, parameter_names=[], exit_names=[])
    again = [
        make_trial(int(row["trial"]), float(row["accuracy"]), float(row["average_macs"]))
        for row in read(tmp_path / "trials.csv")
    ]
    written = [(int(row["trial"]), float(row["hypervolume"])) for row in read(tmp_path / "hypervolume.csv")]
    assert written == hypervolume_curve(again, objectives) == hypervolume_curve(many, objectives)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    write_csv(path, ["a"], [[1]])

    def rows():
        yield [2]
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError):
        write_csv(path, ["a"], rows())
    assert read(path) == [{"a": "1"}]
    assert list(tmp_path.iterdir()) == [path]


def test_further_settings_stand_in_their_own_table_and_on_the_front(tmp_path: Path, objectives) -> None:
    trial = with_further(make_trial(1, 80.0, 3.0), make_point(0.1, 70.0, 2.0), make_point(0.9, 75.0, 3.5))
    many = [make_trial(0, 60.0, 2.5), trial]
    write_tables(
        tmp_path, many, objectives, parameter_names=["exit1_depth", "exit1_threshold"], exit_names=["exit1_rate"]
    )
    assert [row["trial"] for row in read(tmp_path / "trials.csv")] == ["0", "1"]
    settings = read(tmp_path / "settings.csv")
    assert [(row["trial"], row["setting"]) for row in settings] == [("0", "0"), ("1", "0"), ("1", "1"), ("1", "2")]
    assert (settings[2]["exit1_threshold"], settings[2]["exit1_depth"], settings[2]["exit1_rate"]) == (
        "0.1",
        "1",
        "0.6",
    )
    front = [(row["trial"], row["setting"], row["accuracy"]) for row in read(tmp_path / "pareto_front.csv")]
    assert front == [("1", "1", "70.0"), ("1", "0", "80.0")]
    last = read(tmp_path / "hypervolume.csv")[-1]
    assert float(last["hypervolume"]) == (60.0 - 10.0) * (5.0 - 2.5) + (80.0 - 60.0) * (5.0 - 3.0)
    assert float(last["hypervolume_with_settings"]) == (70.0 - 10.0) * (5.0 - 2.0) + (80.0 - 70.0) * (5.0 - 3.0)
