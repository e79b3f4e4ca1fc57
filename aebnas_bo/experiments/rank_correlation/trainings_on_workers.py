"""Separate trainings of a rank correlation study on the workers of a Ray cluster, which store their tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aebnas_bo.deploy.standalone import StandaloneNetworks
from aebnas_bo.execution.worker_jobs import check_visible
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.space.architecture import Architecture


@dataclass(frozen=True)
class SeparateTrainings:
    """Constructs, in a worker, the function that trains a network and stores its table.

    Args:
        problem: Images, space and recipe.
        folder: Folder of the study, which the worker must see.
        networks: Folder of the tables below it.
    """

    problem: Problem
    folder: Path
    networks: Path

    def __call__(self) -> Callable[[Architecture], None]:
        """Return the function.

        Raises:
            ConfigError: If the worker does not see the folder.
        """
        check_visible(self.folder)
        networks = StandaloneNetworks(self.problem, self.networks)

        def train(architecture: Architecture) -> None:
            networks.train(architecture, lambda _: None)

        return train
