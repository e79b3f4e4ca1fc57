from pathlib import Path

import pytest

from aebnas_bo.errors import ConfigError, ExecutionError, TrainingDivergedError
from aebnas_bo.execution.executor import Outcome, Ticket
from aebnas_bo.execution.simulated_executor import AttemptCourse, SimulatedExecutor
from aebnas_bo.execution.worker_jobs import check_visible, run_jobs, run_on_workers


def executor(num_workers, course) -> SimulatedExecutor[int, int]:
    return SimulatedExecutor(lambda job: 2 * job, num_workers, course, lease_s=10.0)


def test_results_have_the_order_of_the_jobs() -> None:
    ended: list[int] = []
    simulated = executor(2, lambda ticket: AttemptCourse(5.0 - ticket.number))
    assert run_jobs(simulated, [1, 2, 3, 4], max_attempts=1, on_end=ended.append) == [2, 4, 6, 8]
    assert ended[-1] == 4
    assert simulated.now < 5.0 + 4.0 + 3.0 + 2.0


def test_a_job_of_a_lost_worker_is_given_to_another_and_its_late_answer_is_dropped() -> None:
    fates = {Ticket(0, 1): AttemptCourse(1.0, dies_after=0.5), Ticket(1, 1): AttemptCourse(15.0, is_silent=True)}
    simulated = executor(2, lambda ticket: fates.get(ticket, AttemptCourse(1.0 if ticket.number < 2 else 4.0)))
    assert run_jobs(simulated, [1, 2, *range(10)], max_attempts=2) == [2, 4, *range(0, 20, 2)]


def test_a_job_with_which_too_many_workers_are_lost_ends_the_list() -> None:
    simulated = executor(2, lambda ticket: AttemptCourse(1.0, dies_after=0.5 if ticket.number == 1 else None))
    with pytest.raises(ExecutionError, match=r"3 workers were lost with the same job, the last one: worker died; fin"):
        run_jobs(simulated, [1, 2, 3], max_attempts=3)


def test_an_error_of_a_job_is_raised() -> None:
    class Failing(SimulatedExecutor):
        def wait(self, timeout_s):
            error = TrainingDivergedError("diverged")
            return [Outcome(one.ticket, one.worker, error=error) for one in super().wait(timeout_s)]

    with pytest.raises(TrainingDivergedError):
        run_jobs(Failing(lambda job: job, 1, lambda ticket: AttemptCourse(1.0)), [1], max_attempts=3)


def test_no_job_needs_no_cluster() -> None:
    assert run_on_workers(None, [], None) == []


def test_a_worker_says_that_it_does_not_see_the_folder(tmp_path: Path) -> None:
    check_visible(tmp_path)
    with pytest.raises(ConfigError, match="a worker does not see this folder"):
        check_visible(tmp_path / "elsewhere")
