"""Start and end of the processes of a training."""

import os
from pathlib import Path

import pytest
import torch

from aebnas_bo.errors import ProcessLostError, TrainingDivergedError, UsageError
from aebnas_bo.training import process_start
from aebnas_bo.training.process_start import first_process, is_follower, torchrun_processes
from tests.process_jobs import DyingJob, SumJob

CPU = torch.device("cpu")


def _children() -> set[int]:
    return {int(one) for one in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


@pytest.mark.slow
def test_all_processes_take_part_and_end(tmp_path: Path) -> None:
    before = _children()
    with first_process(3, SumJob(tmp_path), CPU) as processes:
        assert processes.total(torch.tensor([0.0])).tolist() == [3.0]
    for rank in (1, 2):
        assert (tmp_path / f"{rank}.txt").read_text() == "3.0"
    assert _children() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "named"),
    [("killed", "signal 9"), ("error", "exit code 1: ValueError: out of luck"), ("ends", "exit code 3")],
)
def test_a_lost_process_ends_the_training_with_its_reason(way: str, named: str) -> None:
    before = _children()
    lost = pytest.raises(ProcessLostError, match=f"process 1 ended with {named}")
    with lost, first_process(2, DyingJob(way), CPU) as processes:
        for _ in range(1000):
            processes.total(torch.zeros(1))
    assert _children() == before


@pytest.mark.slow
def test_an_error_of_the_training_itself_stays_and_ends_the_others(tmp_path: Path) -> None:
    before = _children()
    with pytest.raises(TrainingDivergedError, match="mine"), first_process(2, SumJob(tmp_path), CPU):
        raise TrainingDivergedError("mine")
    assert _children() == before


def test_torchrun_is_recognised_by_its_own_variable(monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert (torchrun_processes(), is_follower()) == (1, False)  # set by another launcher
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert (torchrun_processes(), is_follower()) == (2, True)


def test_another_number_of_processes_than_torchrun_started_is_refused(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with pytest.raises(UsageError, match="torchrun started 2 processes, but the training has 3"):
        first_process(3, SumJob(tmp_path), CPU).__enter__()


def test_too_few_gpus_are_refused(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process_start.torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="2 processes need as many GPUs, and this machine has 1"):
        first_process(2, SumJob(tmp_path), torch.device("cuda")).__enter__()
