"""How a run divides its time: each decision is made once, when its phase begins, and stored for resuming.

The supernet's epochs are decided before the study exists, for they are part of what it is; the number of trials is what
the search manages in its time; epochs of short and final trainings follow from what is left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from aebnas_bo.config.schema import Config
from aebnas_bo.errors import CorruptStateError, first_problem
from aebnas_bo.storage.sealed_json import read_sealed, write_sealed
from aebnas_bo.study.training_speed import Speed
from aebnas_bo.training.settings import TeacherConfig

# Shares of the time that is left when a phase begins; the final trainings get the rest less a reserve.
SUPERNET_SHARE = 0.14
SEARCH_SHARE = 0.08
SHORTLIST_SHARE = 0.2
RESERVE = 0.05  # for measuring, exporting and a machine that is busier than when it was timed
MOST_SUPERNET_EPOCHS, MOST_FINAL_EPOCHS = 120, 400
# Networks of each rung and epochs relative to the first, most thorough first; after few epochs all networks look alike.
SHORTLISTS = (((12, 1.0), (5, 2.5)), ((8, 1.0),))
ENOUGH_RUNG_EPOCHS, LEAST_RUNG_EPOCHS = 8, 3
# What a final training needs; where the time is too short for that, the other phases get less and no list is trained.
ENOUGH_EPOCHS, ENOUGH_IMAGES = 100, 800_000
# MACs of a teacher, of the highest budget, most first, and its epochs as shares of those that are enough. A teacher
# that was trained for long knows the training images by heart: its answers then say no more than the labels.
TEACHER_SIZES, LEAST_TO_TEACH, MOST_TO_TEACH = (2.0, 1.5), 0.25, 0.5
LEAST_SEARCH = 0.3  # of the search's share: the plain networks must be among its trials


class TimePlan(BaseModel):
    """What was decided so far.

    Args:
        minutes: The time budget.
        speed: Measured speeds.
        sufficiency: Time of the run as a share of what its final trainings need, at most 1.
        spent_s: Seconds spent so far, as last noted.
        supernet_epochs: Epochs of the supernet.
        search_until_s: Seconds spent in all when the search is to end; null until it began.
        search_trials: Trials of the search; null until it ended.
        rungs: Networks and epochs of the short list's rungs, none without a short list; null until the search ended.
        timed_s: Seconds per training image of the networks that may be on the short list, by key, as a few steps took.
        measured_s: The same of the networks of the short list, as their training took.
        final_epochs: Epochs of each final training, cheapest budget first; null until the short list ended.
        teacher: MACs in millions and epochs of the plain network that teaches the others; null for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    minutes: float
    speed: Speed
    sufficiency: float = 1.0
    spent_s: float = 0.0
    supernet_epochs: int
    search_until_s: float | None = None
    search_trials: int | None = None
    rungs: tuple[tuple[int, int], ...] | None = None
    timed_s: dict[str, float] = {}
    measured_s: dict[str, float] = {}
    final_epochs: tuple[int, ...] | None = None
    teacher: tuple[float, int] | None = None

    def write(self, path: Path) -> None:
        """Write the plan."""
        write_sealed(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a plan.

        Raises:
            CorruptStateError: If the file is missing, damaged or no plan.
        """
        way_out = "restore it from a copy, or start another run folder"
        try:
            return cls.model_validate(read_sealed(path, way_out))
        except ValidationError as error:
            raise CorruptStateError(f"{path} is no plan of a run ({first_problem(error)}); {way_out}") from error


def left(plan: TimePlan, spent_s: float) -> float:
    """Return the seconds left for the phases to come, the reserve taken off."""
    return _left(plan.minutes, spent_s)


def _left(minutes: float, spent_s: float) -> float:
    return max((1.0 - RESERVE) * 60.0 * minutes - spent_s, 0.0)


def sufficiency(minutes: float, *, spent_s: float, num_images: int, networks_s: Sequence[float]) -> float:
    """Return the time of a run as a share of what its final trainings need, at most 1.

    Args:
        minutes: The time budget.
        spent_s: Seconds spent on loading and timing.
        num_images: Training images.
        networks_s: Seconds per training image of each network that will be trained to the end.
    """
    needed = _enough(num_images) * num_images * sum(networks_s)
    return min(_left(minutes, spent_s) / needed, 1.0)


def _enough(num_images: int) -> int:
    return min(ENOUGH_EPOCHS, math.ceil(ENOUGH_IMAGES / num_images))


def supernet_epochs(minutes: float, spent_s: float, num_images: int, *, speed: Speed, share: float = 1.0) -> int:
    """Return for how many epochs the supernet is trained.

    Args:
        minutes: The time budget.
        spent_s: Seconds spent on loading and timing.
        num_images: Training images.
        speed: Measured speeds.
        share: The run's sufficiency.
    """
    seconds = share**2 * SUPERNET_SHARE * _left(minutes, spent_s)
    return _epochs(seconds, num_images * speed.supernet_s, least=1, most=MOST_SUPERNET_EPOCHS)


def search_seconds(plan: TimePlan, spent_s: float) -> float:
    """Return how many seconds the search gets.

    Args:
        plan: What was decided so far.
        spent_s: Seconds spent when it begins.
    """
    return max(plan.sufficiency**2, LEAST_SEARCH) * SEARCH_SHARE * left(plan, spent_s)


def rungs(
    plan: TimePlan, *, spent_s: float, num_images: int, networks_s: Sequence[float]
) -> tuple[tuple[int, int], ...]:
    """Return networks and epochs of each rung of the short list; none where final trainings need all of the time.

    The epochs are those of a network of average speed: within a rung all networks are trained for the same time.

    Args:
        plan: What was decided so far.
        spent_s: Seconds spent when the search ended.
        num_images: Training images.
        networks_s: Seconds per training image of the networks that may be on the list.
    """
    if plan.sufficiency < 1.0:
        return ()
    seconds = SHORTLIST_SHARE * left(plan, spent_s)
    epoch_s = sum(networks_s) / max(len(networks_s), 1) * num_images
    for sizes in SHORTLISTS:
        work = sum(count * length for count, length in sizes)
        first = _epochs(seconds, work * epoch_s, least=LEAST_RUNG_EPOCHS, most=MOST_FINAL_EPOCHS)
        if first >= ENOUGH_RUNG_EPOCHS:
            break
    return tuple((count, round(first * length)) for count, length in sizes)


def rung_epochs(plan: TimePlan, key: str, epochs: int) -> int:
    """Return for how many epochs a network of the short list is trained.

    A final training lasts equally long for every network, so a short one does too: in equal epochs large networks would
    look better than they will be in the end.

    Args:
        plan: What was decided so far.
        key: Key of the network; one that was not timed counts as one of average speed.
        epochs: Epochs of the rung.
    """
    if key not in plan.timed_s:
        return epochs
    average = sum(plan.timed_s.values()) / len(plan.timed_s)
    return max(round(epochs * average / plan.timed_s[key]), LEAST_RUNG_EPOCHS)


def final_epochs(
    plan: TimePlan, *, spent_s: float, num_images: int, networks_s: Sequence[float], teachers_s: Mapping[float, float]
) -> tuple[tuple[int, ...], tuple[float, int] | None]:
    """Return for how many epochs each chosen network is trained, and its teacher before.

    All networks are trained for as long, so a small one for more epochs. The teacher has half of the epochs that are
    enough, or what an equal share of the time allows; it is the largest that gets a quarter of them.

    Args:
        plan: What was decided so far.
        spent_s: Seconds spent when the short list ended.
        num_images: Training images.
        networks_s: Seconds per training image of each chosen network.
        teachers_s: The same of each possible teacher by its MACs in millions, largest first.

    Returns:
        The epochs of each network, and MACs and epochs of the teacher; `None` where the time is too short for any.
    """
    seconds = left(plan, spent_s)
    share = seconds / (len(networks_s) + 1)
    for macs, one_s in teachers_s.items():
        epochs = _epochs(share, num_images * one_s, least=0, most=math.ceil(MOST_TO_TEACH * _enough(num_images)))
        if epochs >= LEAST_TO_TEACH * _enough(num_images):
            rest = (seconds - epochs * num_images * one_s) / max(len(networks_s), 1)
            return _each(rest, num_images, networks_s), (macs, epochs)
    return _each(seconds / max(len(networks_s), 1), num_images, networks_s), None


def _each(seconds: float, num_images: int, networks_s: Sequence[float]) -> tuple[int, ...]:
    return tuple(_epochs(seconds, num_images * one_s, least=1, most=MOST_FINAL_EPOCHS) for one_s in networks_s)


def _epochs(seconds: float, epoch_s: float, *, least: int, most: int) -> int:
    return min(max(math.floor(seconds / epoch_s), least), most)


def planned_config(config: Config, plan: TimePlan) -> Config:
    """Return the configuration with what is decided in the place of its own numbers.

    Its final training is that of the most expensive network; `final_epochs` of the plan has the others'.
    """
    updates: dict[str, object] = {
        "supernet": config.supernet.model_copy(update={"epochs": plan.supernet_epochs}),
    }
    if plan.search_trials is not None:
        updates["search"] = config.search.model_copy(update={"budget": plan.search_trials})
    if plan.rungs:
        updates["shortlist"] = config.shortlist.model_copy(update={"rungs": plan.rungs})
    if plan.final_epochs is not None:
        recipe = config.final_training.model_copy(update={"epochs": plan.final_epochs[-1]})
        if plan.teacher is not None:
            macs, epochs = plan.teacher
            recipe = recipe.model_copy(update={"teacher": TeacherConfig(macs=macs, epochs=epochs)})
        updates["final_training"] = recipe
    return config.model_copy(update=updates)
