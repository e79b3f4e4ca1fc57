"""Several processes that train one model: each on its share of every batch, with averaged gradients."""

from __future__ import annotations

import copy
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from aebnas_bo.errors import UsageError
from aebnas_bo.storage.count_text import counted
from aebnas_bo.training.settings import TrainingConfig
from aebnas_bo.training.synchronized_batch_norm import Synchronized

T = TypeVar("T")
ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True)
class Processes:
    """The processes of a training, seen from one of them.

    Args:
        rank: Number of this process; 0 is the process of the run.
        count: Number of processes.
    """

    rank: int = 0
    count: int = 1

    def share(self, indices: Tensor) -> Tensor:
        """Return this process's part of a batch; the parts have equal sizes, and a remainder is left out.

        Args:
            indices: Indices of the images of a batch.

        Raises:
            UsageError: If the batch has fewer than two images per process.
        """
        size = len(indices) // self.count
        if self.count > 1 and size < 2:
            raise UsageError(
                f"a batch of {counted(len(indices), 'image')} is too small for "
                f"{counted(self.count, 'process', 'processes')}: BatchNorm needs two in each; use fewer processes, or "
                "more images"
            )
        return indices[self.rank * size : (self.rank + 1) * size] if self.count > 1 else indices

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over the processes, which is not finite if any process's value is not."""
        return self.total(values) / self.count if self.count > 1 else values

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over the processes."""
        if self.count > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def of_first(self, value: T) -> T:
        """Return the value of the first process.

        Args:
            value: Value that can be pickled, with tensors on the CPU.
        """
        if self.count > 1:
            values = [value]
            dist.broadcast_object_list(values, src=0)
            return values[0]
        return value

    def wrapped(self, module: nn.Module, config: TrainingConfig, *, uses_all: bool = False) -> nn.Module:
        """Return a module whose backward pass averages gradients over the processes; without others the module itself.

        Weights become those of the first process.

        Args:
            module: The module.
            config: Settings of the training, which say whether BatchNorm normalises over all processes.
            uses_all: Whether every forward pass uses all weights for the loss; otherwise those that it uses may change
                from call to call.
        """
        if self.count == 1:
            return module
        if config.synchronized_batch_norm:
            module = Synchronized(module, self.count)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # newer versions of PyTorch call the argument otherwise
            return DistributedDataParallel(module, broadcast_buffers=False, find_unused_parameters=not uses_all)


ALONE = Processes()


def without_averaging(module: nn.Module) -> AbstractContextManager[None]:
    """Return a context in which gradients are only added up, to be averaged by the next backward pass outside of it.

    Args:
        module: A module returned by `Processes.wrapped`.
    """
    return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()


def copied_to(module: ModuleT, device: torch.device) -> ModuleT:
    """Return a module on a device, a copy unless it is there already."""
    return module if all(one.device == device for one in module.parameters()) else copy.deepcopy(module).to(device)


class Job(Protocol):
    """Training as the first process sends it to the others; its class can be imported, and it can be pickled."""

    def follow(self, processes: Processes, device: torch.device) -> None:
        """Train as one of the other processes.

        Args:
            processes: The processes, seen from this one.
            device: Device of this process.
        """
        ...
