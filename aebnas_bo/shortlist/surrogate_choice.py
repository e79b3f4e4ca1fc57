"""Choice of the next network to train briefly by a surrogate of estimates and short trainings.

Owns the translation of observations and trained networks to the tensors of `surrogates.next_training`. Its import loads
BoTorch, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.search.parameter_columns import column_layout
from aebnas_bo.search.trial import Observation
from aebnas_bo.shortlist.contenders import Pool, best_by_network
from aebnas_bo.shortlist.rungs import Tuned, TunedNetworks
from aebnas_bo.space.macs import MACS_PER_MILLION
from aebnas_bo.space.network_space import NetworkSpace, threshold_name
from aebnas_bo.space.search_space import ChoiceParameter, ParameterValue, Point
from surrogates.next_training import Contest, NextTrainings, choose_trainings
from surrogates.outcomes import OWN_NOISE
from surrogates.two_fidelity import Accuracies

MOST_ESTIMATES = 300  # observations of the search in the model: the best of each goal
PERCENT = 100.0


def choose_by_surrogate(pool: Pool, trained: TunedNetworks, space: NetworkSpace, *, count: int) -> NextTrainings:
    """Return the networks to train next, as positions in `pool.ranked`.

    Args:
        pool: The networks of the search.
        trained: The networks that are trained already, for goals with a limit of average MACs.
        space: The space.
        count: Number of networks to choose.

    Raises:
        NoCandidateError: If every network within a limit is trained already.
        SurrogateError: If the model does not fit.
    """
    done = dict.fromkeys(one.contender.key for of_goal in trained.values() for one in of_goal)
    number_of = {one.key: number for number, one in enumerate(pool.ranked)}
    contests = [_contest(pool, goal, of_goal, space=space) for goal, of_goal in trained.items()]
    return choose_trainings(
        _accuracies(pool, trained, space),
        column_layout(space.search_space),
        [one for one in contests if one.networks],
        taken=[number_of[key] for key in done],
        count=count,
    )


def _contest(pool: Pool, goal: TuningGoal, trained: Sequence[Tuned], *, space: NetworkSpace) -> Contest:
    """Return the networks within a limit: trained ones at their tuned thresholds, all others at their best estimate."""
    tuned = {one.contender.key: one for one in trained}
    rows: list[Tensor] = []
    networks: list[int] = []
    for number, contender in enumerate(pool.ranked):
        one, observed = tuned.get(contender.key), contender.observations[goal]
        macs = one.average_macs if one is not None else MACS_PER_MILLION * observed.metrics["average_macs"]
        if macs <= goal.value:
            rows.append(_row(space, observed.parameters if one is None else tuned_point(one, goal, space)))
            networks.append(number)
    X = torch.stack(rows) if rows else torch.zeros(0, len(space.search_space.parameters), dtype=torch.float64)
    return Contest(X, tuple(networks))


def _accuracies(pool: Pool, trained: TunedNetworks, space: NetworkSpace) -> Accuracies:
    """Return the best observations of the search for each goal, in turn, and the trained networks."""
    estimates = nearest_observations(pool.observed, list(trained))
    rows = [_row(space, one.parameters) for one in estimates]
    mean = [one.metrics["accuracy"] for one in estimates]
    variance = [one.sems.get("accuracy", 0.0) ** 2 for one in estimates]
    for goal, of_goal in trained.items():
        for one in of_goal:
            rows.append(_row(space, tuned_point(one, goal, space)))
            mean.append(one.accuracy)
            variance.append(_binomial_variance(one.accuracy, len(one.is_right)))
    return Accuracies(
        X=torch.stack(rows),
        is_trained=torch.arange(len(rows)) >= len(estimates),
        mean=torch.tensor(mean, dtype=torch.float64),
        variance=OWN_NOISE * torch.tensor(variance, dtype=torch.float64),
    )


def nearest_observations(observed: Sequence[Observation], goals: Sequence[TuningGoal]) -> list[Observation]:
    """Return the best observation of each network for each goal, at most `MOST_ESTIMATES`; the goals take turns.

    Args:
        observed: Observations of the search.
        goals: The goals.
    """
    rankings = [list(best_by_network(observed, goal).values()) for goal in goals]
    chosen: dict[tuple[int, int], Observation] = {}
    for of_goals in zip(*rankings, strict=True):
        for one in of_goals:
            if len(chosen) < MOST_ESTIMATES:
                chosen.setdefault(one.place, one)
    return list(chosen.values())


def tuned_point(one: Tuned, goal: TuningGoal, space: NetworkSpace) -> dict[str, ParameterValue]:
    """Return the point of a trained network with its tuned thresholds, as far as the space has them.

    Args:
        one: The network at its thresholds.
        goal: Their goal.
        space: The space.
    """
    point: dict[str, ParameterValue] = dict(one.contender.observations[goal].parameters)
    for position, threshold in zip(one.contender.architecture.active_exits, one.thresholds, strict=True):
        name = threshold_name(position)
        if name in space.search_space.names:
            # An exit that is switched off is one that no image leaves at.
            point[name] = _nearest(space, name, 1.0 if threshold is None else threshold)
    return point


def _nearest(space: NetworkSpace, name: str, threshold: float) -> ParameterValue:
    parameter = space.search_space[name]
    if isinstance(parameter, ChoiceParameter):
        return min(parameter.values, key=lambda value: abs(float(value) - threshold))
    return min(max(threshold, parameter.lower), parameter.upper)


def _row(space: NetworkSpace, point: Point) -> Tensor:
    encoded: np.ndarray = space.search_space.encode(point)
    return torch.from_numpy(encoded)


def _binomial_variance(accuracy: float, num_images: int) -> float:
    """Return the variance of an accuracy in percent, at (correct + 1) / (n + 2), so that 100 % is not certain."""
    share = (accuracy / PERCENT * num_images + 1.0) / (num_images + 2.0)
    return PERCENT**2 * share * (1.0 - share) / num_images
