import os
import time
from dataclasses import replace

import pytest
import torch

from aebnas_bo.report.status import run_status, status_rows
from aebnas_bo.report.stored_run import StoredRun, read_run
from aebnas_bo.storage.tensor_file import save_tensors


@pytest.fixture(scope="module")
def finished(tiny_runs) -> StoredRun:
    return read_run(tiny_runs())


def test_a_finished_run_in_figures(finished: StoredRun) -> None:
    status = run_status(finished)
    assert (status.state, status.trials, status.budget, status.failed) == ("finished", 14, 14, 1)
    assert status.most_accurate is not None
    best = max(trial.metrics["accuracy"] for trial in finished.trials if trial.status == "COMPLETED")
    assert status.most_accurate.accuracy >= best  # further settings count too
    assert (status.seconds_left, status.supernet_epoch, status.limits) == (None, None, "")
    assert status.last_trial is not None
    assert (status.last_trial.number, status.last_trial.proposal_s, status.last_trial.evaluation_s) == (13, 0.5, 0.25)
    rows = dict(status_rows(status))
    assert rows["state"] == "finished"
    assert rows["trials"] == "14 of 14, 1 failed"
    assert rows["last trial"] == "13, completed: 0.50 s to propose, 0.25 s to evaluate"
    assert "time left" not in rows


def test_time_left_is_that_of_the_trials_last_proposed(finished: StoredRun) -> None:
    trials = tuple(replace(trial, generation_s=1.0, evaluation_s=0.5) for trial in finished.trials[:10])
    working = replace(finished, trials=trials, process="process 7 on here")
    assert run_status(working).seconds_left == pytest.approx(4 * 1.5)
    assert dict(status_rows(run_status(working)))["time left"] == "about 6.00 s"
    assert "process 7" in dict(status_rows(run_status(working)))["state"]
    # nothing is known before the first proposal after the design of 8, nor where nobody is at work
    assert run_status(replace(working, trials=trials[:8])).seconds_left is None
    assert run_status(replace(working, process=None)).seconds_left is None


def test_the_supernet_in_training_has_an_epoch(tiny_run) -> None:
    folder = tiny_run()
    folder.supernet.unlink()
    training = replace(read_run(folder), trials=(), process="process 7")
    status = run_status(training)
    assert (status.state, status.supernet_epoch, status.front_size, status.last_trial) == (
        "training supernet", None, 0, None,
    )  # fmt: skip
    save_tensors(folder.checkpoint, {"weight": torch.zeros(1)}, {"fingerprint": "f", "epoch": "12", "rollbacks": "0"})
    assert dict(status_rows(run_status(training)))["supernet"] == "epoch 12 of 30"
    folder.checkpoint.write_bytes(b"half a file")
    assert run_status(training).supernet_epoch is None


def test_the_last_change_is_that_of_the_files(tiny_run) -> None:
    folder = tiny_run()
    os.utime(folder.study, (time.time() - 300, time.time() - 300))
    assert run_status(read_run(folder)).last_change_s == pytest.approx(300, abs=20)


def test_limits_that_nothing_meets_are_told(tiny_run) -> None:
    status = run_status(read_run(tiny_run("search.min_accuracy=99.9")))
    assert (status.front_size, status.most_accurate, status.knee, status.hypervolume) == (0, None, None, 0.0)
    assert "no network found has accuracy >= 99.9" in dict(status_rows(status))["limits"]
