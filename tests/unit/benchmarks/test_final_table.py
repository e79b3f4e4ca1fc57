"""Trained networks of several searches in one table and figure."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from rich.console import Console

from aebnas_bo.analysis.selection import parse_selection
from aebnas_bo.deploy.training_pipeline import choose_candidate, train_candidate
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.storage.run_folder import RunFolder
from benchmarks import final_table
from benchmarks.final_table import Row, by_network, table


def row(method: str, network: str, seed: int, test: float, macs: float) -> Row:
    return Row(method, network, seed, 20, "", 71.25, 80.0, test, macs, macs / 2, 2 * macs, "60 / 40")


def test_seeds_of_a_network_come_together_cheapest_first() -> None:
    rows = [row("ours", "b", 0, 90.0, 2.0), row("ours", "a", 0, 80.0, 1.0), row("ours", "b", 1, 92.0, 2.2)]
    found = by_network(rows)
    assert [(one.rows[0].network, len(one.rows)) for one in found] == [("a", 1), ("b", 2)]
    assert found[1].mean("test_accuracy") == 91.0


def test_a_network_at_all_budgets_is_averaged_over_seeds_budget_by_budget() -> None:
    points = [[(1.0, 60.0), (2.0, 80.0)], [(1.2, 62.0), (2.2, 84.0)]]
    seeds = tuple(
        replace(
            row("ours", "b", seed, 90.0, 2.0),
            points=tuple({"test_average_macs": str(macs), "test_accuracy": str(right)} for macs, right in its),
        )
        for seed, its in enumerate(points)
    )
    assert by_network(seeds)[0].operating_line() == [(1.1, 61.0), (2.1, 82.0)]
    assert by_network([row("hand-made", "b", 0, 90.0, 2.0)])[0].operating_line() == []


def test_the_table_has_means_spreads_and_the_published_figures() -> None:
    rows = [row("ours", "b", 0, 90.0, 2.0), row("ours", "b", 1, 92.0, 2.2)]
    lines = table(by_network(rows)).splitlines()
    assert lines[2].startswith(
        "| ours | b | 2 | 20 | – | 91.00 ± 1.41 | 2.100 ± 0.141 | 1.050 ± 0.071 | 4.200 ± 0.283 |"
    )
    assert lines[2].endswith("| 60 / 40 | 80.00 ± 0.00 | 71.25 |")
    assert lines[-2].startswith("| NACHOS, published | | | | | 72.65 | – | 2.43 |")
    assert lines[-1].startswith("| AEBNAS, published | | | | | 74.64 | 2.44 | – |")
    assert {line.count("|") for line in lines} == {13}


def test_trained_networks_and_the_hand_made_one_are_collected(tiny_run, tmp_path: Path, monkeypatch) -> None:
    run = tiny_run("data.max_train_images=200").path.rename(tmp_path / "ours-seed3")
    candidate = choose_candidate(RunFolder(run), parse_selection("knee"), ["final_training.epochs=1"])
    trained = train_candidate(candidate, 7, is_again=False, progress=RunProgress(Console(stderr=True), quiet=True))
    hand_made = tmp_path / "hand-made.csv"
    hand_made.write_text(
        "activation,teacher,seed,settings,epochs,macs_millions,validation_accuracy,test_accuracy\nrelu,no,0,x,20,2.425824,84.0,83.5\n"
    )
    out = tmp_path / "results"
    arguments = ["final_table", str(run), "--hand-made", str(hand_made), "--budget", "2.44", "--out", str(out)]
    monkeypatch.setattr("sys.argv", arguments)
    final_table.main()
    other, ours = csv.DictReader((out / "networks.csv").open())
    assert (ours["method"], ours["network"], ours["seed"]) == ("ours", trained.key, "7")
    assert float(ours["test_accuracy"]) == pytest.approx(trained.test.accuracy, abs=1e-3)
    assert float(ours["average_macs"]) == pytest.approx(trained.test.average_macs, abs=1e-6)
    assert (other["method"], other["network"], other["test_accuracy"]) == ("hand-made, relu", "labels alone", "83.5")
    points = list(csv.DictReader((out / "operating_points.csv").open()))
    assert {(point["method"], point["network"], point["seed"]) for point in points} == {("ours", trained.key, "7")}
    assert max(float(point["budget"]) for point in points) == candidate.costs.cumulative[-1] / 1e6
    assert "| hand-made, relu | labels alone | 1 | 20 | – | 83.50 | 2.426 | 2.426 | 2.426 | 100 | 84.00 | – |" in (
        out / "table.md"
    ).read_text(encoding="utf-8")
    assert (out / "front.png").stat().st_size > 10_000


def test_trainings_of_different_lengths_are_told_apart(tmp_path: Path, monkeypatch) -> None:
    short, long = row("ours", "b", 0, 90.0, 2.0), replace(row("ours", "b", 0, 93.0, 2.1), epochs=60)
    legends: list[list[str]] = []
    monkeypatch.setattr(Axes, "legend", lambda axes, **_: legends.append(axes.get_legend_handles_labels()[1]))
    final_table.plot(tmp_path / "one.png", by_network([short]), 2.44)
    final_table.plot(tmp_path / "two.png", by_network([short, long]), 2.44)
    assert legends == [["ours"], ["ours, 60 epochs", "ours, 20 epochs"]]
    assert [one.epochs for one in by_network([short, long])] == [20, 60]


@pytest.mark.slow
def test_networks_whose_weights_are_gone_stay_where_asked(tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "results"
    arguments = ["final_table", "RUN", "--budget", "2.44", "--out", str(out)]

    def table_after(rows: list[Row], *more: str) -> list[tuple[str, int, int, float, int]]:
        monkeypatch.setattr("sys.argv", [*arguments, *more])
        monkeypatch.setattr(final_table, "searched_rows", lambda _: list(rows))
        final_table.main()
        return [
            (one.method, one.seed, one.epochs, one.test_accuracy, len(one.points))
            for one in final_table.earlier_rows(out)
        ]

    point = dict.fromkeys(final_table.POINT_FIGURES, "1.5")
    gone, kept = (replace(row("ours", "b", seed, 90.0, 2.0), points=(point, point)) for seed in (0, 1))
    plain = replace(row("hand-made, relu", "labels alone", 0, 84.0, 2.5), estimated_accuracy="")
    first, second = ("hand-made, relu", 0, 20, 84.0, 0), ("ours", 0, 20, 90.0, 2)
    assert table_after([gone, kept, plain], "--add") == [first, second, ("ours", 1, 20, 90.0, 2)]
    measured_anew = [replace(kept, epochs=60), replace(kept, test_accuracy=92.0)]
    both = [("ours", 1, 20, 92.0, 2), ("ours", 1, 60, 90.0, 2)]
    assert table_after(measured_anew, "--add") == [first, second, *both]
    assert table_after(measured_anew) == both


def test_table_and_figure_are_made_again_from_the_kept_rows(tmp_path: Path, monkeypatch) -> None:
    def call(*arguments: str) -> None:
        monkeypatch.setattr("sys.argv", ["final_table", *arguments, "--budget", "2.44", "--out", str(tmp_path)])
        final_table.main()

    monkeypatch.setattr(final_table, "searched_rows", lambda _: [row("ours", "b", 0, 90.0, 2.0)])
    call("RUN")
    kept = {name: (tmp_path / name).read_bytes() for name in ("networks.csv", "table.md", "front.png")}
    for name in ("table.md", "front.png"):
        (tmp_path / name).unlink()
    call("--add")
    assert {name: (tmp_path / name).read_bytes() for name in kept} == kept
    with pytest.raises(SystemExit, match="no RUN: no trained network"):
        call()


@pytest.mark.slow
def test_recipes_of_one_network_are_rows_of_their_own(tmp_path: Path, monkeypatch) -> None:
    one, other = row("ours", "b", 0, 90.0, 2.0), replace(row("ours", "b", 0, 95.0, 2.0), recipe="abc123")
    lines = table(by_network([one, other])).splitlines()
    assert [line.split(" | ")[4:6] for line in lines[2:4]] == [["–", "90.00"], ["abc123", "95.00"]]
    out = tmp_path / "results"
    monkeypatch.setattr("sys.argv", ["final_table", "RUN", "--budget", "2.44", "--out", str(out), "--add"])
    for rows, expected in (
        ([one], [""]),
        ([other], ["abc123"]),
        ([replace(other, recipe="def456")], ["abc123", "def456"]),
    ):
        monkeypatch.setattr(final_table, "searched_rows", lambda _, found=rows: list(found))
        final_table.main()
        assert [found.recipe for found in final_table.earlier_rows(out)] == expected  # one without a recipe is replaced


def test_a_search_without_trained_networks_says_what_to_do(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["final_table", str(tmp_path), "--budget", "2.44", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="no trained network"):
        final_table.main()
    assert not (tmp_path / "out").exists()
