"""The state of a training: which optimiser trains what, and snapshots of everything."""

from __future__ import annotations

import torch
from torch import nn

from aebnas_bo.training.muon import Muon
from aebnas_bo.training.settings import TrainingConfig
from aebnas_bo.training.training_state import RATE_FACTOR, MuonWeights, TrainingState, initial_state

CONFIG = TrainingConfig(learning_rate=0.1, ema_decay=0.5)


def _model() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))


def _state(model: nn.Sequential) -> TrainingState:
    return initial_state(model, CONFIG, muon=MuonWeights((model[0].weight,), 0.02))


def _step(state: TrainingState, rate: float = 0.1) -> None:
    state.zero_grad()
    state.model(torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(1))).square().sum().backward()
    state.step(rate)


def test_weight_decay_leaves_biases_and_batchnorm_alone() -> None:
    model = _model()
    (sgd,) = initial_state(model, CONFIG).optimizers
    decayed, others = sgd.param_groups
    assert decayed["weight_decay"] == CONFIG.weight_decay
    assert others["weight_decay"] == 0.0
    assert {parameter.ndim for parameter in decayed["params"]} == {2, 4}
    assert {parameter.ndim for parameter in others["params"]} == {1}
    assert len(decayed["params"]) + len(others["params"]) == len(list(model.parameters()))


def test_every_weight_has_one_optimiser() -> None:
    model = _model()
    sgd, muon = _state(model).optimizers
    assert isinstance(muon, Muon)
    (group,) = muon.param_groups
    assert group["params"] == [model[0].weight]
    rest = [parameter for group in sgd.param_groups for parameter in group["params"]]
    assert {id(parameter) for parameter in (*rest, model[0].weight)} == {id(p) for p in model.parameters()}
    assert len(rest) == len(list(model.parameters())) - 1


def test_learning_rates_keep_their_ratio() -> None:
    state = _state(_model())
    _step(state, rate=0.05)
    sgd, muon = state.optimizers
    assert {group["lr"] for group in sgd.param_groups} == {0.05}
    assert [group["lr"] for group in muon.param_groups] == [0.01]


def test_rate_factors_slow_down_weights_by_name() -> None:
    (sgd,) = initial_state(_model(), CONFIG, rate_factors={"0.": 0.25}).optimizers
    factors = {parameter.shape: group[RATE_FACTOR] for group in sgd.param_groups for parameter in group["params"]}
    assert factors[torch.Size([4, 1, 3, 3])] == 0.25
    assert factors[torch.Size([2, 16])] == 1.0


def test_a_snapshot_restores_weights_momentum_and_averages() -> None:
    """Steps after a restored snapshot are those that were made before."""
    state = _state(_model())
    _step(state)
    snapshot = state.snapshot()
    assert {name for name in snapshot if name.startswith("momentum.")} == {f"momentum.{n}" for n in _names()}
    _step(state)
    expected = state.snapshot()
    other = _state(_model())
    for _ in range(3):
        _step(other)
    other.load(snapshot)
    _step(other)
    found = other.snapshot()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def _names() -> list[str]:
    return [name for name, _ in _model().named_parameters()]
