from dataclasses import replace

import pytest
from rich.console import Console

from aebnas_bo.analysis.selection import Selection
from aebnas_bo.analysis.trained_point import TrainedPoint
from aebnas_bo.deploy import front_with_trained
from aebnas_bo.deploy.front_with_trained import draw_front, trained_points
from aebnas_bo.deploy.operating_points import OPERATING_POINTS_FILE
from aebnas_bo.deploy.plain_baseline import PlainContext, train_plain
from aebnas_bo.deploy.training_pipeline import choose_candidate, train_candidate
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.shortlist.rungs import RungResult
from aebnas_bo.shortlist.shortlist_table import write_shortlist
from aebnas_bo.storage.sealed_json import write_sealed

QUIET = RunProgress(Console(stderr=True), quiet=True)


def test_short_final_and_plain_trainings_are_points_and_change_the_figure(own_run) -> None:
    assert trained_points(own_run) == []
    alone = own_run.front_figure.read_bytes()
    draw_front(own_run)
    assert own_run.front_figure.read_bytes() == alone
    one = choose_candidate(own_run, Selection("knee"))
    network = train_candidate(one, 0, is_again=False, progress=QUIET)
    plain = train_plain(PlainContext(own_run, one.problem), 3, 0, progress=QUIET)
    own_run.shortlist.mkdir()
    goal = TuningGoal("max_macs", 2e6)
    rung_result = RungResult(0, 8, "aaaa", goal, 91.0, 80.0, 1.5, 0.0, 0.0, is_met=True, is_kept=True)
    write_shortlist(own_run.shortlist, [rung_result])
    points = trained_points(own_run)
    assert [bool(point.curve) for point in points] == [False, True, False]
    assert all(macs < 1.0 < accuracy <= 100.0 for macs, accuracy in points[1].curve)
    assert [replace(point, curve=()) for point in points] == [
        TrainedPoint("aaaa", "short", 8, 80.0, 1.5, "network aaaa, short training of 8 epochs"),
        TrainedPoint(
            network.key, "final", 2, network.validation.accuracy, network.validation.average_macs,
            f"network {network.key}, seed 0, 2 epochs",
        ),
        TrainedPoint(
            plain.key, "plain", 2, plain.validation.accuracy, plain.validation.average_macs,
            "plain network of width 3, seed 0, 2 epochs",
        ),
    ]  # fmt: skip
    draw_front(own_run)
    assert own_run.front_figure.read_bytes() != alone


def test_the_figure_after_a_brief_search_shows_trained_networks_alone(own_run, monkeypatch) -> None:
    shown: list[list[TrainedPoint]] = []
    monkeypatch.setattr(front_with_trained, "plot_trained_networks", lambda _, points: shown.append(points))
    train_candidate(choose_candidate(own_run, Selection("knee")), 0, is_again=False, progress=QUIET)
    for is_brief in (False, True):
        write_sealed(own_run.time_plan, {"is_brief": is_brief})
        draw_front(own_run)
    assert shown == [trained_points(own_run)]


@pytest.mark.parametrize("text", ["", "budget\n1.0\n", "validation_average_macs,validation_accuracy\n1.0,high\n"])
def test_damaged_operating_points_are_named(own_run, text: str) -> None:
    train_candidate(choose_candidate(own_run, Selection("knee")), 0, is_again=False, progress=QUIET)
    (path,) = own_run.trained.glob(f"*/{OPERATING_POINTS_FILE}")
    path.write_text(text)
    with pytest.raises(CorruptStateError, match=r"operating_points.csv is damaged; delete it, and the figures"):
        trained_points(own_run)
    path.unlink()
    assert [point.curve for point in trained_points(own_run)] == [()]
