import pytest

from aebnas_bo.preparation import phase
from aebnas_bo.preparation.phase import Phase


@pytest.fixture(autouse=True)
def _clock(monkeypatch) -> None:
    monkeypatch.setattr(phase.time, "monotonic", lambda: 0.0)


def test_time_left_is_known_within_the_first_step() -> None:
    epochs = Phase("epochs", 10)
    assert epochs.time_text(3.0) == "3.0 s elapsed"
    epochs.update(0.05, 6.0)  # a twentieth of an epoch took 6 s: 9.95 epochs take 1194 s
    assert epochs.time_text(6.0) == "20 min left"
    assert epochs.time_text(606.0) == "10 min left"  # it goes down between two steps
    assert epochs.time_text(9000.0) == "0.0 s left"


def test_steps_of_an_earlier_process_cost_no_time() -> None:
    epochs = Phase("epochs", 100, 90)
    epochs.update(90.5, 10.0)
    assert epochs.time_text(10.0) == "3 min left"  # 9.5 epochs of 20 s
    trials = Phase("trials", 100, 90)
    trials.update(90, 0.1)  # shown as they were found
    assert trials.time_text(0.1) == "0.1 s elapsed"
    trials.update(91, 4.0)
    assert trials.time_text(4.0) == "36 s left"


def test_what_is_over_says_how_long_it_took() -> None:
    epochs = Phase("epochs", 2)
    epochs.update(1, 20.0)
    epochs.update(2, 42.0)
    assert epochs.time_text(1000.0) == "42 s elapsed"
    assert (epochs.is_over, epochs.share) == (True, 1.0)
