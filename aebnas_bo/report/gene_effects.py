r"""Effects of parameters on metrics, over the evaluated networks of a study.

A search evaluates mostly good networks, in which good values occur together. The mean over all networks with, say, 24
channels is therefore confounded with other parameters. So all parameters are fitted jointly, by an additive model

.. math::
    y_i = \beta_0 + \sum_p \sum_{l} \beta_{pl} \, a_{ip} \, ([x_{ip} = l] - s_{pl}) + \varepsilon_i,

where :math:`a_{ip}` is 1 if parameter :math:`p` is active in observation :math:`i` and 0 otherwise, and :math:`s_{pl}`
is the fraction of level :math:`l` among the observations in which the parameter is active. The reported effect of a
level, :math:`\beta_{pl} - \sum_k s_{pk} \beta_{pk}`, is its difference from the average network in which the parameter
is active, with other parameters held fixed and without interactions. The effect of switching on an exit or a block is
reported at its depth. Ranges such as thresholds are divided into `BINS` equal bins.

The model is a Bayesian linear regression. The prior variance of a coefficient is the noise variance of one observation,
so an effect observed once is shrunk by half, and the noise is estimated from the residuals. Intervals are 95 %
intervals. Every network has weight one, divided equally between its operating points. Accuracy is fitted in percentage
points; a metric without bounds, such as average MACs, on a log scale, so that effects are relative changes.

References:
    C. M. Bishop. Pattern Recognition and Machine Learning. Springer, 2006, section 3.3.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Observation, Trial, observations
from aebnas_bo.space.search_space import ChoiceParameter, ContinuousParameter, Parameter, Point, SearchSpace

BINS = 4
FEWEST_NETWORKS = 8
Z = 1.959963984540054  # normal quantile of a 95 % interval
SMALLEST_VARIANCE = 1e-12

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """Effect of a level on a metric.

    Args:
        mean: Effect in percentage points, or in percent of the metric.
        lower: Lower end of the 95 % interval.
        upper: Its upper end.
    """

    mean: float
    lower: float
    upper: float

    @property
    def is_certain(self) -> bool:
        """Whether the interval excludes zero."""
        return self.lower > 0.0 or self.upper < 0.0


@dataclass(frozen=True)
class LevelEffect:
    """Effects of one value of a parameter.

    Args:
        level: The value, or the bin of a range.
        num_networks: Number of networks with this value.
        effects: Effect on each metric.
    """

    level: str
    num_networks: int
    effects: tuple[Effect, ...]


@dataclass(frozen=True)
class GeneEffect:
    """Effects of one parameter.

    Args:
        name: Name of the parameter.
        condition: Condition under which it is active, as text; empty if always.
        levels: Its values that occur.
        strength: Ratio of the standard deviation of its effects to that of the metric; maximum over metrics.
    """

    name: str
    condition: str
    levels: tuple[LevelEffect, ...]
    strength: float


@dataclass(frozen=True)
class GeneEffects:
    """Effects of all parameters.

    Args:
        genes: Parameters with at least two values, strongest first.
        explained: Fraction of each metric's variance that the additive model explains.
        num_networks: Number of networks in the fit.
    """

    genes: tuple[GeneEffect, ...]
    explained: tuple[float, ...]
    num_networks: int


@dataclass(frozen=True)
class _Column:
    parameter: Parameter
    level: str


def gene_effects(trials: Sequence[Trial], space: SearchSpace, objectives: Sequence[Objective]) -> GeneEffects | None:
    """Fit the additive model to all observations.

    Args:
        trials: All trials.
        space: The search space.
        objectives: The metrics.

    Returns:
        The effects; `None` for fewer than `FEWEST_NETWORKS` networks.
    """
    observed = observations(trials)
    points_of = Counter(one.key for one in observed)
    if len(points_of) < FEWEST_NETWORKS:
        return None
    levels = [_levels(space, one.parameters) for one in observed]
    weights = np.array([1.0 / points_of[one.key] for one in observed])
    columns, design = _design(space, levels, weights)
    if not columns:
        return None
    fits = [
        _fit(design, _values(observed, objective), weights, num_networks=len(points_of)) for objective in objectives
    ]
    genes = []
    for parameter in space.parameters:
        at = [index for index, column in enumerate(columns) if column.parameter is parameter]
        if len(at) < 2:
            continue
        shares = _shares([columns[index].level for index in at], parameter.name, levels=levels, weights=weights)
        found = [_effects(fit, at, shares) for fit in fits]
        strengths = [
            float(np.sqrt(shares @ np.square([mean for mean, _ in effects]))) / fit.spread
            for effects, fit in zip(found, fits, strict=True)
        ]
        genes.append(
            GeneEffect(
                name=parameter.name,
                condition=_condition_text(parameter),
                levels=tuple(
                    LevelEffect(
                        level=columns[index].level,
                        num_networks=_num_networks(observed, levels, name=parameter.name, level=columns[index].level),
                        effects=tuple(
                            _interval(*effects[row], objective)
                            for effects, objective in zip(found, objectives, strict=True)
                        ),
                    )
                    for row, index in enumerate(at)
                ),
                strength=max(strengths),
            )
        )
    genes.sort(key=lambda gene: -gene.strength)
    return GeneEffects(tuple(genes), tuple(fit.explained for fit in fits), len(points_of))


def _levels(space: SearchSpace, point: Point) -> dict[str, str]:
    """Return the level of every parameter that is active at a canonical point."""
    levels: dict[str, str] = {}
    for parameter in space.parameters:
        condition = parameter.active_when
        is_on = condition is None or (condition.parameter in levels and point[condition.parameter] in condition.values)
        if is_on:
            levels[parameter.name] = _level(parameter, point)
    return levels


def _level(parameter: Parameter, point: Point) -> str:
    value = point[parameter.name]
    if isinstance(parameter, ChoiceParameter):
        return _all_levels(parameter)[parameter.values.index(value)]
    return _all_levels(parameter)[int(np.searchsorted(_edges(parameter)[1:-1], float(value), side="right"))]


def _all_levels(parameter: Parameter) -> list[str]:
    if isinstance(parameter, ChoiceParameter):
        return [str(value) for value in parameter.values]
    return [f"{low:g} to {high:g}" for low, high in pairwise(_edges(parameter))]


def _edges(parameter: ContinuousParameter) -> Array:
    return np.linspace(parameter.lower, parameter.upper, BINS + 1)


def _design(space: SearchSpace, levels: Sequence[dict[str, str]], weights: Array) -> tuple[list[_Column], Array]:
    """Return the columns of the model, one per occurring level, and their centred values, `n x d`."""
    columns, values = [], []
    for parameter in space.parameters:
        is_on = np.array([parameter.name in one for one in levels])
        for level in _all_levels(parameter):
            has = np.array([one.get(parameter.name) == level for one in levels], dtype=np.float64)
            if has.any() and not (has == is_on).all():
                columns.append(_Column(parameter, level))
                values.append(is_on * (has - weights @ has / (weights @ is_on)))
    return columns, np.stack(values, axis=-1) if values else np.empty((len(levels), 0))


def _shares(of: Sequence[str], name: str, *, levels: Sequence[dict[str, str]], weights: Array) -> Array:
    sums = np.array([sum(w for w, one in zip(weights, levels, strict=True) if one.get(name) == level) for level in of])
    shares: Array = sums / sums.sum()
    return shares


def _values(observed: Sequence[Observation], objective: Objective) -> Array:
    values = np.array([one.metrics[objective.name] for one in observed])
    return values if objective.bounds is not None else np.log(np.maximum(values, np.finfo(np.float64).tiny))


@dataclass(frozen=True)
class _Fit:
    coefficients: Array  # d
    covariance: Array  # d x d
    explained: float
    spread: float  # weighted standard deviation of the values


def _fit(design: Array, values: Array, weights: Array, *, num_networks: int) -> _Fit:
    """Fit the regression; a response centred by the weighted mean needs no intercept."""
    total = weights.sum()
    X, y = design - weights @ design / total, values - weights @ values / total
    gram = (X * weights[:, None]).T @ X
    inverse = np.linalg.inv(gram + np.eye(gram.shape[0]))
    coefficients = inverse @ (X.T @ (weights * y))
    residuals = y - X @ coefficients
    freedom = max(num_networks - 1.0 - float(np.trace(inverse @ gram)), 1.0)
    noise = float(weights @ residuals**2) / freedom
    spread = max(float(weights @ y**2) / float(total), SMALLEST_VARIANCE)
    explained = max(1.0 - float(weights @ residuals**2) / float(total) / spread, 0.0)
    return _Fit(coefficients, noise * inverse, explained, math.sqrt(spread))


def _effects(fit: _Fit, at: Sequence[int], shares: Array) -> list[tuple[float, float]]:
    """Return mean and standard deviation of the effect of each level of one parameter."""
    contrast = np.eye(len(at)) - shares[None, :]
    means = contrast @ fit.coefficients[at]
    covariance = contrast @ fit.covariance[np.ix_(at, at)] @ contrast.T
    return list(zip(means.tolist(), np.sqrt(np.diag(covariance).clip(0.0)).tolist(), strict=True))


def _interval(mean: float, deviation: float, objective: Objective) -> Effect:
    ends = (mean, mean - Z * deviation, mean + Z * deviation)
    return Effect(*(end if objective.bounds is not None else 100.0 * math.expm1(min(end, 100.0)) for end in ends))


def _num_networks(observed: Sequence[Observation], levels: Sequence[dict[str, str]], *, name: str, level: str) -> int:
    return len({one.key for one, of_one in zip(observed, levels, strict=True) if of_one.get(name) == level})


def _condition_text(parameter: Parameter) -> str:
    condition = parameter.active_when
    return "" if condition is None else f"{condition.parameter} is {' or '.join(map(str, condition.values))}"
