"""First decisions of a run with a time budget: whether the search is brief, and the epochs of the supernet."""

from __future__ import annotations

from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.preparation.forecast import duration_text, images_text
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.shortlist.contenders import budget_goals
from aebnas_bo.space.macs import millions
from aebnas_bo.storage.count_text import counted
from aebnas_bo.study.time_plan import BRANCHES_SHARE, TimePlan, search_minutes, supernet_epochs
from aebnas_bo.study.training_speed import Speed, Stopwatch, measure_speed


def first_plan(problem: Problem, watch: Stopwatch, progress: RunProgress) -> TimePlan:
    """Time a few training steps, decide the epochs of the supernet, and print a forecast of the run.

    Args:
        problem: The search problem; its configuration has a time budget.
        watch: Seconds since the start of the run.
        progress: Shows the forecast.
    """
    config = problem.config
    set_up_cpu(config.num_threads)  # time under the conditions of the run
    speed = measure_speed(problem)
    minutes, num_images = config.time_budget or 0.0, len(problem.splits.train)
    highest = config.search.max_average_macs or millions(problem.space.middle_macs)
    goals = budget_goals(highest, config.shortlist.budgets)
    networks_s = [speed.network_seconds(round(goal.value)) for goal in goals]
    has_supernet = problem.estimator is None
    if problem.space.skeleton.given is not None:
        return _plan_with_backbone(problem, watch, progress, speed=speed)
    least = search_minutes(
        spent_s=watch.seconds, num_images=num_images, networks_s=networks_s,
        supernet_s=speed.supernet_s if has_supernet else None,
    )  # fmt: skip
    is_brief, epochs, first = minutes < least, config.supernet.epochs, "search"
    if has_supernet:
        epochs = 1 if is_brief else supernet_epochs(minutes, watch.seconds, num_images, speed=speed)
        duration = "" if is_brief else f", about {duration_text(epochs * num_images * speed.supernet_s)}"
        first = f"supernet {counted(epochs, 'epoch')}{duration}; then search"
    then = "final trainings in the rest"
    if is_brief:
        then = (
            "final trainings of plain networks with exits in the rest (a search among other networks needs about "
            f"{duration_text(60 * least)})"
        )
    progress.message(f"time budget {duration_text(60 * minutes)}, {images_text(problem.splits)}: {first}, {then}")
    return TimePlan(minutes=minutes, speed=speed, is_brief=is_brief, supernet_epochs=epochs, spent_s=watch.seconds)


def _plan_with_backbone(problem: Problem, watch: Stopwatch, progress: RunProgress, *, speed: Speed) -> TimePlan:
    """Decide the epochs of the branches of a given backbone, whose estimates rank networks after few epochs."""
    minutes, num_images = problem.config.time_budget or 0.0, len(problem.splits.train)
    features_s = num_images * speed.features_s
    spent_s = watch.seconds + features_s
    epochs = supernet_epochs(minutes, spent_s, num_images, speed=speed, share=BRANCHES_SHARE)
    duration = duration_text(features_s + epochs * num_images * speed.supernet_s)
    progress.message(
        f"time budget {duration_text(60 * minutes)}, {images_text(problem.splits)}: features and branches "
        f"{counted(epochs, 'epoch')}, about {duration}; then search, and final trainings in the rest"
    )
    return TimePlan(minutes=minutes, speed=speed, is_given=True, supernet_epochs=epochs, spent_s=watch.seconds)
