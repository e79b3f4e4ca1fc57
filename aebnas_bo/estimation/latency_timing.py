"""Timing of the parts of a space's networks, and of a few whole networks, on this machine."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from aebnas_bo.early_exit.settings import ConfidenceName
from aebnas_bo.estimation.latency import Decision, LatencyPrices, LatencyTable, Part, parts_of, pieces_of
from aebnas_bo.estimation.silenced_remarks import without_remarks
from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.macs import priced
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.supernet.folding import fold_batchnorm
from aebnas_bo.supernet.given_subnet import GivenSubnet
from aebnas_bo.supernet.subnet import Subnet

with without_remarks():  # the import warns about missing compilers, which are not needed
    from torch.utils.benchmark import Timer

TURNS = 10  # passes over all parts; a short load on the machine affects only some passes of a few parts
RUNS = 8  # runs of a part in each pass
WARM_UP = 3  # runs of a part before timing
WHOLE_NETWORKS = 12  # networks timed to fit the factor


def measure_space(
    space: NetworkSpace,
    confidence_name: ConfidenceName,
    *,
    device: str,
    num_threads: int,
    on_part: Callable[[int, int], None] = lambda *_: None,
) -> LatencyTable:
    """Measure the latency table of a space on this machine.

    Args:
        space: The space.
        confidence_name: Confidence measure.
        device: `cpu` or `cuda`.
        num_threads: CPU threads.
        on_part: Called with the number of timings done and the total.
    """
    generator = np.random.default_rng(0)
    architectures = [space.architecture(space.search_space.sample(generator)) for _ in range(WHOLE_NETWORKS)]
    wholes = [whole_network(architecture, space.skeleton, confidence_name) for architecture in architectures]
    parts = parts_of(space, confidence_name)
    times = time_parts([*parts, *wholes], device=device, num_threads=num_threads, on_part=on_part)
    table = LatencyTable(
        machine=torch.cuda.get_device_name() if device == "cuda" else _processor(),
        device=device,
        num_threads=num_threads,
        torch=torch.__version__,
        factor=1.0,
        nanoseconds={part.name: times[part.name] for part in parts},
    )
    prices = LatencyPrices(table, space.skeleton, confidence_name)
    sums = [priced(architecture, space.skeleton, prices).cumulative[-1] for architecture in architectures]
    ratios = [times[whole.name] / total for whole, total in zip(wholes, sums, strict=True)]
    return table.model_copy(update={"factor": statistics.median(ratios)})


def time_parts(
    parts: Sequence[Part], *, device: str, num_threads: int, on_part: Callable[[int, int], None] = lambda *_: None
) -> dict[str, int]:
    """Return the latency of each part in nanoseconds, by name.

    Each pass over all parts times the mean of `RUNS` runs. The result is the minimum over `TURNS` passes, because other
    load on the machine can only increase a time.

    Args:
        parts: The parts to time.
        device: `cpu` or `cuda`.
        num_threads: CPU threads.
        on_part: Called with the number of timings done and the total.
    """
    times: list[list[float]] = [[] for _ in parts]
    with torch.no_grad():
        modules = [_ready(part, device) for part in parts]
        for turn in range(TURNS):
            for number, (module, example) in enumerate(modules):
                if turn == 0:
                    for _ in range(WARM_UP):
                        module(example)
                timer = Timer(
                    "module(example)", globals={"module": module, "example": example}, num_threads=num_threads
                )
                times[number].append(timer.timeit(RUNS).mean)
                on_part(turn * len(parts) + number + 1, TURNS * len(parts))
    return {part.name: round(1e9 * min(values)) for part, values in zip(parts, times, strict=True)}


def _ready(part: Part, device: str) -> tuple[nn.Module, Tensor]:
    """Return a part as deployed networks run it, and an input."""
    module = part.build().eval()
    fold_batchnorm(module)
    example = torch.rand(1, *part.shape)
    if len(part.shape) == 3:
        example = example.contiguous(memory_format=torch.channels_last)
    return module.to(device), example.to(device)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


class _Passed(nn.Module):
    """Network whose images pass all exits."""

    def __init__(self, subnet: Subnet, decision: Decision) -> None:
        super().__init__()
        self._subnet = subnet
        self._decision = decision

    def forward(self, image: Tensor) -> int:
        *exits, _ = self._subnet(image)
        return sum(self._decision(logits) for logits in exits)


def whole_network(architecture: Architecture, skeleton: Skeleton, confidence_name: ConfidenceName) -> Part:
    """Return a whole network with random weights as a part; its images pass all exits."""

    def build() -> nn.Module:
        pieces = pieces_of(skeleton)
        subnet = GivenSubnet(architecture, skeleton, pieces) if pieces else Subnet(architecture, skeleton)
        return _Passed(subnet, Decision(confidence_name, skeleton.num_classes))

    return Part(architecture.key, build, (skeleton.in_channels, architecture.resolution, architecture.resolution))
