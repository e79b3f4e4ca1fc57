"""What the packages override or use of BoTorch and Ax without their promise; a version that lacks it fails here."""

import importlib
import inspect
import pkgutil
from types import ModuleType

from ax.api.client import Client
from ax.api.configs import RangeParameterConfig
from ax.core.experiment import Experiment
from botorch.acquisition.multi_objective import logei
from botorch.acquisition.multi_objective.monte_carlo import qNoisyExpectedHypervolumeImprovement
from botorch.utils.multi_objective.hypervolume import NoisyExpectedHypervolumeMixin

import surrogates
from aebnas_bo.search import ax_strategy

OURS, THEIRS = ("surrogates", "aebnas_bo"), ("botorch", "gpytorch", "linear_operator", "ax")
OVERRIDDEN = {
    ("ConditionedLogNEHVI", "botorch", "_set_cell_bounds"),
    ("ConditionedNEHVI", "botorch", "_set_cell_bounds"),
    ("ArchitectureAcquisition", "ax", "_construct_botorch_acquisition"),
    ("ModelNode", "ax", "_fit"),
}


def package(cls: type) -> str:
    return cls.__module__.partition(".")[0]


def private_overrides(module: ModuleType) -> set[tuple[str, str, str]]:
    found = set()
    for cls in vars(module).values():
        if not inspect.isclass(cls) or cls.__module__ != module.__name__:
            continue
        own = {name for base in cls.__mro__ if package(base) in OURS for name in vars(base)}
        for base in cls.__mro__:
            if package(base) in THEIRS:
                names = {name for name in own & vars(base).keys() if name.startswith("_") and name[:2] != "__"}
                found |= {(cls.__name__, package(base), name) for name in names - {"_abc_impl"}}
    return found


def test_each_private_method_that_is_overridden_exists_and_is_named_here() -> None:
    names = [module.name for module in pkgutil.walk_packages(surrogates.__path__, "surrogates.")]
    modules = [ax_strategy, *(importlib.import_module(name) for name in names)]
    assert set().union(*map(private_overrides, modules)) == OVERRIDDEN


def test_an_ax_client_has_its_experiment() -> None:
    client = Client()
    client.configure_experiment([RangeParameterConfig("x", (0.0, 1.0), "float")])
    assert isinstance(client._experiment, Experiment)


def test_the_cell_bounds_are_set_with_the_number_of_new_points() -> None:
    assert list(inspect.signature(NoisyExpectedHypervolumeMixin._set_cell_bounds).parameters) == [
        "self", "num_new_points",
    ]  # fmt: skip


def test_qnehvi_computes_its_value_from_draws() -> None:
    parameters = inspect.signature(qNoisyExpectedHypervolumeImprovement._compute_qehvi).parameters
    assert list(parameters)[:3] == ["self", "samples", "X"]


def test_the_switch_that_keeps_botorch_from_compiling_is_there() -> None:
    assert isinstance(logei._load_attempted, bool)
