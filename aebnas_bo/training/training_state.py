"""Everything that changes during training: weights, momentum of their optimisers, and the average of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from aebnas_bo.training.muon import Muon
from aebnas_bo.training.settings import TrainingConfig

RATE_FACTOR = "rate_factor"  # key of a parameter group: its learning rate relative to that of the schedule
MOMENTUM = "momentum_buffer"  # key of the state of a parameter in both optimisers


@dataclass(frozen=True)
class MuonWeights:
    """Weights to be trained by Muon.

    Args:
        weights: Weights of convolutions in front of BatchNorm.
        learning_rate: Their peak learning rate, which follows the schedule of SGD's.
    """

    weights: tuple[Tensor, ...]
    learning_rate: float


NO_MUON = MuonWeights((), 0.0)
NO_FACTORS: Mapping[str, float] = {}


@dataclass
class TrainingState:
    """State of a training.

    Args:
        model: The weights.
        optimizers: Each trains a part of the weights.
        average: Moving average of the weights; `None` for none.
    """

    model: nn.Module
    optimizers: tuple[torch.optim.Optimizer, ...]
    average: AveragedModel | None

    def zero_grad(self) -> None:
        """Remove the gradients of all weights."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def step(self, rate: float) -> None:
        """Change the weights by their gradients, and update their average.

        Args:
            rate: Learning rate of the schedule.
        """
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group[RATE_FACTOR]
            optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)

    def snapshot(self) -> dict[str, Tensor]:
        """Return copies of weights, momentum buffers and averages by name."""
        tensors = {f"weight.{name}": weight.detach().clone() for name, weight in self.model.named_parameters()}
        for name, _, state in self._optimizer_states():
            if state.get(MOMENTUM) is not None:  # a weight that no step has used yet has none
                tensors[f"momentum.{name}"] = state[MOMENTUM].clone()
        if self.average is not None and int(self.average.n_averaged) > 0:
            averages = self.average.module.named_parameters()
            tensors |= {f"average.{name}": average.detach().clone() for name, average in averages}
        return tensors

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restore a snapshot."""
        for name, parameter, state in self._optimizer_states():
            parameter.copy_(tensors[f"weight.{name}"])
            state.clear()
            if f"momentum.{name}" in tensors:
                state[MOMENTUM] = tensors[f"momentum.{name}"].to(parameter).clone()
        if self.average is None:
            return
        has_averages = any(name.startswith("average.") for name in tensors)
        self.average.n_averaged.fill_(int(has_averages))
        if has_averages:
            for name, average in self.average.module.named_parameters():
                average.copy_(tensors[f"average.{name}"])

    @torch.no_grad()
    def adopt_average(self) -> None:
        """Put the averages in the place of the weights."""
        if self.average is not None:
            for parameter, average in zip(self.model.parameters(), self.average.module.parameters(), strict=True):
                parameter.copy_(average)

    def _optimizer_states(self) -> Iterator[tuple[str, nn.Parameter, dict[str, Any]]]:
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    yield names[parameter], parameter, optimizer.state[parameter]


def initial_state(
    model: nn.Module,
    config: TrainingConfig,
    *,
    rate_factors: Mapping[str, float] = NO_FACTORS,
    muon: MuonWeights = NO_MUON,
) -> TrainingState:
    """Return the state at the start of a training.

    Args:
        model: The weights.
        config: Settings.
        rate_factors: Factor of SGD's learning rate for the weights whose names start with a text; 1 for others.
        muon: The weights to be trained by Muon; SGD trains the others.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    matrices = set(muon.weights)
    for name, parameter in model.named_parameters():
        if parameter in matrices:
            continue
        factor = next((one for start, one in rate_factors.items() if name.startswith(start)), 1.0)
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((decay, factor), []).append(parameter)
    first = next(model.parameters(), None)
    sgd = torch.optim.SGD(
        [
            {"params": parameters, "weight_decay": decay, RATE_FACTOR: factor}
            for (decay, factor), parameters in groups.items()
        ],
        lr=config.learning_rate,
        momentum=config.momentum,
        nesterov=config.momentum > 0,
        fused=True if first is not None and first.device.type == "cuda" else None,
    )
    optimizers: tuple[torch.optim.Optimizer, ...] = (sgd,)
    if matrices:
        factor = muon.learning_rate / config.learning_rate
        group = {"params": list(muon.weights), RATE_FACTOR: factor}
        optimizers = (sgd, Muon([group], muon.learning_rate, config.momentum))
    if not config.ema_decay:
        return TrainingState(model, optimizers, None)
    averaging = get_ema_multi_avg_fn(config.ema_decay)  # type: ignore[no-untyped-call]
    return TrainingState(model, optimizers, AveragedModel(model, multi_avg_fn=averaging))
