"""Strategies of other libraries behind our `Strategy` protocol: samplers of Optuna, pymoo's NSGA-II.

All of them get only the flat parameters and the estimates of the trials, in order. After an interruption, they replay
the trials from their seed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.trial import FrozenTrial
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.sampling.rnd import FloatRandomSampling

from aebnas_bo.search.objectives import Objective, optimized, to_maximize, violations
from aebnas_bo.search.parameter_columns import column_layout
from aebnas_bo.search.strategy import Proposal
from aebnas_bo.search.trial import Trial
from aebnas_bo.seeding import child_seed
from aebnas_bo.space.search_space import ChoiceParameter, ParameterValue, SearchSpace

POPULATION = 20  # of both NSGA-IIs: ten generations in 200 evaluations; the defaults of 50 and 100 give two to four
VIOLATIONS = "violations"  # attribute of Optuna's trials
MOST_STALLED = 20  # generations without a new point before a random one is added

Point = dict[str, ParameterValue]
Conversation = Iterator[Point]


@dataclass(frozen=True)
class Loss:
    """Values of a trial for a peer.

    Args:
        losses: Objectives, all minimised.
        violations: Excess over each limit, at most 0 if it is met.
    """

    losses: tuple[float, ...]
    violations: tuple[float, ...]


Losses = list[Loss]


class ReplayedPeer:
    """Strategy of another library as a generator of points, which reads the losses of earlier points from a list.

    Args:
        converse: Starts a new search. Takes the list of losses (all minimised, in the order of the points), yields one
            point after the other, and reads new entries of the list in between.
        space: Search space.
        objectives: Metrics and directions.
    """

    def __init__(
        self, converse: Callable[[Losses], Conversation], space: SearchSpace, objectives: Sequence[Objective]
    ) -> None:
        self._losses: Losses = []
        self._points = converse(self._losses)
        self._space, self._objectives = space, tuple(objectives)
        self._asked: list[Point] = []

    def propose(self, trials: Sequence[Trial], count: int) -> list[Proposal]:
        """Return the next point; only one at a time is supported."""
        if count != 1:
            raise ValueError(f"peers propose one point at a time, not {count}")
        while len(self._asked) <= len(trials):
            for trial in trials[len(self._losses) : len(self._asked)]:
                if trial.status != "COMPLETED":
                    raise ValueError(f"trial {trial.number} failed ({trial.reason}); peers need all values")
                losses = tuple((-to_maximize([trial.metrics], self._objectives)[0]).tolist())
                self._losses.append(Loss(losses, violations(trial.metrics, self._objectives)))
            self._asked.append(self._space.canonical(next(self._points)))
        for trial, asked in zip(trials, self._asked, strict=False):
            if dict(trial.parameters) != asked:
                raise ValueError(f"trial {trial.number} is not what the peer proposed; delete the run's file")
        return [Proposal(self._asked[len(trials)])]


def optuna_tpe(space: SearchSpace, objectives: Sequence[Objective], seed: int) -> ReplayedPeer:
    """Return Optuna's multi-objective TPE with its defaults."""
    sampler = TPESampler(constraints_func=_constraints(objectives), seed=child_seed(seed, "optuna") % 2**32)
    return _optuna(space, objectives, sampler)


def optuna_gp(space: SearchSpace, objectives: Sequence[Objective], seed: int) -> ReplayedPeer:
    """Return Optuna's sampler with Gaussian processes and log expected hypervolume improvement, with its defaults."""
    sampler = GPSampler(constraints_func=_constraints(objectives), seed=child_seed(seed, "optuna") % 2**32)
    return _optuna(space, objectives, sampler)


def optuna_nsga2(space: SearchSpace, objectives: Sequence[Objective], seed: int) -> ReplayedPeer:
    """Return Optuna's NSGA-II."""
    sampler = NSGAIISampler(
        population_size=POPULATION,
        constraints_func=_constraints(objectives),
        seed=child_seed(seed, "optuna") % 2**32,
    )
    return _optuna(space, objectives, sampler)


