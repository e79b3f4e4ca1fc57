"""Time plan of a run: each decision is made once, at the start of its phase, and stored for resuming.

The supernet's epochs are decided before the study is created, because they are part of its identity. The number of
trials follows from the time of the search, and the epochs of short and final trainings from the remaining time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from aebnas_bo.config.schema import Config
from aebnas_bo.errors import CorruptStateError, first_problem
from aebnas_bo.preparation.forecast import duration_text
from aebnas_bo.storage.count_text import counted
from aebnas_bo.storage.sealed_json import read_sealed, write_sealed
from aebnas_bo.study.training_speed import Speed
from aebnas_bo.training.settings import TeacherConfig

# Fractions of the time left at the start of a phase; the final trainings get the rest minus a reserve.
SUPERNET_SHARE = 0.2
SEARCH_SHARE = 0.08
SHORTLIST_SHARE = 0.2
# With a given backbone, all networks share the time of few trainings of small branches.
BRANCHES_SHARE, SEARCH_SHARE_OF_BRANCHES = 0.3, 0.35
RESERVE = 0.05  # for evaluation, export and a machine that is busier than during timing
MOST_SUPERNET_EPOCHS, MOST_FINAL_EPOCHS = 120, 400
# Networks of each rung and epochs relative to the first, most thorough first; few epochs do not separate networks.
SHORTLISTS = (((12, 1.0), (5, 2.5)), ((8, 1.0),))
ENOUGH_RUNG_EPOCHS, LEAST_RUNG_EPOCHS = 25, 3
# Images, repeated ones included, that a final training needs, its least and most epochs for them, and the largest
# fraction of the whole time that all of them may need. If they need more, the search is brief and no short list is
# trained: supernet, search and teacher would take their time.
ENOUGH_IMAGES, ENOUGH_EPOCHS = 800_000, (60, 100)
FINALS_SHARE = 0.25
# The time of a final training grows with this power of the time of the network's epoch: 0 would give all networks equal
# time, 1 equal epochs. Large networks, which get fewer epochs than small ones, gain more by each.
TIME_EXPONENT = 0.5
# MACs of a teacher per highest budget, largest first, and its least and most epochs for at least so many images,
# repeated ones included. After fewer it teaches too little, and more epochs of the networks themselves are worth more.
# After more it has memorised the training images: its outputs then add nothing to the labels.
TEACHER_SIZES, TEACHER_EPOCHS, TEACHER_IMAGES = (2.0, 1.5), (40, 50), (400_000, 500_000)
SOFT_LABEL_EPOCHS = 8 / 3  # time to predict eight views, in a teacher's epochs: a forward pass is a third of a step
# Images, repeated ones included, after which the estimates of a supernet rank networks; after fewer they rank worse
# than MACs alone. Without such estimates the supernet gets one epoch, and the search ends with its initial design, most
# of which are plain networks.
RANKING_IMAGES = 100_000
# Its steps train two random networks, the fewest possible, on many images, because the largest one and the update of
# all weights take most of the time of a step.
BRIEF_SUPERNET = {"sandwich": False, "distillation": False, "random_subnets": 0, "batch_size": 256}
BRIEF_SEARCH = 0.3  # of the search's share; all plain networks of the initial design are evaluated in any case


class TimePlan(BaseModel):
    """Decisions made so far.

    Args:
        minutes: The time budget.
        speed: Measured speeds.
        is_given: Whether the backbone is given.
        is_brief: Whether the search is brief, because its estimates could not rank or final trainings need the time.
        spent_s: Seconds spent so far, as last stored.
        supernet_epochs: Epochs of the supernet.
        search_until_s: Total seconds at which the search ends; null before the search.
        search_trials: Number of trials of the search; null until its end.
        rungs: Networks and epochs of the short list's rungs, empty without a short list; null until the search ends.
        timed_s: Seconds per training image of the candidates for the short list, by key, estimated from a few steps.
        further_s: The same for networks that came onto the list later.
        measured_s: Seconds per training image of the networks on the short list, by key, measured in training.
        final_epochs: Epochs of the final trainings that have begun, by key, in this order.
        teacher: MACs in millions and epochs of the plain teacher network; null for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    minutes: float
    speed: Speed
    is_given: bool = False
    is_brief: bool = False
    spent_s: float = 0.0
    supernet_epochs: int
    search_until_s: float | None = None
    search_trials: int | None = None
    rungs: tuple[tuple[int, int], ...] | None = None
    timed_s: dict[str, float] = {}
    further_s: dict[str, float] = {}
    measured_s: dict[str, float] = {}
    final_epochs: dict[str, int] = {}
    teacher: tuple[float, int] | None = None

    def write(self, path: Path) -> None:
        """Write the plan."""
        write_sealed(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a plan.

        Raises:
            CorruptStateError: If the file is missing, damaged or not a time plan.
        """
        way_out = "restore it from a copy, or start another run folder"
        try:
            return cls.model_validate(read_sealed(path, way_out))
        except ValidationError as error:
            raise CorruptStateError(f"{path} is not a time plan ({first_problem(error)}); {way_out}") from error


def left(plan: TimePlan, spent_s: float) -> float:
    """Return the seconds left for the remaining phases, minus the reserve."""
    return _left(plan.minutes, spent_s)


def _left(minutes: float, spent_s: float) -> float:
    return max((1.0 - RESERVE) * 60.0 * minutes - spent_s, 0.0)


def search_minutes(*, spent_s: float, num_images: int, networks_s: Sequence[float], supernet_s: float | None) -> float:
    """Return the least time budget in minutes that is not too short for a search; see `TimePlan.is_brief`.

    There must be time for a supernet whose estimates rank networks, and much more than the final trainings need.

    Args:
        spent_s: Seconds spent on loading and timing.
        num_images: Training images.
        networks_s: Seconds per training image of each network to train fully.
        supernet_s: Seconds per training image of the supernet; `None` for an estimator without one.
    """
    finals_s = _enough(num_images) * num_images * sum(networks_s)
    ranking_s = RANKING_IMAGES * supernet_s / SUPERNET_SHARE if supernet_s is not None else 0.0
    return (spent_s + max(finals_s / FINALS_SHARE, ranking_s)) / (60.0 * (1.0 - RESERVE))


def _enough(num_images: int) -> int:
    least, most = ENOUGH_EPOCHS
    return min(max(math.ceil(ENOUGH_IMAGES / num_images), least), most)


def supernet_epochs(
    minutes: float, spent_s: float, num_images: int, *, speed: Speed, share: float = SUPERNET_SHARE
) -> int:
    """Return the number of epochs of the supernet where the search is not brief.

    Args:
        minutes: The time budget.
        spent_s: Seconds spent on loading and timing.
        num_images: Training images.
        speed: Measured speeds.
        share: Share of the time that is left.
    """
    seconds, ranking = share * _left(minutes, spent_s), math.ceil(RANKING_IMAGES / num_images)
    return _epochs(seconds, num_images * speed.supernet_s, least=1, most=max(MOST_SUPERNET_EPOCHS, ranking))


def search_seconds(plan: TimePlan, spent_s: float) -> float:
    """Return the seconds allotted to the search.

    Args:
        plan: Decisions made so far.
        spent_s: Seconds spent before the search.
    """
    share = SEARCH_SHARE_OF_BRANCHES if plan.is_given else SEARCH_SHARE
    return (BRIEF_SEARCH if plan.is_brief else 1.0) * share * left(plan, spent_s)


def rungs(
    plan: TimePlan, *, spent_s: float, num_images: int, networks_s: Sequence[float]
) -> tuple[tuple[int, int], ...]:
    """Return networks and epochs of each rung of the short list; empty if the time does not suffice for one.

    The epochs apply to a network of average speed: within a rung, all networks are trained for the same time.

    Args:
        plan: Decisions made so far.
        spent_s: Seconds spent until the end of the search.
        num_images: Training images.
        networks_s: Seconds per training image of the candidates.
    """
    if plan.is_brief:
        return ()
    seconds = SHORTLIST_SHARE * left(plan, spent_s)
    epoch_s = sum(networks_s) / max(len(networks_s), 1) * num_images
    for sizes in SHORTLISTS:
        work = sum(count * length for count, length in sizes)
        first = _epochs(seconds, work * epoch_s, least=0, most=MOST_FINAL_EPOCHS)
        if first >= ENOUGH_RUNG_EPOCHS:
            return tuple((count, round(first * length)) for count, length in sizes)
    return ()


def rung_epochs(plan: TimePlan, key: str, epochs: int) -> int:
    """Return the number of epochs of a network on the short list.

    Short trainings of a rung take equal time: with equal epochs, large networks would look better than after their
    final training.

    Args:
        plan: Decisions made so far.
        key: Key of the network; a network that was not timed is assumed to have average speed.
        epochs: Epochs of the rung.
    """
    seconds = {**plan.timed_s, **plan.further_s}
    if not plan.timed_s or key not in seconds:
        return epochs
    average = sum(plan.timed_s.values()) / len(plan.timed_s)  # as decided with the rungs
    return max(round(epochs * average / seconds[key]), LEAST_RUNG_EPOCHS)


def final_epochs(
    plan: TimePlan, *, spent_s: float, num_images: int, networks_s: Sequence[float], teachers_s: Mapping[float, float]
) -> tuple[int, tuple[float, int] | None]:
    """Return the number of epochs of the next final training, and of the teacher.

    Networks share the time in proportion to their epochs' time to the power `TIME_EXPONENT`. The teacher gets at most
    an equal share. The largest candidate is chosen that gets enough epochs (`TEACHER_EPOCHS`, `TEACHER_IMAGES`) in this
    share, and leaves the next network as many.

    Args:
        plan: Decisions made so far.
        spent_s: Seconds spent so far.
        num_images: Training images.
        networks_s: Seconds per training image of each network that is not trained yet, the next one first.
        teachers_s: Seconds per training image of each candidate teacher by its MACs in millions, largest first.

    Returns:
        The epochs, and MACs and epochs of the teacher; `None` if the time is too short for a teacher.
    """
    seconds, teacher = left(plan, spent_s), None
    share = seconds / (len(networks_s) + 1)
    least, most = (
        max(fewest, math.ceil(images / num_images))
        for fewest, images in zip(TEACHER_EPOCHS, TEACHER_IMAGES, strict=True)
    )

    def epochs(seconds: float) -> int:
        epochs_s = [num_images * one_s for one_s in networks_s]
        return _epochs(_first_share(seconds, epochs_s), epochs_s[0], least=1, most=MOST_FINAL_EPOCHS)

    for macs, one_s in teachers_s.items():
        epoch_s = num_images * one_s
        its_epochs = _epochs(share, epoch_s, least=0, most=min(most, MOST_FINAL_EPOCHS))
        rest_s = seconds - (its_epochs + SOFT_LABEL_EPOCHS) * epoch_s
        if least <= its_epochs <= epochs(rest_s):
            seconds, teacher = rest_s, (macs, its_epochs)
            break
    return epochs(seconds), teacher


def _first_share(seconds: float, epochs_s: Sequence[float]) -> float:
    """Return the seconds of the first of several final trainings; the others get what a capped one cannot use.

    Args:
        seconds: Seconds of all of them.
        epochs_s: Seconds of an epoch of each.
    """
    weight, share = sum(one_s**TIME_EXPONENT for one_s in epochs_s), 0.0
    for epoch_s in sorted(epochs_s):  # the fastest reach the most epochs first
        share = min(seconds * epoch_s**TIME_EXPONENT / weight, MOST_FINAL_EPOCHS * epoch_s)
        if epoch_s == epochs_s[0]:
            break
        seconds, weight = seconds - share, weight - epoch_s**TIME_EXPONENT
    return share


def _epochs(seconds: float, epoch_s: float, *, least: int, most: int) -> int:
    return min(max(math.floor(seconds / epoch_s), least), most)


def planned_config(config: Config, plan: TimePlan) -> Config:
    """Return the configuration with its numbers replaced by the decisions of the plan.

    Its final training is that of the first network; `TimePlan.final_epochs` holds the others.
    """
    supernet: dict[str, object] = {"epochs": plan.supernet_epochs, **(BRIEF_SUPERNET if plan.is_brief else {})}
    updates: dict[str, object] = {"supernet": config.supernet.model_copy(update=supernet)}
    if plan.search_trials is not None:
        updates["search"] = config.search.model_copy(update={"budget": plan.search_trials})
    elif plan.is_brief:
        budget = min(config.search.budget, config.search.design_trials)
        updates["search"] = config.search.model_copy(update={"budget": budget})
    if plan.rungs:
        updates["shortlist"] = config.shortlist.model_copy(update={"rungs": plan.rungs})
    if plan.final_epochs:
        recipe = config.final_training.model_copy(update={"epochs": next(iter(plan.final_epochs.values()))})
        if plan.teacher is not None:
            macs, epochs = plan.teacher
            recipe = recipe.model_copy(update={"teacher": TeacherConfig(macs=macs, epochs=epochs)})
        updates["final_training"] = recipe
    return config.model_copy(update=updates)


def decision_text(made: Mapping[str, object], seconds: float) -> str:
    """Describe a decision.

    Args:
        made: The values of the plan that were decided, by name.
        seconds: Seconds spent so far.
    """
    name, value = next(iter(made.items()))
    if name == "rungs" and not value:
        text = "no short list, all time for the final trainings"
    elif name == "rungs" and isinstance(value, tuple):
        steps = ", then ".join(
            f"{counted(count, 'network')} for about {counted(epochs, 'epoch')}" for count, epochs in value
        )
        text = f"short list: {steps}"
    elif isinstance(value, dict):
        key, epochs = list(value.items())[-1]
        text = f"final training of {key}: {counted(epochs, 'epoch')}"
        if isinstance(teacher := made.get("teacher"), tuple):
            text = f"{text}; before it a teacher of {teacher[0]:.3g} M MACs for {counted(int(teacher[1]), 'epoch')}"
    else:
        text = f"search ended after {counted(int(str(value)), 'trial')}"
    return f"{duration_text(seconds)}: {text}"
