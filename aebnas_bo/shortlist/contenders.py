"""Which networks of a search are trained for a short time: the best by estimate for each goal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import UsageError
from aebnas_bo.search.trial import Trial, completed_settings
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.macs import MACS_PER_MILLION
from aebnas_bo.space.network_space import NetworkSpace

LOWEST_BUDGET = 0.1  # of the highest, where several budgets are served
Score = tuple[float, float]


@dataclass(frozen=True)
class Contender:
    """A network of the short list.

    Args:
        trial: The observation it was chosen by.
        architecture: The network.
    """

    trial: Trial
    architecture: Architecture

    @property
    def key(self) -> str:
        """Key of the architecture."""
        return self.trial.key


def score(goal: TuningGoal, accuracy: float, average_macs: float) -> Score:
    """Return how well figures meet a goal; larger is better.

    Args:
        goal: What counts.
        accuracy: Accuracy in percent.
        average_macs: Average MACs of an image.
    """
    first, second = goal.scores(torch.tensor([accuracy]), torch.tensor([average_macs]))
    return float(first), float(second)


def choose_contenders(
    trials: Sequence[Trial], space: NetworkSpace, goals: Sequence[TuningGoal], count: int
) -> list[Contender]:
    """Choose the short list: the goals take turns, each naming the best network by estimate that is not on it yet.

    Networks that differ in thresholds alone are one contender, at the setting that meets the goal best.

    Args:
        trials: All trials of a search.
        space: Its space.
        goals: What the networks are wanted for.
        count: Length of the list; fewer where the search found fewer networks.

    Raises:
        UsageError: If no trial was completed.
    """
    observed = completed_settings(trials)
    if not observed:
        raise UsageError("no trial was completed; there is nothing to choose from")
    rankings = [iter(_ranked(observed, goal)) for goal in goals]
    chosen: dict[str, Trial] = {}
    exhausted = 0
    while len(chosen) < count and exhausted < len(rankings):
        exhausted = 0
        for ranking in rankings:
            following = next((trial for trial in ranking if trial.key not in chosen), None)
            if following is None:
                exhausted += 1
            elif len(chosen) < count:
                chosen[following.key] = following
    return [Contender(trial, space.architecture(trial.parameters)) for trial in chosen.values()]


def _ranked(observed: Sequence[Trial], goal: TuningGoal) -> list[Trial]:
    def merit(trial: Trial) -> Score:
        return score(goal, trial.metrics["accuracy"], MACS_PER_MILLION * trial.metrics["average_macs"])

    return sorted(observed, key=merit, reverse=True)


def budget_goals(highest: float, count: int) -> list[TuningGoal]:
    """Return goals of most average MACs, evenly on a logarithmic scale down to a tenth, cheapest first.

    Args:
        highest: Highest budget in millions.
        count: Number of budgets.
    """
    shares = [LOWEST_BUDGET ** (step / max(count - 1, 1)) for step in reversed(range(count))]
    return [TuningGoal("max_macs", share * highest * MACS_PER_MILLION) for share in shares]
