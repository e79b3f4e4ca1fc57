"""A supernet trained by two processes: equal gradients and weights, lost processes, non-finite losses."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from aebnas_bo.errors import ProcessLostError, TrainingDivergedError
from aebnas_bo.supernet import supernet_training
from aebnas_bo.supernet.settings import SupernetConfig
from aebnas_bo.supernet.supernet import Supernet
from aebnas_bo.supernet.supernet_training import train_supernet
from aebnas_bo.training import training_loop
from aebnas_bo.training.process_start import first_process
from aebnas_bo.training.processes import ALONE
from aebnas_bo.training.training_loop import NO_RECORDER, EpochReport, Recorder, TrainingData
from tests.process_jobs import SPACE, GradientJob, KeptJob, StepJob, fresh_supernet, step, stripes

pytestmark = pytest.mark.slow
CONFIG = SupernetConfig(
    epochs=3, batch_size=16, learning_rate=0.05, warmup_epochs=1.0, random_subnets=1, processes=2, ema_decay=0.9
)


def _trained(
    recorder: Recorder = NO_RECORDER, data: TrainingData | None = None, config: SupernetConfig = CONFIG
) -> Supernet:
    supernet = fresh_supernet()
    train_supernet(supernet, SPACE, data or stripes(), config=config, seed=3, recorder=recorder)
    return supernet


def _equal(mine: Supernet, other: Supernet) -> bool:
    pairs = zip(mine.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(one, another) for one, another in pairs)


def test_gradients_are_the_average_of_those_of_the_shares_exactly(tmp_path: Path) -> None:
    data = stripes()
    images, labels = data.images[:32], data.labels[:32]
    with first_process(2, GradientJob(CONFIG, tmp_path), torch.device("cpu")) as processes:
        _, mine = step(fresh_supernet(), processes, CONFIG, images, labels)
        mine = {name: one.clone() for name, one in mine.items()}
    other = torch.load(tmp_path / "gradients.pt", weights_only=True)
    halves = [step(fresh_supernet(), ALONE, CONFIG, images[at], labels[at])[1] for at in torch.arange(32).split(16)]
    assert mine.keys() == other.keys() == halves[0].keys() == halves[1].keys()
    for name, gradient in mine.items():
        assert torch.equal(gradient, other[name]), name
        assert torch.equal(gradient, halves[0][name] / 2 + halves[1][name] / 2), name
    assert any(not torch.equal(halves[0][name], halves[1][name]) for name in mine)


@pytest.mark.parametrize("is_synchronized", [True, False])
def test_synchronized_processes_take_the_step_of_one_with_the_whole_batch(
    tmp_path: Path, is_synchronized: bool
) -> None:
    data = stripes()
    images, labels = data.images[:32], data.labels[:32]
    images[:16] *= 2.0  # so that the shares have other moments
    config = CONFIG.model_copy(update={"synchronized_batch_norm": is_synchronized})
    whole_loss, whole = step(fresh_supernet(), ALONE, config, images, labels)
    job = StepJob(config, images, labels)
    with first_process(2, job, torch.device("cpu")) as processes:
        loss, gradients = step(fresh_supernet(), processes, config, images, labels)
    assert whole.keys() == gradients.keys()
    largest = max(float(one.abs().max()) for one in whole.values())
    difference = max(float((gradients[name] - whole[name]).abs().max()) for name in whole)
    assert (abs(loss - whole_loss) < 1e-5, difference < 1e-5 * largest) == (is_synchronized, is_synchronized)


def test_processes_end_with_equal_weights_and_learn(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(supernet_training, "SupernetJob", KeptJob)
    monkeypatch.setenv("KEPT_WEIGHTS", str(tmp_path / "other.pt"))
    reports: list[EpochReport] = []
    supernet = _trained(Recorder(reports.append))
    other = fresh_supernet()
    other.load_state_dict(torch.load(tmp_path / "other.pt", weights_only=True))
    assert not _equal(fresh_supernet(), supernet)
    # `train` adopts the averages of weights in every process
    assert _equal(supernet, other)
    assert reports[-1].loss < reports[0].loss
    assert reports[-1].outputs[-1].accuracy > reports[0].outputs[-1].accuracy


def test_a_killed_process_ends_the_training_which_resumes_to_the_same_weights(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(training_loop, "CHECKPOINT_SECONDS", 0.0)
    expected, path = _trained(), tmp_path / "checkpoint.safetensors"

    def kill_after(epoch: int) -> Callable[[EpochReport], None]:
        def on_epoch(report: EpochReport) -> None:
            if report.epoch == epoch:
                [child] = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
                os.kill(int(child), signal.SIGKILL)

        return on_epoch

    with pytest.raises(ProcessLostError, match="process 1 ended with signal 9"):
        _trained(Recorder(kill_after(2), path, "mine"))
    epochs: list[int] = []
    resumed = _trained(Recorder(lambda report: epochs.append(report.epoch), path, "mine"))
    assert epochs == [3]
    assert _equal(resumed, expected)


def test_a_loss_that_is_not_finite_in_one_process_rolls_all_back() -> None:
    data = stripes()
    images = data.images.clone()
    images[5] = torch.nan
    reports: list[EpochReport] = []
    config = CONFIG.model_copy(update={"max_rollbacks": 1, "epochs": 1})
    with pytest.raises(TrainingDivergedError, match="after 1 roll-backs"):
        _trained(Recorder(reports.append), replace(data, images=images), config)
    assert reports == []
