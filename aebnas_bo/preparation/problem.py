"""Search problem: configuration, images, space and device, loaded once and passed as one value."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

from aebnas_bo.config.schema import Config
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.data.splits import Splits, final_splits
from aebnas_bo.estimation.cost_objective import CostObjective
from aebnas_bo.estimation.given_estimator import GivenEstimator
from aebnas_bo.preparation.backbone_loading import completed_space, with_normalisation
from aebnas_bo.preparation.device import resolve_device
from aebnas_bo.space.network_space import NetworkSpace


@dataclass(frozen=True)
class Problem:
    """Search problem.

    Args:
        config: The whole configuration.
        splits: The images.
        space: The network space.
        device: Device that networks run on, `cpu` or `cuda`.
        load_s: Seconds spent on loading.
        objective: Additional cost to minimise, passed from Python.
        estimator: Estimator passed from Python; `None` for a supernet.
    """

    config: Config
    splits: Splits
    space: NetworkSpace
    device: str
    load_s: float = 0.0
    objective: CostObjective | None = None
    estimator: GivenEstimator | None = None

    @classmethod
    def load(cls, config: Config) -> Self:
        """Load the images of a configuration and construct the network space for them.

        Args:
            config: The configuration.

        Raises:
            DataError: If the images cannot be read.
            ConfigError: If the space does not suit them, or the device is not available.
        """
        started = time.perf_counter()
        problem = cls.of(config, load_splits(config.data))
        return replace(problem, load_s=time.perf_counter() - started)

    @classmethod
    def of(cls, config: Config, splits: Splits) -> Self:
        """Construct the problem of a configuration with loaded images.

        Args:
            config: The configuration.
            splits: The images.

        Raises:
            ConfigError: If the space or its given backbone does not suit them, or the device is not available.
        """
        declared = completed_space(
            config.space,
            in_channels=splits.in_channels,
            num_classes=splits.num_classes,
            image_size=splits.image_size,
        )
        config = config.model_copy(update={"space": declared})
        space = NetworkSpace(declared, splits.in_channels, splits.num_classes)
        return cls(config, with_normalisation(splits, declared), space, resolve_device(config.device))

    def with_config(self, config: Config) -> Self:
        """Return a problem with the same images and space, but other settings for the steps after the search.

        Args:
            config: The configuration; `data` and `space` must be the same.
        """
        return replace(self, config=config, device=resolve_device(config.device))

    @property
    def own_costs(self) -> tuple[CostObjective, ...]:
        """The user's objective as a tuple; empty without one."""
        return () if self.objective is None else (self.objective,)

    @property
    def for_workers(self) -> Problem:
        """The problem as sent to workers, which train on a GPU if they have one, and on the CPU otherwise."""
        device = "cuda" if self.config.execution.gpus_per_worker else "cpu"
        return replace(self, device=device, estimator=None, objective=None)

    @cached_property
    def for_final_training(self) -> Problem:
        """The problem with the splits of final training, which may also train on images reserved for the search."""
        if not self.config.final_training.train_on_validation:
            return self
        return replace(self, splits=final_splits(self.splits, self.config.data))
