import csv
from pathlib import Path

import pytest

from aebnas_bo.analysis.hypervolume import hypervolume_curve
from aebnas_bo.analysis.tables import write_csv, write_tables

from .conftest import make_trial


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables_hold_everything(tmp_path: Path, trials, objectives) -> None:
    write_tables(tmp_path, trials, objectives, ["exit1_depth", "exit1_threshold"], ["exit1_rate", "final_rate"])
    rows = read(tmp_path / "trials.csv")
    assert list(rows[0]) == [
        "trial", "key", "status", "reason", "accuracy", "accuracy_sem", "average_macs", "average_macs_sem",
        "exit1_rate", "final_rate", "exit1_depth", "exit1_threshold", "generation_s", "evaluation_s",
    ]  # fmt: skip
    assert rows[3]["status"] == "FAILED"
    assert rows[3]["reason"] == "RuntimeError: two lines, and a comma"
    assert rows[3]["accuracy"] == ""
    assert [row["trial"] for row in read(tmp_path / "pareto_front.csv")] == ["5", "0", "2", "1"]


def test_curve_recomputed_from_the_file_is_the_same(tmp_path: Path, objectives) -> None:
    many = [make_trial(n, 100 / (n + 3) + n / 7, 4.9 / (n + 1) ** 0.5) for n in range(30)]
    write_tables(tmp_path, many, objectives, [], [])
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
