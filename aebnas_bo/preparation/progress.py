"""What a run shows while it works: bars on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from aebnas_bo.search.trial import Trial
from aebnas_bo.training.training_loop import EpochReport

OnTrial = Callable[[Trial], None]
OnEpoch = Callable[[str, EpochReport], None]

LINE_SHARE = 0.1  # plain lines: one per tenth of the work
LINE_SECONDS = 30.0  # or per half minute


class RunProgress:
    """Progress of the two long phases.

    Args:
        console: Where to show it (stderr, so that stdout stays for results).
        quiet: Whether to show nothing.
        check: Called with every step that is done; may raise to end the run there.
        on_trial: Called with every trial that ends.
        on_epoch: Called with the name of the training and what the epoch came to, after every epoch.
    """

    def __init__(
        self,
        console: Console,
        quiet: bool,
        check: Callable[[], None] | None = None,
        *,
        on_trial: OnTrial | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> None:
        self._on_trial = on_trial
        self._on_epoch = on_epoch
        self._console = console
        self._quiet = quiet
        self._check = check
        self._bars: Progress | None = None
        if console.is_terminal and not quiet:
            self._bars = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", style="bold", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[figures]}", markup=False),
                TextColumn("left"),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=console,
            )
        self._task: TaskID | None = None
        self._name, self._total, self._done = "", 0, 0
        self._first: int | None = None  # steps done before the first one that was timed
        self._started = self._last_line = 0.0
        self._last_share = 0.0

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def message(self, text: str) -> None:
        """Show one line."""
        if not self._quiet:
            (self._bars.console if self._bars is not None else self._console).print(
                text, highlight=False, markup=False, emoji=False
            )

    def start(self, name: str, total: int, done: int = 0) -> None:
        """Begin a phase of `total` steps, `done` of which were done before."""
        self._name, self._total, self._done, self._first = name, total, done, None
        self._started = self._last_line = time.monotonic()
        self._last_share = done / max(total, 1)
        if self._bars is not None:
            self._task = self._bars.add_task(name, total=total, completed=done, figures="")

    def epoch(self, report: EpochReport, *, before: int = 0, prefix: str = "") -> None:
        """Report an epoch of a training.

        Args:
            report: What it came to.
            before: Steps of the phase that were done before this training.
            prefix: What stands before the figures.
        """
        if self._on_epoch is not None:
            self._on_epoch(self._name, report)
        figures = f"{prefix}loss {report.loss:.3f}  {report.images_per_s:.0f} images/s"
        self.update(before + report.epoch, figures)

    def trials(self, trials: Sequence[Trial], figures: str) -> None:
        """Report all trials so far, with the search's figures as text."""
        if self._on_trial is not None and len(trials) > self._done:
            self._on_trial(trials[-1])
        self._done = len(trials)
        self.update(len(trials), figures)

    def update(self, done: int, figures: str) -> None:
        """Report that `done` steps are done, with the phase's figures as text."""
        if self._check is not None:
            self._check()
        if self._first is None:
            self._first = max(done - 1, 0)  # a phase that resumes starts anywhere
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=done, figures=figures)
            return
        share, now = done / max(self._total, 1), time.monotonic()
        is_due = share - self._last_share >= LINE_SHARE or now - self._last_line >= LINE_SECONDS or done == self._total
        if is_due:
            self._last_share, self._last_line = share, now
            steps = done - self._first
            left = (now - self._started) / steps * (self._total - done) if steps > 0 else 0.0
            self.message(f"{self._name} {done}/{self._total}  {figures}  {left:.0f} s left")
