"""The search loop of AEBNAS and its ancestors: random points, then rounds of NSGA-II on neural surrogates.

One multilayer perceptron per metric is fitted to all trials, and NSGA-II, started from their front, runs on the
predictions. The points of its last population that are farthest from the front are evaluated. Population, generations
and operators are the published ones. The original minimises the distance to one target cost; this implementation
minimises the cost itself, as NSGANetV2 does, and so finds a whole front. Limits of metrics are constraints, as in
NACHOS. NACHOS adds a violation to an objective; here feasible points rank first (pymoo's NSGA-II).

References:
    AEBNAS: Strengthening Exit Branches in Early-Exit Networks through Hardware-Aware Neural Architecture Search.
    arXiv 2512.10671, 2025.
    Z. Lu, K. Deb, E. Goodman, W. Banzhaf, V. N. Boddeti. NSGANetV2: Evolutionary Multi-Objective Surrogate-Assisted
    Neural Architecture Search. ECCV 2020.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

import surrogates  # noqa: F401  before BoTorch, whose import it keeps quiet

# isort: split
from botorch.utils.multi_objective.pareto import is_non_dominated
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.operators.crossover.pntx import TwoPointCrossover
from pymoo.operators.mutation.pm import PM
from pymoo.optimize import minimize
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aebnas_bo.search.objectives import Objective, optimized, to_maximize
from aebnas_bo.search.parameter_columns import column_layout
from aebnas_bo.search.random_strategy import RandomStrategy, new_random_points
from aebnas_bo.search.strategy import Proposal
from aebnas_bo.search.trial import Trial
from aebnas_bo.seeding import child_seed
from aebnas_bo.space.search_space import SearchSpace

POPULATION = 40
GENERATIONS = 20
CROSSOVER_PROBABILITY = 0.9
MUTATION_ETA = 1.0
HIDDEN_LAYERS = (128, 128)
MOST_ITERATIONS = 500

Predict = Callable[[np.ndarray], np.ndarray]


class AebnasStrategy:
    """Surrogate-assisted NSGA-II; one round proposes as many points as requested (8 as published).

    Args:
        space: Search space.
        objectives: Metrics and directions.
        design_trials: Random points before the first round (100 as published).
        seed: Random seed.
    """

    def __init__(self, space: SearchSpace, objectives: Sequence[Objective], *, design_trials: int, seed: int) -> None:
        self._space, self._seed = space, seed
        self._design_trials = design_trials
        goals = optimized(objectives)
        self._num_goals = len(goals)
        # Constraints are predicted like objectives; their columns come last.
        self._metrics = (*goals, *(replace(one, is_constraint=False) for one in objectives if one.is_constraint))
        self._layout = column_layout(space)

    def propose(self, trials: Sequence[Trial], count: int) -> list[Proposal]:
        """Return random points until the initial design is complete, then the points of one round."""
        completed = [trial for trial in trials if trial.status == "COMPLETED"]
        if len(trials) < self._design_trials or len(completed) < 2:
            return RandomStrategy(self._space, self._seed).propose(trials, count)
        X = np.stack([self._space.encode(trial.parameters) for trial in completed])
        loss = -to_maximize([trial.metrics for trial in completed], self._metrics)
        predict = self._fit(X, loss, len(trials))
        front = X[is_non_dominated(torch.from_numpy(-loss[:, : self._num_goals])).numpy()]
        tried = {self._space.key(trial.parameters) for trial in trials}
        found = self._evolve(predict, front, len(trials))
        candidates = [row for row in found if self._space.key(self._space.decode(row)) not in tried]
        points = [self._space.decode(row) for row in _spread(candidates, self._goals(predict), front, count=count)]
        tried.update(map(self._space.key, points))
        first, missing = len(trials) + len(points), count - len(points)
        points += new_random_points(self._space, self._seed, first=first, count=missing, tried=tried)
        return [Proposal(point) for point in points]

    def _fit(self, X: np.ndarray, loss: np.ndarray, number: int) -> Predict:
        """Fit one perceptron per metric and return the function that predicts all metrics, `n x d` to `n x m`."""
        models = []
        for position, values in enumerate(loss.T):
            perceptron = MLPRegressor(
                hidden_layer_sizes=HIDDEN_LAYERS,
                max_iter=MOST_ITERATIONS,
                random_state=child_seed(self._seed, "perceptron", number, position) % 2**32,
            )
            model = TransformedTargetRegressor(
                make_pipeline(StandardScaler(), perceptron), transformer=StandardScaler()
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                models.append(model.fit(X, values))
        return lambda rows: np.stack([model.predict(rows) for model in models], axis=-1)

    def _goals(self, predict: Predict) -> Predict:
        """Return the function that predicts the objectives only."""
        return lambda rows: predict(rows)[:, : self._num_goals]

    def _evolve(self, predict: Predict, front: np.ndarray, number: int) -> np.ndarray:
        """Run NSGA-II from the front and random rows and return its last population as distinct canonical rows."""
        layout, num_goals = self._layout, self._num_goals
        lower, upper = (bound.numpy() for bound in layout.bounds)
        is_discrete = layout.is_discrete.numpy()

        def rows_of(cube: np.ndarray) -> np.ndarray:
            levels = np.floor(cube * (upper + 1.0))
            rows = np.where(is_discrete, levels, lower + cube * (upper - lower))
            return layout.canonical(torch.from_numpy(rows)).numpy()

        # Losses are signed metrics, so a limit is an upper bound on a loss.
        limits = [(k, -o.to_maximize(o.limit)) for k, o in enumerate(self._metrics) if o.limit is not None]

        class Predicted(Problem):
            def __init__(self) -> None:
                super().__init__(n_var=len(lower), n_obj=num_goals, n_ieq_constr=len(limits), xl=0.0, xu=1.0)

            def _evaluate(self, x: np.ndarray, out: dict[str, np.ndarray]) -> None:
                loss = predict(rows_of(x))
                out["F"] = loss[:, :num_goals]
                if limits:
                    out["G"] = np.stack([loss[:, k] - most for k, most in limits], axis=-1)

        generator = np.random.default_rng(child_seed(self._seed, "population", number))
        start = generator.random((POPULATION, len(lower)))
        best = front[generator.permutation(len(front))[:POPULATION]]
        start[: len(best)] = np.where(is_discrete, (best + 0.5) / (upper + 1.0), (best - lower) / (upper - lower))
        algorithm = NSGA2(
            pop_size=POPULATION,
            sampling=start,
            crossover=TwoPointCrossover(prob=CROSSOVER_PROBABILITY),
            mutation=PM(eta=MUTATION_ETA),
            eliminate_duplicates=True,
        )
        seed = child_seed(self._seed, "NSGA-II", number) % 2**32
        result = minimize(Predicted(), algorithm, ("n_gen", GENERATIONS), seed=seed)
        return np.unique(rows_of(np.clip(result.pop.get("X"), 0.0, 1.0)), axis=0)


def _spread(candidates: Sequence[np.ndarray], predict: Predict, front: np.ndarray, *, count: int) -> list[np.ndarray]:
    """Pick candidates one by one, each farthest in predictions from those of the front and the ones already picked."""
    rest = list(candidates)
    if not rest:
        return []
    loss, known = predict(np.stack(rest)), predict(front)
    scale = np.ptp(np.concatenate([loss, known]), axis=0)
    scale[scale == 0.0] = 1.0
    distance = (np.abs(loss[:, None] - known[None]) / scale).sum(axis=-1).min(axis=-1)
    picked: list[np.ndarray] = []
    for _ in range(min(count, len(rest))):
        best = int(distance.argmax())
        picked.append(rest[best])
        distance = np.minimum(distance, (np.abs(loss - loss[best]) / scale).sum(axis=-1))
        distance[best] = -1.0
    return picked
