"""Run within a time budget: search, short list and final trainings, each within its share of the time left."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from aebnas_bo.analysis.summary import Summary
from aebnas_bo.analysis.supernet_check import ranks_networks
from aebnas_bo.config.schema import Config
from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.plain_baseline import LEAST_TAUGHT, PlainContext
from aebnas_bo.deploy.training_folders import training_folder
from aebnas_bo.deploy.training_pipeline import Candidate, final_recipe, train_candidate, training_of
from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import RunFolderInUseError, StorageError
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.shortlist.budgets import budgets_of, first_points_of
from aebnas_bo.shortlist.contenders import Contender, eligible
from aebnas_bo.shortlist.rungs import RungResult
from aebnas_bo.shortlist.short_training import ShortListContext, is_begun, short_training
from aebnas_bo.shortlist.shortlist_study import read_pool, run_shortlist
from aebnas_bo.space.macs import millions
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.run_lock import RunLock
from aebnas_bo.study.edited_config import replace_config
from aebnas_bo.study.first_plan import first_plan
from aebnas_bo.study.resuming import differing_settings
from aebnas_bo.study.running import MakeStrategy, check_given, run_study
from aebnas_bo.study.time_plan import (
    SHORTLISTS,
    TEACHER_SIZES,
    TimePlan,
    decision_text,
    final_epochs,
    planned_config,
    rung_epochs,
    rungs,
    search_seconds,
)
from aebnas_bo.study.training_speed import Stopwatch, time_network
from aebnas_bo.training.settings import TeacherConfig


@dataclass(frozen=True)
class TimedResult:
    """Result of a run within a time budget.

    Args:
        summary: Key figures of the search.
        rung_results: Evaluations of the short list.
        networks: The trained networks, cheapest budget first.
        seconds: Duration of the run in seconds, including the stored time before an interruption.
        is_brief: Whether the search was brief, so that its estimates do not rank networks.
    """

    summary: Summary
    rung_results: list[RungResult]
    networks: list[NetworkDescription]
    seconds: float
    is_brief: bool = False


def run_in_time(
    problem: Problem, folder: RunFolder, progress: RunProgress, *, resume: bool, make: MakeStrategy | None = None
) -> TimedResult:
    """Run or resume a study within `time_budget`, and train networks for several budgets of MACs.

    Args:
        problem: The search problem; its configuration has a time budget.
        folder: The run folder.
        progress: Progress display.
        resume: Whether the folder may hold a study.
        make: See `run_study`.

    Raises:
        AebnasError: If a step fails; finished results are stored.
    """
    check_given(problem, make)
    if folder.holds_study:
        plan = TimePlan.read(folder.time_plan)
        watch = Stopwatch(plan.spent_s)
    else:
        watch = Stopwatch(problem.load_s)
        plan = first_plan(problem, watch, progress)
        folder.create()
        plan.write(folder.time_plan)
    run = _TimedRun(
        problem.with_config(planned_config(problem.config, plan)), folder, plan, watch=watch, progress=progress
    )
    try:
        summary = run.search(resume, make)
        rung_results, networks = run.train(summary.plain_tau)
    except RunFolderInUseError:
        raise  # only the other process may write the plan
    except BaseException:
        with suppress(StorageError):  # must not hide the original error
            run.note_time()
        raise
    return TimedResult(summary, rung_results, networks, watch.seconds, plan.is_brief)


def planned_settings(config: Config, folder: RunFolder, options: Sequence[str]) -> tuple[Config, list[str]]:
    """Apply the decisions of a run's time plan to a configuration, so that it equals the stored one on resuming.

    Args:
        config: The configuration from file and options.
        folder: The run folder.
        options: The `section.key=value` options.

    Returns:
        The configuration, and a line for each option that a decision overrides; without a time plan, the configuration
        is unchanged.

    Raises:
        CorruptStateError: If the time plan is damaged.
    """
    if not folder.time_plan.exists():
        return config, []
    planned = planned_config(config, TimePlan.read(folder.time_plan))
    named = {option.partition("=")[0].strip() for option in options}
    decided = differing_settings(planned, config)
    return planned, [
        f"{name}: the time budget decided {decided[name][0]}; {name}={decided[name][1]} has no effect"
        for name in sorted(named & decided.keys())
    ]


class _TimedRun:
    """Phases of one run; every decision is stored before it takes effect."""

    def __init__(
        self, problem: Problem, folder: RunFolder, plan: TimePlan, *, watch: Stopwatch, progress: RunProgress
    ) -> None:
        self._problem = problem
        self._folder = folder
        self._plan = plan
        self._watch = watch
        self._progress = progress

    @property
    def _config(self) -> Config:
        return self._problem.config

    def search(self, resume: bool, make: MakeStrategy | None) -> Summary:
        """Train the supernet and search until the search's share of the time is spent."""
        summary = run_study(
            self._problem, self._folder, self._progress, resume=resume, is_time_up=self._is_search_over, make=make
        )
        if self._plan.search_trials is None:
            self._decide(search_trials=sum(summary.trials.values()))
        return summary

    def _is_search_over(self) -> bool:
        """Return whether the search's share of the time is spent; the first call decides the end of the search."""
        if self._plan.search_trials is not None:
            return False  # the number of trials is already decided
        now = self._watch.seconds
        until = self._plan.search_until_s
        if until is None:
            until = now + search_seconds(self._plan, now)
            self._plan = self._plan.model_copy(update={"search_until_s": until})
        self.note_time()
        return now >= until and not self._lacks_plain_networks()

    def _lacks_plain_networks(self) -> bool:
        """Return whether a brief search has plain networks left to evaluate, of which each budget gets one."""
        if not self._plan.is_brief:
            return False
        with TrialStore.open_read_only(self._folder.study) as store:
            num_trials = len(store.trials())
        return num_trials < len(first_points_of(self._problem))

    def note_time(self) -> None:
        """Store the seconds spent, for resuming."""
        self._plan = self._plan.model_copy(update={"spent_s": self._watch.seconds})
        self._plan.write(self._folder.time_plan)

    def train(self, plain_tau: float | None) -> tuple[list[RungResult], list[NetworkDescription]]:
        """Train the short list, then the chosen networks fully.

        Args:
            plain_tau: Kendall's tau between MACs and estimates of plain networks; see `ranks_networks`.
        """
        with RunLock(self._folder.path):
            rung_results, networks = self._train(plain_tau)
            self.note_time()
        return rung_results, networks

    def _train(self, plain_tau: float | None) -> tuple[list[RungResult], list[NetworkDescription]]:
        with TrialStore.open_read_only(self._folder.study) as store:
            goals = budgets_of(self._problem, eligible(store.trials(), store.study.objectives))
        context = ShortListContext(self._folder, self._problem)
        if self._plan.rungs is None:
            self._plan_rungs(context, goals)
            context = ShortListContext(self._folder, self._problem)
        winners, rung_results = self._winners(context, goals, plain_tau)
        chosen = {winner.key: (winner, goal) for winner, goal in zip(winners, goals, strict=True)}
        networks: list[NetworkDescription] = []
        larger: Candidate | None = None  # the network that was trained before
        left = list(reversed(chosen.values()))  # the teacher, if any, is trained with the most expensive network
        while left:
            winner, goal = left[0]
            if winner.key not in self._plan.final_epochs:
                self._plan_final(context, [one for one, _ in left], millions(goals[-1].value))
            candidate = Candidate(self._folder, self._problem, winner.observations[goal], goal)
            candidate = _with_recipe(candidate, epochs=self._plan.final_epochs[winner.key])
            candidate = self._with_trained_teacher(candidate, larger)
            networks.append(train_candidate(candidate, self._config.seed, is_again=False, progress=self._progress))
            larger = candidate
            del left[0]
        return rung_results, networks[::-1]

    def _with_trained_teacher(self, candidate: Candidate, larger: Candidate | None) -> Candidate:
        """Let the network that was trained before, if any, teach one that the plan's teacher does not teach."""
        if larger is None or not (self._plan.teacher or self._may_choose_teacher):
            return candidate
        macs, its_macs = (one.costs.cumulative[-1] for one in (candidate, larger))
        is_taught = self._plan.teacher is not None and millions(macs) >= LEAST_TAUGHT * self._plan.teacher[0]
        if is_taught or not LEAST_TAUGHT * its_macs <= macs < its_macs:
            return candidate
        folder = training_folder(self._folder, training_of(larger, self._config.seed))
        return _with_recipe(candidate, teacher=TeacherConfig(source="trained", network=folder.name))

    @property
    def _may_choose_teacher(self) -> bool:
        """Whether the run may choose a teacher.

        Not if the configuration (or the plan) names one, the backbone is given, or confidences are learned, for which a
        teacher has no outputs.
        """
        recipe, has_joint_loss = final_recipe(self._problem), self._config.supernet.joint_loss is not None
        is_given = self._problem.space.skeleton.given is not None
        return recipe.teacher is None and recipe.joint_loss is None and not has_joint_loss and not is_given

    def _plan_final(self, context: ShortListContext, left: Sequence[Contender], highest: float) -> None:
        """Decide the epochs of the next final training and, before the first one, the teacher.

        Args:
            context: Folder and problem.
            left: Networks that are not trained yet, the next one first.
            highest: Highest budget of average MACs in millions.
        """
        speeds = [self._network_seconds(context, one) for one in left]
        teachers = {} if self._plan.final_epochs else self._teachers_seconds(highest)
        num_images = len(self._problem.for_final_training.splits.train)
        epochs, teacher = final_epochs(
            self._plan, spent_s=self._watch.seconds, num_images=num_images, networks_s=speeds, teachers_s=teachers
        )
        self._decide(final_epochs={**self._plan.final_epochs, left[0].key: epochs}, teacher=teacher)

    def _plan_rungs(self, context: ShortListContext, goals: Sequence[TuningGoal]) -> None:
        """Decide networks and epochs of the short list's rungs; its candidates are timed if a list seems possible."""
        if self._problem.space.skeleton.given is not None:  # a short training would run it in every epoch
            self._decide(rungs=())
            return
        likely = read_pool(context, goals).choose(SHORTLISTS[0][0][0]) if not self._plan.is_brief else []
        plan = partial(rungs, spent_s=self._watch.seconds, num_images=len(self._problem.splits.train))
        found = plan(self._plan, networks_s=[self._plan.speed.network_seconds(one.macs) for one in likely])
        if found:
            timed = {one.key: self._network_seconds(context, one) for one in likely}
            self._plan = self._plan.model_copy(update={"timed_s": timed})
            found = plan(self._plan, networks_s=list(timed.values()))
        self._decide(rungs=found)

    def _train_short(self, context: ShortListContext, contender: Contender, epochs: int) -> ExitTable:
        """Train a network of the short list and store its time per image, unless its training was resumed."""
        started = None if is_begun(context, contender, epochs) else self._watch.seconds
        table = short_training(context, contender, epochs, progress=self._progress)
        if started is not None:
            image_s = (self._watch.seconds - started) / (epochs * len(context.problem.splits.train))
            measured = {**self._plan.measured_s, contender.key: image_s}
            self._plan = self._plan.model_copy(update={"measured_s": measured})
            self.note_time()
        return table

    def _winners(
        self, context: ShortListContext, goals: Sequence[TuningGoal], plain_tau: float | None
    ) -> tuple[list[Contender], list[RungResult]]:
        """Return the network for each goal: the winner of the short list or, without one, the most promising one."""
        if not self._plan.rungs:
            pools = [read_pool(context, [goal]) for goal in goals]
            is_by_estimate = not self._plan.is_brief and not self._plan.is_given
            if is_by_estimate and ranks_networks(plain_tau):
                return [pool.without_short_training(goal) for pool, goal in zip(pools, goals, strict=True)], []
            if is_by_estimate:
                tau = f"Kendall tau {plain_tau:.2f}"
                self._progress.message(f"plain networks are trained: estimates do not rank them by size ({tau})")
            return [pool.choose(1)[0] for pool in pools], []
        return run_shortlist(
            context,
            read_pool(context, goals),
            goals,
            train=partial(self._train_short, context),
            progress=self._progress,
            epochs_of=partial(self._rung_epochs, context),
        )

    def _rung_epochs(self, context: ShortListContext, contender: Contender, epochs: int) -> int:
        """Return the epochs of a network of the short list; one that is not timed yet is timed, and its time stored."""
        if contender.key not in {**self._plan.timed_s, **self._plan.further_s}:
            seconds = time_network(self._problem, contender.architecture, context.problem.space.skeleton)
            further = {**self._plan.further_s, contender.key: seconds}
            self._plan = self._plan.model_copy(update={"further_s": further})
            self.note_time()
        return rung_epochs(self._plan, contender.key, epochs)

    def _network_seconds(self, context: ShortListContext, contender: Contender) -> float:
        """Return a network's seconds per training image, from its short training or else from a few steps."""
        if contender.key in self._plan.measured_s:
            return self._plan.measured_s[contender.key]
        return time_network(context.problem, contender.architecture, context.problem.space.skeleton)

    def _teachers_seconds(self, highest: float) -> dict[float, float]:
        """Return the seconds per training image of candidate teachers by MACs in millions; empty if none may be chosen.

        Args:
            highest: Highest budget of average MACs in millions.
        """
        if not self._may_choose_teacher:
            return {}
        context, seconds = PlainContext(self._folder, self._problem), {}
        for size in TEACHER_SIZES:
            teachers = context.for_teacher(size * highest)
            network, skeleton = teachers.network(teachers.width_of(size * highest))
            seconds[size * highest] = time_network(self._problem.for_final_training, network, skeleton)
        return seconds

    def _decide(
        self,
        *,
        search_trials: int | None = None,
        rungs: tuple[tuple[int, int], ...] | None = None,
        final_epochs: dict[str, int] | None = None,
        teacher: tuple[float, int] | None = None,
    ) -> None:
        """Store a decision and the seconds spent in the plan and in the study's configuration."""
        decided = {"search_trials": search_trials, "rungs": rungs, "final_epochs": final_epochs, "teacher": teacher}
        made = {name: value for name, value in decided.items() if value is not None}
        self._plan = self._plan.model_copy(update={**made, "spent_s": self._watch.seconds})
        self._plan.write(self._folder.time_plan)
        self._problem = self._problem.with_config(planned_config(self._config, self._plan))
        with TrialStore.open(self._folder.study) as store:
            replace_config(self._config, store, self._folder)
        self._progress.message(decision_text(made, self._watch.seconds))


def _with_recipe(candidate: Candidate, **settings: object) -> Candidate:
    config = candidate.problem.config
    recipe = config.final_training.model_copy(update=settings)
    problem = candidate.problem.with_config(config.model_copy(update={"final_training": recipe}))
    return replace(candidate, problem=problem)
