"""Search strategies of the benchmarks: those of `search.strategy`, variants of ours, and other libraries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.search.strategy import Strategy
from aebnas_bo.search.strategy_registry import make_strategy
from aebnas_bo.space.search_space import SearchSpace
from benchmarks.peers import optuna_gp, optuna_nsga2, optuna_tpe, pymoo_nsga2
from benchmarks.problem import Problem

Peer = Callable[[SearchSpace, Sequence[Objective], int], Strategy]


@dataclass(frozen=True)
class Method:
    """Search method.

    Args:
        settings: Strategy, design and batches.
        tells_further: Whether the strategy uses further operating points of each network.
        peer: Factory of a strategy of another library; `None` for those of `settings.strategy`.
    """

    settings: SearchConfig = field(default_factory=SearchConfig)
    tells_further: bool = False
    peer: Peer | None = None

    def strategy(self, problem: Problem, seed: int) -> Strategy:
        """Return the strategy for one run."""
        if self.peer is not None:
            return self.peer(problem.space, problem.objectives, seed)
        return make_strategy(
            problem.space, problem.objectives, self.settings, seed=seed, known_costs=problem.known_costs
        )


def methods() -> dict[str, Method]:
    """Return all methods by name; `qnehvi` is the default strategy."""
    return {
        "qnehvi": Method(tells_further=True),
        "qnehvi-trials-only": Method(),
        "qnehvi-q4": Method(SearchConfig(batch_size=4), tells_further=True),
        "sobol": Method(SearchConfig(strategy="sobol")),
        "random": Method(SearchConfig(strategy="random")),
        "aebnas": Method(SearchConfig(strategy="aebnas", design_trials=100, batch_size=8)),
        "ax-default": Method(SearchConfig(strategy="ax-default")),
        "optuna-tpe": Method(peer=optuna_tpe),
        "optuna-gp": Method(peer=optuna_gp),
        "optuna-nsga2": Method(peer=optuna_nsga2),
        "pymoo-nsga2": Method(peer=pymoo_nsga2),
    }
