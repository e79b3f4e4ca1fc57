import io
import re

import pytest
from rich.console import Console

from aebnas_bo.preparation import progress
from aebnas_bo.preparation.progress import RunProgress


def shown(quiet: bool, is_terminal: bool, steps: int = 100, width: int = 120) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=is_terminal, width=width)
    with RunProgress(console, quiet) as running:
        running.start("trials", steps)
        for step in range(1, steps + 1):
            running.update(step, f"hypervolume {step}")
        running.message("done")
    return stream.getvalue()


def test_plain_lines_are_few_and_end_complete() -> None:
    lines = shown(quiet=False, is_terminal=False).strip().split("\n")
    assert 8 <= len(lines) <= 12
    assert lines[-2].startswith("trials 100/100  hypervolume 100")
    assert lines[-2].endswith("elapsed")
    assert lines[-1] == "done"


def test_quiet_shows_nothing() -> None:
    assert shown(quiet=True, is_terminal=False) == shown(quiet=True, is_terminal=True) == ""


def test_a_terminal_gets_a_bar() -> None:
    text = shown(quiet=False, is_terminal=True, steps=5)
    assert "5/5" in text
    assert "hypervolume 5" in text


def test_time_left_counts_only_steps_of_this_process(monkeypatch) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    stream = io.StringIO()
    with RunProgress(Console(file=stream, width=120), quiet=False) as running:
        running.start("epochs", 100)
        running.update(91, "")  # resumed after 90; this one took 10 seconds
    assert stream.getvalue().split() == ["epochs", "91/100", "2", "min", "left"]


def test_every_step_is_checked() -> None:
    def check() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        RunProgress(Console(file=io.StringIO()), True, check).update(1, "")


def test_a_narrow_terminal_cuts_figures_and_never_the_time(monkeypatch) -> None:
    clock = iter(range(0, 100000, 100))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80, color_system=None)
    with RunProgress(console, quiet=False) as running:
        running.start("epochs of 0123456789ab, seed 12", 120)
        running.update(60, "loss 1.234  12345 images/s")
    last = [line for line in re.split(r"[\r\n]", stream.getvalue()) if "60/120" in line][-1]
    assert re.search(r"60/120 .* (left|elapsed) ", last)
    assert len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", last).rstrip()) <= 80


def test_parts_of_the_first_epoch_tell_the_time_left(monkeypatch) -> None:
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    stream = io.StringIO()
    with RunProgress(Console(file=stream, width=40), quiet=False) as running:
        running.start("supernet epochs", 10)
        running.step(0.05)
        assert running.position == "0 of 10 supernet epochs done"
    assert stream.getvalue() == "supernet epochs 0/10  20 min left\n"


def test_a_message_is_no_markup() -> None:
    stream = io.StringIO()
    with RunProgress(Console(file=stream, width=20), quiet=False) as running:
        running.message("note: runs/[red]/a is a long path indeed")
    assert stream.getvalue() == "note: runs/[red]/a is a long path indeed\n"
