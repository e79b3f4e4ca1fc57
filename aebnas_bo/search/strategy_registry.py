"""Construction of the strategy that `search.strategy` names."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from aebnas_bo.errors import ConfigError
from aebnas_bo.search.ax_default_strategy import AxDefaultStrategy
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.random_strategy import RandomStrategy
from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.search.sobol_strategy import SobolStrategy
from aebnas_bo.search.strategy import Strategy
from aebnas_bo.search.surrogate_strategy import SurrogateStrategy
from aebnas_bo.space.search_space import SearchSpace
from surrogates.known_costs import KnownCosts


def check_strategy(settings: SearchConfig) -> None:
    """Check that a strategy can search and that the packages it needs are installed.

    Args:
        settings: Settings of the search.

    Raises:
        ConfigError: If the strategy does not search, or needs an extra that is not installed.
    """
    if settings.strategy == "given":
        raise ConfigError(
            "search.strategy: given stands for a strategy passed from Python; open the study there, with the same "
            "strategy: aebnas_bo.Study.open(folder, strategy=...)"
        )
    if settings.strategy == "plain":
        raise ConfigError(
            "search.strategy: plain does not search; use it as a method: aebnas-bo compare CONFIG --methods plain"
        )
    if settings.strategy == "aebnas" and find_spec("pymoo") is None:
        raise ConfigError("search.strategy: aebnas needs pymoo: pip install 'aebnas_bo[nsga2]'")


def make_strategy(
    space: SearchSpace,
    objectives: Sequence[Objective],
    settings: SearchConfig,
    *,
    seed: int,
    known_costs: Sequence[KnownCosts] = (),
) -> Strategy:
    """Return the strategy that `settings.strategy` names.

    Args:
        space: Search space.
        objectives: Metrics, directions, limits and reference point.
        settings: Settings of the search.
        seed: Random seed.
        known_costs: Costs that can be computed for every point, for the strategies that use them.

    Raises:
        ConfigError: If the strategy is `plain`, which does not search, or needs an extra that is not installed.
    """
    check_strategy(settings)
    match settings.strategy:
        case "qnehvi":
            return SurrogateStrategy(space, objectives, settings, seed=seed, known_costs=known_costs)
        case "ax-default":
            return AxDefaultStrategy(space, objectives, settings, seed=seed)
        case "sobol":
            return SobolStrategy(space, seed)
        case "random":
            return RandomStrategy(space, seed)
        case "aebnas":
            from aebnas_bo.search.aebnas_strategy import AebnasStrategy  # noqa: PLC0415  its pymoo is an extra

            return AebnasStrategy(space, objectives, design_trials=settings.design_trials, seed=seed)
    raise AssertionError(settings.strategy)