def _constraints(objectives: Sequence[Objective]) -> Callable[[FrozenTrial], Sequence[float]] | None:
    """Return the function with which Optuna's samplers read the violations of a trial; `None` without limits."""
    is_limited = any(one.limit is not None for one in objectives)
    return (lambda trial: trial.user_attrs[VIOLATIONS]) if is_limited else None


def _optuna(space: SearchSpace, objectives: Sequence[Objective], sampler: BaseSampler) -> ReplayedPeer:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("optuna").setLevel(logging.WARNING)
    distributions: dict[str, BaseDistribution] = {}
    for parameter in space.parameters:
        if not isinstance(parameter, ChoiceParameter):
            distributions[parameter.name] = FloatDistribution(parameter.lower, parameter.upper)
        elif parameter.is_ordered:
            distributions[parameter.name] = IntDistribution(0, len(parameter.values) - 1)
        else:
            distributions[parameter.name] = CategoricalDistribution(list(range(len(parameter.values))))

    def converse(losses: Losses) -> Conversation:
        study = optuna.create_study(directions=["minimize"] * len(optimized(objectives)), sampler=sampler)
        asked: list[optuna.trial.Trial] = []
        while True:
            for trial, loss in zip(asked, losses[-len(asked) :] if asked else [], strict=True):
                trial.set_user_attr(VIOLATIONS, list(loss.violations))
                study.tell(trial, loss.losses)
            asked = [study.ask(distributions)]
            yield {
                parameter.name: parameter.values[asked[0].params[parameter.name]]
                if isinstance(parameter, ChoiceParameter)
                else asked[0].params[parameter.name]
                for parameter in space.parameters
            }

    return ReplayedPeer(converse, space, objectives)


def pymoo_nsga2(space: SearchSpace, objectives: Sequence[Objective], seed: int) -> ReplayedPeer:
    """Return pymoo's NSGA-II on the unit cube, with choices as equal intervals and without equal networks."""
    layout = column_layout(space)
    lower, upper = (bound.numpy() for bound in layout.bounds)
    is_discrete = layout.is_discrete.numpy()

    def rows_of(cube: np.ndarray) -> np.ndarray:
        levels = np.minimum(np.floor(cube * (upper + 1.0)), upper)
        rows = np.where(is_discrete, levels, lower + cube * (upper - lower))
        return layout.canonical(torch.from_numpy(rows)).numpy()

    def converse(losses: Losses) -> Conversation:
        algorithm = NSGA2(
            pop_size=POPULATION,
            sampling=FloatRandomSampling(),
            crossover=SBX(prob=0.9, eta=15),
            mutation=PM(eta=20),
            eliminate_duplicates=True,
        )
        num_limits = sum(one.limit is not None for one in objectives)
        problem = Problem(n_var=len(lower), n_obj=len(optimized(objectives)), n_ieq_constr=num_limits, xl=0.0, xu=1.0)
        algorithm.setup(problem, termination=("n_gen", 10**6), seed=child_seed(seed, "pymoo") % 2**32)
        known: dict[bytes, Loss] = {}
        generator = np.random.default_rng(child_seed(seed, "stalled"))
        stalled = 0
        while True:
            population = algorithm.ask()
            cube = population.get("X")
            if stalled > MOST_STALLED:  # a small space without new points
                cube[-1] = generator.random(len(lower))
                population.set("X", cube)
            rows = rows_of(cube)
            stalled = stalled + 1 if all(row.tobytes() in known for row in rows) else 0
            values = []
            for row in rows:
                if row.tobytes() not in known:
                    yield space.decode(row)
                    known[row.tobytes()] = losses[-1]
                values.append(known[row.tobytes()])
            population.set("F", np.array([one.losses for one in values]))
            population.set("G", np.array([one.violations for one in values]))
            algorithm.tell(infills=population)

    return ReplayedPeer(converse, space, objectives)
