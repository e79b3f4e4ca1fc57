import csv
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from aebnas_bo.analysis.trained_point import TrainedPoint
from aebnas_bo.deploy.shortlist_file import HEADER, SHORTLIST_FILE, read_shortlist
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.shortlist.rungs import RungResult
from aebnas_bo.shortlist.shortlist_table import (
    goal_text,
    ranking_text,
    rung_result_row,
    shortlist_table,
    write_shortlist,
)

SMALL, LARGE = TuningGoal("max_macs", 12345.6), TuningGoal("max_macs", 2e6)
FIRST = RungResult(0, 2, "aaaa", LARGE, 91.0, 80.0, 1.5, 0.0, 0.0, is_met=True, is_kept=True)
JUDGEMENTS = [
    FIRST,
    replace(FIRST, key="cccc", accuracy=79.5, is_kept=True),
    replace(FIRST, key="bbbb", accuracy=70.0, behind=10.0, behind_sem=1.25, is_kept=False, origin="surrogate"),
    replace(FIRST, rung=1, epochs=5, key="cccc", accuracy=86.0, is_met=False),
    replace(FIRST, rung=1, epochs=5, accuracy=85.0, behind=1.0, is_kept=False),
]


def shown(rung_results) -> list[str]:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(shortlist_table(rung_results))
    return console.export_text().splitlines()


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / SHORTLIST_FILE).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_goals_are_written_as_on_the_command_line() -> None:
    assert goal_text(SMALL) == "macs<=0.0123456"
    assert goal_text(TuningGoal("min_accuracy", 97.5)) == "accuracy>=97.5"


def test_a_row_has_every_figure() -> None:
    row = rung_result_row(JUDGEMENTS[2])
    assert list(row) == HEADER
    assert list(row.values()) == [1, 2, "macs<=2", "bbbb", 91.0, 70.0, 1.5, 10.0, 1.25, 1, 0, "surrogate"]


def test_the_table_has_the_longest_training_of_each_network_best_first() -> None:
    lines = [line for line in shown(JUDGEMENTS) if "macs<=2" in line]
    assert [next(key for key in ("aaaa", "bbbb", "cccc") if key in line) for line in lines] == ["cccc", "aaaa", "bbbb"]
    assert "86.00" in lines[0]
    assert "chosen, misses the goal" in lines[0]
    assert not any("79.50" in line for line in lines)
    assert "10.00 ± 1.25" in lines[2]
    assert "chosen" not in lines[1]
    assert ["surrogate" in line for line in lines] == [False, False, True]
    assert "estimate " in lines[0]


def ranked(*figures: tuple[float, float, float]) -> list[RungResult]:
    return [
        replace(FIRST, key=str(n), estimate=estimate, average_macs=macs, accuracy=accuracy)
        for n, (estimate, macs, accuracy) in enumerate(figures)
    ]


def test_ranking_of_the_estimates_stands_beside_that_of_macs() -> None:
    good = ranked((1.0, 1.0, 60.0), (2.0, 3.0, 70.0), (3.0, 2.0, 80.0), (4.0, 4.0, 90.0))
    # of six pairs the MACs have one in the wrong order
    assert ranking_text(good) == (
        "ranking of 4 short trainings, macs<=2: Kendall tau of the estimates 1.00, of average MACs alone 0.67"
    )
    poor = ranked((4.0, 1.0, 60.0), (3.0, 3.0, 70.0), (2.0, 2.0, 80.0), (1.0, 4.0, 90.0))
    assert ranking_text(poor).endswith("; the supernet needs longer training to rank networks")


def test_nothing_is_said_of_a_ranking_of_few_networks() -> None:
    assert ranking_text(JUDGEMENTS) == ""


def test_what_is_written_is_read_as_trained_points(tmp_path: Path) -> None:
    write_shortlist(tmp_path, JUDGEMENTS)
    assert len(rows(tmp_path)) == 5
    assert read_shortlist(tmp_path) == [
        TrainedPoint("aaaa", "short", 5, 85.0, 1.5, "network aaaa, short training of 5 epochs"),
        TrainedPoint("cccc", "short", 5, 86.0, 1.5, "network cccc, short training of 5 epochs"),
        TrainedPoint("bbbb", "short", 2, 70.0, 1.5, "network bbbb, short training of 2 epochs"),
    ]


def test_another_goal_adds_rows_and_the_same_goal_replaces_them(tmp_path: Path) -> None:
    write_shortlist(tmp_path, JUDGEMENTS)
    write_shortlist(tmp_path, [replace(FIRST, goal=SMALL)])
    assert [row["goal"] for row in rows(tmp_path)] == ["macs<=2"] * 5 + ["macs<=0.0123456"]
    write_shortlist(tmp_path, JUDGEMENTS[:1])
    assert [row["goal"] for row in rows(tmp_path)] == ["macs<=0.0123456", "macs<=2"]
