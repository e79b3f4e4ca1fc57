"""Parts from which processes on other machines build a supernet's estimator: weights and images as NumPy arrays.

Ray places arrays in memory that all workers of a machine share, so images are there once per machine.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.estimation.cost_objective import CostObjective
from aebnas_bo.estimation.measuring import MeasuringImages
from aebnas_bo.estimation.settings import EstimationConfig
from aebnas_bo.estimation.supernet_estimator import SharedWeights, SupernetEstimator
from aebnas_bo.estimation.table_store import TableStore
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.supernet.weight_sharing import WeightSharing

Array = NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class EstimatorParts:
    """Parts of an estimator with shared weights, without PyTorch tensors.

    Args:
        space: The network space.
        supernet: Class of the supernet.
        weights: Its weights by name.
        images: Fields of `MeasuringImages` by name.
        config: Settings of estimates.
        goal: Goal of threshold tuning, if the space has no threshold parameters.
        costs: Additional costs.
        store: Store of evaluated networks; a worker uses it only if it sees its folder.
    """

    space: NetworkSpace
    supernet: type[WeightSharing]
    weights: Mapping[str, Array]
    images: Mapping[str, Array]
    config: EstimationConfig
    goal: TuningGoal | None
    costs: tuple[CostObjective, ...]
    store: TableStore | None

    def build(self, device: str) -> SupernetEstimator:
        """Return the estimator on a device.

        Args:
            device: `cpu` or `cuda`.
        """
        supernet = self.supernet(self.space.declaration, self.space.skeleton, 0)  # type: ignore[call-arg,arg-type]
        supernet.load_state_dict({name: _tensor(array) for name, array in self.weights.items()})
        images = MeasuringImages(**{name: _tensor(array).to(device) for name, array in self.images.items()})
        store = self.store if self.store is not None and self.store.is_reachable else None
        return SupernetEstimator(
            self.space,
            SharedWeights(supernet.to(device), store),
            images,
            config=self.config,
            goal=self.goal,
            costs=self.costs,
        )


def parts_of(estimator: SupernetEstimator) -> EstimatorParts:
    """Return the parts of an estimator.

    Args:
        estimator: The estimator.
    """
    weights, images = estimator.weights, estimator.images
    return EstimatorParts(
        space=estimator.space,
        supernet=type(weights.supernet),
        weights={name: tensor.detach().cpu().numpy() for name, tensor in weights.supernet.state_dict().items()},
        images={one.name: getattr(images, one.name).cpu().numpy() for one in fields(images)},
        config=estimator.config,
        goal=estimator.goal,
        costs=estimator.costs,
        store=weights.store,
    )


def _tensor(array: Array) -> Tensor:
    """Return a tensor that shares the memory of an array, which is read-only if Ray holds it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)
