"""Runs with a time budget whose clock and speeds are made up: an epoch or a trial takes a second."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count

import pytest
from rich.console import Console

from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import StopRequested
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.search import search_loop as loop
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.study import first_plan, timed_run
from aebnas_bo.study import time_plan as plan
from aebnas_bo.study.resuming import resumed_config
from aebnas_bo.study.timed_run import TimedResult, planned_settings, run_in_time
from aebnas_bo.study.training_speed import Speed

SETTINGS = (
    "time_budget=1.3", "data.max_train_images=300", "supernet.random_subnets=1", "supernet.cache=false",
    "search.design_trials=4", "search.max_average_macs=0.05", "search.mc_samples=8", "search.pool_size=8",
    "search.rounds=0", "shortlist.budgets=2",
)  # fmt: skip
TRIAL_S, EPOCH_S = 1.0, 1.0


@dataclass(frozen=True)
class Step:
    """What a run reported: step `done` of `total` in a phase."""

    name: str
    done: int
    total: int


@dataclass
class Steps:
    """Steps that a run reported; it is stopped at one of them."""

    stop: Step | None = None
    all: list[Step] = field(default_factory=list)

    def of(self, start: str) -> list[Step]:
        """Return the steps of the phases whose names begin so."""
        return [step for step in self.all if step.name.startswith(start)]


@dataclass
class FakeClock:
    """Seconds that pass only where a test has them pass."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


class StoppedProgress(RunProgress):
    """Notes every step, lets epochs take time, and stops the run at a given step."""

    def __init__(self, steps: Steps, clock: FakeClock) -> None:
        super().__init__(Console(width=200, record=True, file=open("/dev/null", "w")), quiet=False)  # noqa: SIM115
        self._steps, self._clock = steps, clock

    @property
    def text(self) -> str:
        return self._console.export_text(clear=False)

    def update(self, done: int, figures: str) -> None:
        assert self._phase is not None
        step = Step(self._phase.name, done, self._phase.total)
        self._steps.all.append(step)
        if self._steps.stop == step:
            raise StopRequested(15)
        if step.name != "trials":
            self._clock.now += EPOCH_S
        super().update(done, figures)


@dataclass
class Runner:
    """Runs in one folder, stopped at will."""

    folder: RunFolder
    clock: FakeClock
    text: str = ""

    def __call__(self, steps: Steps | None = None, *options: str) -> TimedResult:
        """Run, or go on, as the command line does."""
        given = (*SETTINGS, *options)
        config, resume = load_config(None, given), self.folder.holds_study
        if resume:
            config, _ = planned_settings(config, self.folder, given)
            config = resumed_config(self.folder.study, config, has_file=True, options=given)
        progress = StoppedProgress(steps or Steps(), self.clock)
        try:
            problem = replace(Problem.load(config), load_s=0.0)  # no real second counts
            return run_in_time(problem, self.folder, progress, resume=resume)
        finally:
            self.text = progress.text


@pytest.fixture(scope="module")
def make_runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Runner]]:
    clock, folder = FakeClock(), tmp_path_factory.mktemp("timed")
    speed = Speed(supernet_s=0.02, network_s=0.01, network_s_per_mac=1e-9)
    evaluate = loop.evaluate_trial

    def evaluate_slowly(*arguments):
        clock.now += TRIAL_S
        return evaluate(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aebnas_bo.study.training_speed.time", clock)
        patch.setattr(first_plan, "measure_speed", lambda *_: speed)
        patch.setattr(timed_run, "time_network", lambda *_, **__: speed.network_s)
        patch.setattr(plan, "TEACHER_EPOCHS", (2, 2))
        patch.setattr(plan, "TEACHER_IMAGES", (1, 1))
        patch.setattr(plan, "ENOUGH_EPOCHS", (1, 4))  # so that there is time for a search and a short list
        patch.setattr(plan, "FINALS_SHARE", 1.0)
        patch.setattr(plan, "RANKING_IMAGES", 300)
        patch.setattr(plan, "ENOUGH_RUNG_EPOCHS", 1)
        patch.setattr(plan, "LEAST_RUNG_EPOCHS", 1)
        patch.setattr(plan, "SHORTLISTS", (((3, 1.0),),))
        patch.setattr(loop, "evaluate_trial", evaluate_slowly)
        numbers = count()
        yield lambda: Runner(RunFolder(folder / f"run{next(numbers)}"), clock)


@dataclass(frozen=True)
class Whole:
    """A run that nothing interrupted."""

    runner: Runner
    steps: Steps
    result: TimedResult

    @property
    def folder(self) -> RunFolder:
        return self.runner.folder


@pytest.fixture(scope="module")
def whole(make_runner: Callable[[], Runner]) -> Whole:
    runner, steps = make_runner(), Steps()
    return Whole(runner, steps, runner(steps))
