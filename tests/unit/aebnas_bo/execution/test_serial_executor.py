import pytest

from aebnas_bo.execution.executor import Outcome, Ticket
from aebnas_bo.execution.serial_executor import WORKER, SerialExecutor


def test_a_job_runs_when_it_is_waited_for() -> None:
    ran: list[int] = []
    executor = SerialExecutor[int, int](lambda job: ran.append(job) or 2 * job)
    assert executor.wait(0.0) == []
    assert executor.free_worker == WORKER
    executor.submit(Ticket(7), 21)
    assert (ran, executor.free_worker) == ([], None)
    assert executor.wait(0.0) == [Outcome(Ticket(7), WORKER, 42)]
    assert (ran, executor.free_worker) == ([21], WORKER)


def test_one_job_at_a_time() -> None:
    executor = SerialExecutor[int, int](lambda job: job)
    executor.submit(Ticket(0), 1)
    with pytest.raises(ValueError, match="job 1: no worker is free"):
        executor.submit(Ticket(1), 1)


def test_an_exception_of_a_job_is_raised_and_the_worker_is_free_again() -> None:
    executor = SerialExecutor[int, float](lambda job: 1 / job)
    executor.submit(Ticket(0), 0)
    with pytest.raises(ZeroDivisionError):
        executor.wait(0.0)
    assert executor.free_worker == WORKER
