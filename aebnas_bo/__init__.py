"""Bayesian search for early-exit neural networks: backbone, exit branches and thresholds together.

```python
import aebnas_bo as ab

study = ab.Study.create("flowers.yaml", folder="runs/flowers")
study.run(budget=200)
network = study.train("knee")
network.export("onnx", "exported")
```
"""

from importlib import import_module
from typing import TYPE_CHECKING

from aebnas_bo.storage.version import __version__ as __version__

# Imported on first use, because PyTorch and Ax take seconds to import.
_PLACES = {
    "Architecture": "aebnas_bo.space.architecture",
    "Arrays": "aebnas_bo.data.given_images",
    "ChoiceParameter": "aebnas_bo.space.search_space",
    "Config": "aebnas_bo.config.schema",
    "ContinuousParameter": "aebnas_bo.space.search_space",
    "CostObjective": "aebnas_bo.estimation.cost_objective",
    "DeployedNetwork": "aebnas_bo.deploy.runtime",
    "EpochReport": "aebnas_bo.training.training_loop",
    "Estimate": "aebnas_bo.estimation.estimate",
    "Estimator": "aebnas_bo.estimation.estimator",
    "ImageDataset": "aebnas_bo.data.given_images",
    "Measurement": "aebnas_bo.estimation.estimate",
    "NetworkSpace": "aebnas_bo.space.network_space",
    "Objective": "aebnas_bo.search.objectives",
    "Point": "aebnas_bo.space.search_space",
    "Predictions": "aebnas_bo.deploy.runtime",
    "Proposal": "aebnas_bo.search.strategy",
    "SearchConfig": "aebnas_bo.search.settings",
    "SearchSpace": "aebnas_bo.space.search_space",
    "Skeleton": "aebnas_bo.space.architecture",
    "Strategy": "aebnas_bo.search.strategy",
    "Study": "aebnas_bo.study.study",
    "Subnet": "aebnas_bo.supernet.subnet",
    "TabularEstimator": "aebnas_bo.estimation.tabular_estimator",
    "TrainedNetwork": "aebnas_bo.study.study",
    "Trial": "aebnas_bo.search.trial",
    "ax_client": "aebnas_bo.search.ax_strategy",
    "ax_parameters": "aebnas_bo.search.ax_strategy",
    "constraint": "aebnas_bo.search.objectives",
    "exit_costs": "aebnas_bo.space.macs",
    "generation_strategy": "aebnas_bo.search.ax_strategy",
    "load": "aebnas_bo.deploy.runtime",
    "load_config": "aebnas_bo.config.loading",
    "prepare_study": "aebnas_bo.study.running",
}
_ERRORS = ("AebnasError", "ConfigError", "CorruptStateError", "DataError", "UsageError")

if TYPE_CHECKING:
    from aebnas_bo.config.loading import load_config as load_config
    from aebnas_bo.config.schema import Config as Config
    from aebnas_bo.data.given_images import Arrays as Arrays
    from aebnas_bo.data.given_images import ImageDataset as ImageDataset
    from aebnas_bo.deploy.runtime import DeployedNetwork as DeployedNetwork
    from aebnas_bo.deploy.runtime import Predictions as Predictions
    from aebnas_bo.deploy.runtime import load as load
    from aebnas_bo.errors import AebnasError as AebnasError
    from aebnas_bo.errors import ConfigError as ConfigError
    from aebnas_bo.errors import CorruptStateError as CorruptStateError
    from aebnas_bo.errors import DataError as DataError
    from aebnas_bo.errors import UsageError as UsageError
    from aebnas_bo.estimation.cost_objective import CostObjective as CostObjective
    from aebnas_bo.estimation.estimate import Estimate as Estimate
    from aebnas_bo.estimation.estimate import Measurement as Measurement
    from aebnas_bo.estimation.estimator import Estimator as Estimator
    from aebnas_bo.estimation.tabular_estimator import TabularEstimator as TabularEstimator
    from aebnas_bo.search.ax_strategy import ax_client as ax_client
    from aebnas_bo.search.ax_strategy import ax_parameters as ax_parameters
    from aebnas_bo.search.ax_strategy import generation_strategy as generation_strategy
    from aebnas_bo.search.objectives import Objective as Objective
    from aebnas_bo.search.objectives import constraint as constraint
    from aebnas_bo.search.settings import SearchConfig as SearchConfig
    from aebnas_bo.search.strategy import Proposal as Proposal
    from aebnas_bo.search.strategy import Strategy as Strategy
    from aebnas_bo.search.trial import Trial as Trial
    from aebnas_bo.space.architecture import Architecture as Architecture
    from aebnas_bo.space.architecture import Skeleton as Skeleton
    from aebnas_bo.space.macs import exit_costs as exit_costs
    from aebnas_bo.space.network_space import NetworkSpace as NetworkSpace
    from aebnas_bo.space.search_space import ChoiceParameter as ChoiceParameter
    from aebnas_bo.space.search_space import ContinuousParameter as ContinuousParameter
    from aebnas_bo.space.search_space import Point as Point
    from aebnas_bo.space.search_space import SearchSpace as SearchSpace
    from aebnas_bo.study.running import prepare_study as prepare_study
    from aebnas_bo.study.study import Study as Study
    from aebnas_bo.study.study import TrainedNetwork as TrainedNetwork
    from aebnas_bo.supernet.subnet import Subnet as Subnet
    from aebnas_bo.training.training_loop import EpochReport as EpochReport

__all__ = sorted([*_PLACES, *_ERRORS])  # noqa: PLE0605


if not TYPE_CHECKING:  # type checkers know the names above and should reject others

    def __getattr__(name: str) -> object:
        place = "aebnas_bo.errors" if name in _ERRORS else _PLACES.get(name)
        if place is None:
            raise AttributeError(f"module 'aebnas_bo' has no attribute {name!r}")
        return getattr(import_module(place), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
