import math

import pytest

from aebnas_bo.execution.executor import Outcome, Ticket
from aebnas_bo.execution.simulated_executor import AttemptCourse, SimulatedExecutor


def executor(num_workers, fates, lease_s=10.0) -> SimulatedExecutor[int, int]:
    return SimulatedExecutor(lambda job: 2 * job, num_workers, lambda ticket: fates[ticket], lease_s=lease_s)


def test_jobs_end_in_the_order_of_their_durations() -> None:
    simulated = executor(
        2, {Ticket(0): AttemptCourse(5.0), Ticket(1): AttemptCourse(2.0), Ticket(2): AttemptCourse(1.0)}
    )
    simulated.submit(Ticket(0), 10)
    simulated.submit(Ticket(1), 11)
    assert simulated.free_worker is None
    assert simulated.wait(60.0) == [Outcome(Ticket(1), "worker 1", 22)]
    assert simulated.now == 2.0
    simulated.submit(Ticket(2), 12)
    assert [one.ticket.number for one in simulated.wait(60.0)] == [2]
    assert [one.ticket.number for one in simulated.wait(60.0)] == [0]
    assert (simulated.now, simulated.busy_s) == (5.0, 8.0)


def test_jobs_of_equal_duration_end_together_in_the_order_of_submission() -> None:
    simulated = executor(3, {Ticket(number): AttemptCourse(2.0) for number in range(3)})
    for number in (2, 0, 1):
        simulated.submit(Ticket(number), number)
    assert [one.ticket.number for one in simulated.wait(60.0)] == [2, 0, 1]


def test_a_wait_ends_at_its_timeout_and_time_passes_during_proposals() -> None:
    simulated = executor(1, {Ticket(0): AttemptCourse(5.0)})
    simulated.submit(Ticket(0), 1)
    assert simulated.wait(1.5) == []
    simulated.advance(4.0)  # longer than the job takes
    assert simulated.now == 5.5
    assert [one.ticket.number for one in simulated.wait(1.0)] == [0]
    assert simulated.now == 5.5


def test_no_job_without_a_free_worker() -> None:
    simulated = executor(1, {Ticket(0): AttemptCourse(5.0), Ticket(1): AttemptCourse(5.0)})
    simulated.submit(Ticket(0), 1)
    with pytest.raises(ValueError, match="no worker is free"):
        simulated.submit(Ticket(1), 1)


def test_a_dead_worker_is_reported_and_replaced() -> None:
    simulated = executor(1, {Ticket(0): AttemptCourse(5.0, dies_after=2.0)})
    simulated.submit(Ticket(0), 1)
    assert simulated.wait(60.0) == [Outcome(Ticket(0), "worker 0", lost="worker died")]
    assert simulated.free_worker == "worker 0"
    assert simulated.wait(60.0) == []


def test_a_silent_worker_is_lost_after_its_lease_and_answers_late() -> None:
    simulated = executor(1, {Ticket(0): AttemptCourse(25.0, is_silent=True)})
    simulated.submit(Ticket(0), 1)
    [lost] = simulated.wait(60.0)
    assert (simulated.now, lost.lost) == (10.0, "no sign of life for 10 s")
    [late] = simulated.wait(60.0)
    assert (simulated.now, late.result) == (25.0, 2)


def test_a_worker_that_never_answers_is_lost_once() -> None:
    simulated = executor(1, {Ticket(0): AttemptCourse(math.inf, is_silent=True)})
    simulated.submit(Ticket(0), 1)
    assert len(simulated.wait(60.0)) == 1
    assert simulated.wait(1e9) == []
