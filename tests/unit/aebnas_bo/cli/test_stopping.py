import contextlib
import os
import signal
import sys
from collections.abc import Callable

import pytest

from aebnas_bo.cli.stopping import SIGNALS, StopSignals
from aebnas_bo.errors import StopRequested


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signals = StopSignals()
    signals.install()
    yield signals
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_strikes_at_once(number, stop) -> None:
    stop.check()  # nothing yet
    with pytest.raises(StopRequested) as caught:
        os.kill(os.getpid(), number)
    assert caught.value.exit_code == 128 + number


def test_a_signal_sent_twice_strikes_once(stop, monkeypatch) -> None:
    with pytest.raises(StopRequested):
        os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)  # while the first one's exception is on its way
    monkeypatch.setattr("aebnas_bo.cli.stopping.SAME_S", 0.0)
    with pytest.raises(StopRequested):  # a later signal is another request
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_that_was_swallowed_strikes_at_the_next_check(stop) -> None:
    with contextlib.suppress(StopRequested):  # as Python does with what a finaliser or a C callback raises
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(StopRequested):
        stop.check()


class Finalised:
    def __init__(self, end: Callable[[], object]) -> None:
        self._end = end

    def __del__(self) -> None:
        self._end()


def test_a_signal_that_strikes_within_a_finaliser_is_not_shown(stop, capsys: pytest.CaptureFixture[str]) -> None:
    Finalised(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert capsys.readouterr().err == ""
    with pytest.raises(StopRequested):
        stop.check()
    Finalised(lambda: int("no number"))
    assert "no number" in capsys.readouterr().err
