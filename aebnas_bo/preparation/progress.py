"""Progress display of a run: bars on a terminal, plain lines elsewhere, nothing when quiet."""

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
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.table import Column
from rich.text import Text

from aebnas_bo.preparation.phase import Phase
from aebnas_bo.search.trial import Trial
from aebnas_bo.tracking.watcher import NOBODY, Watcher
from aebnas_bo.training.training_loop import EpochReport

OnTrial = Callable[[Trial], None]
OnEpoch = Callable[[str, EpochReport], None]

LINE_SHARE = 0.1  # fraction of the work between two plain lines
LINE_SECONDS = 30.0  # or seconds between them
FIRST_LINE_SECONDS = 5.0  # seconds until the first line with a time estimate
STEP_SECONDS = 0.2  # minimum interval between updates within a step
NARROW = 100  # columns; bars are short on narrower terminals


class _TimeColumn(ProgressColumn):
    """Column of the time left or elapsed, which is never truncated."""

    def render(self, task: Task) -> Text:
        phase: Phase = task.fields["phase"]
        return Text(phase.time_text(time.monotonic()), style="progress.remaining", no_wrap=True)


class _FiguresColumn(ProgressColumn):
    """Column of a phase's figures, which is truncated on a narrow terminal."""

    def __init__(self) -> None:
        super().__init__(Column(overflow="ellipsis"))

    def render(self, task: Task) -> Text:
        phase: Phase = task.fields["phase"]
        return Text(phase.figures, no_wrap=True, overflow="ellipsis")


def _bars(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", style="bold", markup=False),
        BarColumn(10 if console.width < NARROW else 40, table_column=Column(no_wrap=True)),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        _TimeColumn(Column(no_wrap=True)),
        _FiguresColumn(),
        console=console,
    )


class RunProgress:
    """Progress display of a run's phases.

    Args:
        console: Console to print to (stderr, because stdout is for results).
        quiet: Whether to print nothing.
        check: Called after every step; may raise an exception to end the run.
        on_trial: Called with every finished trial.
        on_epoch: Called after every epoch with the name of the training and the epoch's report.

    Attributes:
        watcher: Receives the figures of the run.
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
        self.watcher: Watcher = NOBODY
        self._stream = ""
        self._on_trial = on_trial
        self._on_epoch = on_epoch
        self._console = console
        self._quiet = quiet
        self._check = check
        self._bars: Progress | None = None
        if console.is_terminal and not quiet:
            self._bars = _bars(console)
        self._task: TaskID | None = None
        self._phase: Phase | None = None
        self._reported: set[int] = set()  # numbers of the trials that the callback got
        self._num_before = 0
        self._last_line, self._last_share, self._last_step = 0.0, 0.0, 0.0

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    @property
    def position(self) -> str:
        """Progress of the current phase as text; empty before the first phase."""
        return f"{int(self._phase.done)} of {self._phase.total} {self._phase.name} done" if self._phase else ""

    def message(self, text: str) -> None:
        """Show one line."""
        if not self._quiet:
            console = self._bars.console if self._bars is not None else self._console
            console.print(text, highlight=False, markup=False, emoji=False, soft_wrap=self._bars is None)

    def start(self, name: str, total: int, done: int = 0, *, stream: str = "") -> None:
        """Start a phase.

        Args:
            name: Name of its steps.
            total: Number of steps.
            done: Steps that are already done.
            stream: Name of the training for trackers; its epochs are not tracked without a name.
        """
        self._stream = stream
        self._reported, self._num_before = set(), done
        self._phase = Phase(name, total, done)
        self._last_line, self._last_share, self._last_step = self._phase.started, -1.0, 0.0
        if self._bars is not None:
            self._task = self._bars.add_task(name, total=total, completed=done, phase=self._phase)

    def epoch(self, report: EpochReport, *, before: int = 0, prefix: str = "") -> None:
        """Report an epoch of a training.

        Args:
            report: Report of the epoch.
            before: Steps of the phase that were done before this training.
            prefix: Text before the figures.
        """
        if self._on_epoch is not None:
            self._on_epoch(self._phase.name if self._phase is not None else "", report)
        if self._stream:
            self.watcher.epoch(self._stream, report)
        figures = f"{prefix}loss {report.loss:.3f}  {report.images_per_s:.0f} images/s"
        self.update(before + report.epoch, figures)

    def step(self, done: float, before: int = 0) -> None:
        """Report progress within an epoch, so that the time left can be estimated before its end.

        Args:
            done: Epochs of the training that are done, including the fraction of the current one.
            before: Steps of the phase that were done before this training.
        """
        if self._check is not None:
            self._check()
        now = time.monotonic()
        if self._phase is not None and not self._quiet and now - self._last_step >= STEP_SECONDS:
            self._last_step = now
            self._show(self._phase, before + done, now)

    def trials(self, trials: Sequence[Trial], figures: str) -> None:
        """Report all finished trials so far, which may end in any order, and the figures of the search as text."""
        new = [trial for trial in trials if trial.number not in self._reported]
        if self._on_trial is not None and len(trials) > self._num_before:
            for trial in new:
                self._on_trial(trial)
        self._reported.update(trial.number for trial in new)
        self.update(len(trials), figures)

    def update(self, done: int, figures: str) -> None:
        """Report the number of steps done and the figures of the phase as text."""
        if self._phase is not None:
            self._phase.figures = figures
            self._show(self._phase, done, time.monotonic())
        if self._check is not None:
            self._check()

    def _show(self, phase: Phase, done: float, now: float) -> None:
        phase.update(done, now)
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=done)
            return
        since, is_first = now - self._last_line, self._last_share < 0.0
        is_due = since >= (FIRST_LINE_SECONDS if is_first else LINE_SECONDS) or phase.is_over
        if is_due or phase.share - max(self._last_share, 0.0) >= LINE_SHARE:
            self._last_share, self._last_line = phase.share, now
            figures = f"{phase.figures}  " if phase.figures else ""
            self.message(f"{phase.name} {int(done)}/{phase.total}  {figures}{phase.time_text(now)}")
