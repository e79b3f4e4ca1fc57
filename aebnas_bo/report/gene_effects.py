r"""What each parameter does to each metric, over the networks a study evaluated.

A search looks mostly at good networks, and good values come together in them: the plain mean of all networks with, say,
24 channels says little of those channels. So all parameters are fitted at once, by an additive model

.. math::
    y_i = \beta_0 + \sum_p \sum_{l} \beta_{pl} \, a_{ip} \, ([x_{ip} = l] - s_{pl}) + \varepsilon_i,

where :math:`a_{ip}` says whether parameter :math:`p` is switched on in observation :math:`i` and :math:`s_{pl}` is the
share of level :math:`l` among the observations in which it is. What is reported of a level,
:math:`\beta_{pl} - \sum_k s_{pk} \beta_{pk}`, is then how much better or worse networks with it are than the average
one in which the parameter is on, all else equal and interactions left out; what switching an exit or a block on does
stands at its depth. Ranges such as thresholds are cut into `BINS` equal parts.

The model is a Bayesian linear regression: coefficients have the variance of one observation's noise a priori, so that a
level seen once is trusted half, and the noise is estimated from the residuals. Intervals are of 95 %. Every network
counts once, its settings of thresholds in equal shares. Accuracy is fitted as it is, in points of percent; a metric
without bounds, such as average MACs, by its logarithm, so that effects are percent of itself.

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
from aebnas_bo.search.trial import Trial, completed_settings
from aebnas_bo.space.search_space import ChoiceParameter, ContinuousParameter, Parameter, Point, SearchSpace

BINS = 4
FEWEST_NETWORKS = 8
Z = 1.959963984540054  # of a 95 % interval
SMALLEST_VARIANCE = 1e-12

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """What a level does to a metric.

    Args:
        mean: Points of percent, or percent of the metric itself.
        lower: Lower end of the 95 % interval.
        upper: Its upper end.
    """

    mean: float
    lower: float
    upper: float

    @property
    def is_certain(self) -> bool:
        """Whether the interval leaves no doubt about the direction."""
        return self.lower > 0.0 or self.upper < 0.0


@dataclass(frozen=True)
class LevelEffect:
    """One value of a parameter.

    Args:
        level: The value, or the part of a range.
        num_networks: Networks with it.
        effects: Its effect on each metric.
    """

    level: str
    num_networks: int
    effects: tuple[Effect, ...]


@dataclass(frozen=True)
class GeneEffect:
    """One parameter.

    Args:
        name: Its name.
        condition: When it is switched on, in words; empty if always.
        levels: Its values that occur.
        strength: Largest share of the spread of any metric that it accounts for, as a ratio of standard deviations.
    """

    name: str
    condition: str
    levels: tuple[LevelEffect, ...]
    strength: float


@dataclass(frozen=True)
class GeneEffects:
    """What all parameters do.

    Args:
        genes: The parameters that take at least two values, strongest first.
        explained: Share of each metric's variance over the networks that the additive model explains.
        num_networks: Networks it was fitted to.
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
        trials: All trials, with their further settings.
        space: What is searched.
        objectives: The metrics.

    Returns:
        The effects; `None` while fewer than `FEWEST_NETWORKS` networks are known.
    """
    observed = completed_settings(trials)
    settings_of = Counter(trial.key for trial in observed)
    if len(settings_of) < FEWEST_NETWORKS:
        return None
    levels = [_levels(space, trial.parameters) for trial in observed]
    weights = np.array([1.0 / settings_of[trial.key] for trial in observed])
    columns, design = _design(space, levels, weights)
    if not columns:
        return None
    fits = [
        _fit(design, _values(observed, objective), weights, num_networks=len(settings_of)) for objective in objectives
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
    return GeneEffects(tuple(genes), tuple(fit.explained for fit in fits), len(settings_of))


def _levels(space: SearchSpace, point: Point) -> dict[str, str]:
    """Return the level of every parameter that is switched on at a canonical point."""
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
    """Return the columns of the model, of levels that occur, and their centred values, `n x d`."""
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


def _values(observed: Sequence[Trial], objective: Objective) -> Array:
    values = np.array([trial.metrics[objective.name] for trial in observed])
    return values if objective.bounds is not None else np.log(np.maximum(values, np.finfo(np.float64).tiny))


@dataclass(frozen=True)
class _Fit:
    coefficients: Array  # d
    covariance: Array  # d x d
    explained: float
    spread: float  # weighted standard deviation of the values


def _fit(design: Array, values: Array, weights: Array, *, num_networks: int) -> _Fit:
    """Fit the regression; a centred response needs no intercept beside what weighted centring takes out."""
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


def _num_networks(observed: Sequence[Trial], levels: Sequence[dict[str, str]], *, name: str, level: str) -> int:
    return len({trial.key for trial, one in zip(observed, levels, strict=True) if one.get(name) == level})


def _condition_text(parameter: Parameter) -> str:
    condition = parameter.active_when
    return "" if condition is None else f"{condition.parameter} is {' or '.join(map(str, condition.values))}"
