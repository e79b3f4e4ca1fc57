from rich.console import Console

from aebnas_bo.analysis.selection import Selection
from aebnas_bo.analysis.trained_point import TrainedPoint
from aebnas_bo.deploy.finetune import choose_candidate, train_candidate
from aebnas_bo.deploy.trained_points import draw_front, trained_points
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.progress import RunProgress
from aebnas_bo.shortlist.outputs import write_shortlist
from aebnas_bo.shortlist.rungs import Judgement


def test_short_trainings_and_final_ones_are_points_and_change_the_figure(tiny_run) -> None:
    run = tiny_run("data.max_train_images=300")
    assert trained_points(run) == []
    draw_front(run)
    alone = run.front_figure.read_bytes()
    one = choose_candidate(run, Selection("best-accuracy"), ["final_training.epochs=1"])
    network = train_candidate(one, 0, False, RunProgress(Console(stderr=True), quiet=True))
    run.shortlist.mkdir()
    goal = TuningGoal("max_macs", 2e6)
    judgement = Judgement(0, 8, "aaaa", goal, 91.0, 80.0, 1.5, 0.0, 0.0, is_met=True, is_kept=True)
    write_shortlist(run.shortlist, [judgement])
    assert trained_points(run) == [
        TrainedPoint("aaaa", 8, False, 80.0, 1.5),
        TrainedPoint(network.key, 1, True, network.validation.accuracy, network.validation.average_macs),
    ]
    draw_front(run)
    assert run.front_figure.read_bytes() != alone
