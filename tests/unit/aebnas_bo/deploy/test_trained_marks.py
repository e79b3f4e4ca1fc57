from pathlib import Path

from rich.console import Console

from aebnas_bo.analysis.selection import Selection
from aebnas_bo.deploy.finetune import choose_candidate, train_candidate
from aebnas_bo.deploy.plain_baseline import PlainGround, train_plain
from aebnas_bo.deploy.trained_marks import draw_front, trained_marks
from aebnas_bo.progress import RunProgress


def test_marks_appear_once_a_plain_network_is_trained(own_run, tmp_path: Path) -> None:
    progress = RunProgress(Console(stderr=True), quiet=True)
    candidate = choose_candidate(own_run, Selection("knee"))
    network = train_candidate(candidate, 0, False, progress)
    before = own_run.front_figure.read_bytes()
    assert trained_marks(own_run) == ()
    draw_front(own_run)
    assert own_run.front_figure.read_bytes() == before
    plain = train_plain(PlainGround(own_run, candidate.config, candidate.splits), 3, 0, progress=progress)
    searched, other = trained_marks(own_run)
    assert (searched.is_plain, searched.accuracy) == (False, network.validation.accuracy)
    assert (other.is_plain, other.average_macs) == (True, plain.validation.average_macs)
    assert searched.name == f"network {network.key}, seed 0, 2 epochs"
    assert other.name == "plain network of width 3, seed 0, 2 epochs"
    draw_front(own_run)
    assert own_run.front_figure.read_bytes() != before
