import io

import pytest
from rich.console import Console

from aebnas_bo.preparation.progress import RunProgress


def shown(quiet: bool, is_terminal: bool, steps: int = 100) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=is_terminal, width=120)
    with RunProgress(console, quiet) as progress:
        progress.start("trials", steps)
        for step in range(1, steps + 1):
            progress.update(step, f"hypervolume {step}")
        progress.message("done")
    return stream.getvalue()


def test_plain_lines_are_few_and_end_complete() -> None:
    lines = shown(quiet=False, is_terminal=False).strip().split("\n")
    assert 8 <= len(lines) <= 12
    assert lines[-2].startswith("trials 100/100  hypervolume 100")
    assert lines[-1] == "done"


def test_quiet_shows_nothing() -> None:
    assert shown(quiet=True, is_terminal=False) == shown(quiet=True, is_terminal=True) == ""


def test_a_terminal_gets_a_bar() -> None:
    text = shown(quiet=False, is_terminal=True, steps=5)
    assert "5/5" in text
    assert "hypervolume 5" in text


def test_time_left_counts_only_steps_of_this_process(monkeypatch) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("aebnas_bo.preparation.progress.time.monotonic", lambda: float(next(clock)))
    stream = io.StringIO()
    with RunProgress(Console(file=stream, width=120), quiet=False) as progress:
        progress.start("epochs", 100)
        progress.update(91, "")  # resumed after 90; this one took 10 seconds
    assert stream.getvalue().split() == ["epochs", "91/100", "90", "s", "left"]


def test_every_step_is_checked() -> None:
    def check() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        RunProgress(Console(file=io.StringIO()), True, check).update(1, "")
