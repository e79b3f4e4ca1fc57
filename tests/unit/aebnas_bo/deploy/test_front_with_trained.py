from rich.console import Console

from aebnas_bo.analysis.selection import Selection
from aebnas_bo.analysis.trained_point import TrainedPoint
from aebnas_bo.deploy.front_with_trained import draw_front, trained_points
from aebnas_bo.deploy.plain_baseline import PlainContext, train_plain
from aebnas_bo.deploy.training_pipeline import choose_candidate, train_candidate
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.shortlist.rungs import RungResult
from aebnas_bo.shortlist.shortlist_table import write_shortlist


def test_short_final_and_plain_trainings_are_points_and_change_the_figure(own_run) -> None:
    progress = RunProgress(Console(stderr=True), quiet=True)
    assert trained_points(own_run) == []
    alone = own_run.front_figure.read_bytes()
    draw_front(own_run)
    assert own_run.front_figure.read_bytes() == alone
    one = choose_candidate(own_run, Selection("knee"))
    network = train_candidate(one, 0, is_again=False, progress=progress)
    plain = train_plain(PlainContext(own_run, one.problem), 3, 0, progress=progress)
    own_run.shortlist.mkdir()
    goal = TuningGoal("max_macs", 2e6)
    rung_result = RungResult(0, 8, "aaaa", goal, 91.0, 80.0, 1.5, 0.0, 0.0, is_met=True, is_kept=True)
    write_shortlist(own_run.shortlist, [rung_result])
    assert trained_points(own_run) == [
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
