"""A search space in words and numbers, for `aebnas-bo space`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.table import Table

from aebnas_bo.config.loading import load_config
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.space.macs import exit_costs, millions
from aebnas_bo.space.search_space import ChoiceParameter

SAMPLES = 500


def describe_space(path: Path | None) -> Table:
    """Return a table of a configuration's parameters, titled with the size and the costs of its networks.

    Args:
        path: YAML file, or `None` for the embedded default.

    Raises:
        AebnasError: If the configuration or its images are wrong.
    """
    config = load_config(path)
    space = Problem.load(config).space
    search_space = space.search_space
    generator = np.random.default_rng(0)
    architectures = [space.architecture(search_space.sample(generator)) for _ in range(SAMPLES)]
    costs = np.array([millions(exit_costs(a, space.skeleton).cumulative[-1]) for a in architectures])
    low, middle, high = np.quantile(costs, [0.0, 0.5, 1.0])
    table = Table(
        title=f"{len(search_space.names)} parameters, {search_space.num_discrete:.2e} networks; of {SAMPLES} random "
        f"ones the cost to the last exit is {low:.3g} to {high:.3g} M MACs, median {middle:.3g}",
        title_justify="left",
    )
    for column in ("parameter", "values", "group", "matters when"):
        table.add_column(column)
    for parameter in search_space.parameters:
        values = (
            " ".join(map(str, parameter.values))
            if isinstance(parameter, ChoiceParameter)
            else f"{parameter.lower} … {parameter.upper}"
        )
        condition = parameter.active_when
        when = f"{condition.parameter} in {list(condition.values)}" if condition else ""
        table.add_row(parameter.name, values, parameter.group, when)
    return table
