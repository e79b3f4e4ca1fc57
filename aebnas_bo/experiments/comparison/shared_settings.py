"""Settings that compared methods share, checked without importing PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aebnas_bo.config.schema import Config
from aebnas_bo.errors import ConfigError


def check_shared(configs: Mapping[str, Config]) -> None:
    """Check that methods share images, backbones and budgets.

    Args:
        configs: Configuration of each method.

    Raises:
        ConfigError: If a setting that they share differs, or latencies have no table.
    """
    shared: dict[str, Callable[[Config], object]] = {
        "data": lambda config: config.data,
        "supernet.epochs": lambda config: config.supernet.epochs,
        "search.budget": lambda config: config.search.budget,
        "search.reference_point": lambda config: config.search.reference_point,
        "search.max_average_macs": lambda config: config.search.max_average_macs,
        "search.min_accuracy": lambda config: config.search.min_accuracy,
        "search.objectives": lambda config: config.search.objectives,
        "search.max_latency_ms": lambda config: config.search.max_latency_ms,
        "search.constraints": lambda config: config.search.constraints,
        "estimation.latency_table": lambda config: config.estimation.latency_table,
        "space": lambda config: config.space.model_dump(exclude={"exits", "learned_confidence", "branch_stride"}),
    }
    first, *others = configs
    problems = [
        f"{setting}: {name} and {first} differ; methods are compared on the same images, backbones and budgets"
        for setting, value in shared.items()
        for name in others
        if value(configs[name]) != value(configs[first])
    ]
    if configs[first].search.has_latency and configs[first].estimation.latency_table is None:
        problems.append(
            "estimation.latency_table: methods are compared by one table; measure it first (aebnas-bo latency-table)"
        )
    if problems:
        raise ConfigError(problems)
