"""Speed of supernet training and of estimates, relative to plain PyTorch in the same run.

    python -m benchmarks.supernet_speed --out FILE

One thread. Compared variants alternate, so that other load slows both equally; ratios are medians over the turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aebnas_bo.config.loading import load_config
from aebnas_bo.estimation.measuring import MeasuringImages
from aebnas_bo.estimation.settings import EstimationConfig
from aebnas_bo.estimation.supernet_estimator import SharedWeights, SupernetEstimator
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.plan import network_plan
from aebnas_bo.space.presets import PRESETS
from aebnas_bo.space.sampling import Extreme, TrainingSampler
from aebnas_bo.supernet.batchnorm import calibrate_batchnorm
from aebnas_bo.supernet.extraction import extract
from aebnas_bo.supernet.supernet import Supernet
from benchmarks.records import output_file

CASES = {  # name: preset, channels, side of the images, batch size, calibration and validation images
    "digits": ("tiny", 1, 8, 32, 130, 382),
    "cifar10-mini": ("cifar", 3, 16, 32, 500, 2000),
    "cifar10": ("cifar", 3, 32, 64, 1000, 4000),
}
STEP: tuple[Extreme, ...] = ("largest", "smallest", "random", "random")


def main() -> None:
    """Measure everything and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=output_file, required=True)
    parser.add_argument("--turns", type=int, default=24, help="number of turns per comparison")
    arguments = parser.parse_args()
    set_up_cpu(1)
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)  # noqa: T201
        lines.append(line)

    for preset in PRESETS:
        say(_macs(preset))
    for name, case in CASES.items():
        say(_training(name, *case[:4], arguments.turns))
        say(_first_estimate(name, *case[:3], *case[4:], arguments.turns))
    say(_further_estimate())
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _space(preset: str, channels: int, side: int) -> NetworkSpace:
    resolutions = [r for r in load_config(None, [f"space.preset={preset}"]).space.resolutions if r <= side] or [side]
    return NetworkSpace(
        load_config(None, [f"space.preset={preset}", f"space.resolutions={resolutions}"]).space, channels, 10
    )


def _macs(preset: str) -> str:
    space, generator = (
        NetworkSpace(load_config(None, [f"space.preset={preset}"]).space, 3, 10),
        np.random.default_rng(0),
    )
    architectures = [space.architecture(space.search_space.sample(generator)) for _ in range(200)]
    times = []
    for architecture in architectures:
        network_plan.cache_clear()
        times.append(_seconds(lambda architecture=architecture: exit_costs(architecture, space.skeleton).cumulative))
    return f"MACs, {preset}: median {1e3 * statistics.median(times):.3f} ms, slowest {1e3 * max(times):.3f} ms of 200"


def _training(name: str, preset: str, channels: int, side: int, batch_size: int, turns: int) -> str:
    """Time a step of the supernet and of the same sub-networks as plain modules, including optimisers."""
    space = _space(preset, channels, side)
    supernet = Supernet(space.declaration, space.skeleton, 0)
    images = torch.randn(batch_size, channels, side, side).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (batch_size,))
    sampler = TrainingSampler(space, np.random.default_rng(0), has_balanced_branches=True)
    optimizer = _optimizer(supernet)
    pairs = []
    for turn in range(turns):
        architectures = [sampler.draw(kind) for kind in STEP]
        networks = [extract(supernet, architecture) for architecture in architectures]
        optimizers = [_optimizer(network) for network in networks]

        def shared(architectures: list[Architecture] = architectures) -> None:
            optimizer.zero_grad()
            for architecture in architectures:
                _backward(supernet(images, architecture), labels)
            _step(supernet, optimizer)

        def alone(networks: list[nn.Module] = networks, optimizers: list[torch.optim.SGD] = optimizers) -> None:  # type: ignore[assignment]
            for network, own in zip(networks, optimizers, strict=True):
                own.zero_grad()
                _backward(network(images), labels)
                _step(network, own)

        pairs.append(_in_turns(shared, alone, turn))
    throughput = [len(STEP) * batch_size / statistics.median(times) for times in zip(*pairs, strict=True)]
    ratio = statistics.median(other / one for one, other in pairs)
    return (
        f"training, {name}: supernet {throughput[0]:.0f} images/s, the same sub-networks alone "
        f"{throughput[1]:.0f} images/s; median ratio {ratio:.2f} over {turns} steps of {len(STEP)} networks, "
        f"batch {batch_size}"
    )


def _first_estimate(
    name: str, preset: str, channels: int, side: int, num_calibration: int, num_validation: int, turns: int
) -> str:
    """Time a first estimate and the plain forward pass of the extracted network over the same images."""
    space = _space(preset, channels, side)
    estimator, images = _estimator(space, channels, side, num_calibration, num_validation)
    supernet, generator, pairs = estimator[1], np.random.default_rng(0), []
    for turn in range(turns):
        point = space.search_space.sample(generator)
        subnet = extract(supernet, space.architecture(point))
        calibrate_batchnorm(subnet, images[:256], 256)

        def estimate(point: object = point) -> None:
            estimator[0]().estimate(point)  # type: ignore[arg-type]

        @torch.no_grad()
        def plain(subnet: nn.Module = subnet) -> None:
            for part in (images[:num_calibration], images[num_calibration:]):  # in the batches of the estimator
                for batch in torch.split(part, EstimationConfig().batch_size):
                    subnet(batch)

        pairs.append(_in_turns(estimate, plain, turn))
    one, other = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(first / second for first, second in pairs)
    return (
        f"first estimate, {name}: {1e3 * one:.0f} ms, plain forward pass over the same {len(images)} images "
        f"{1e3 * other:.0f} ms; median ratio {ratio:.2f} over {turns} networks"
    )


def _further_estimate() -> str:
    """Time an estimate at other thresholds, four exits and 10,000 validation images."""
    space = NetworkSpace(load_config(None, ["space.preset=aebnas", "space.resolutions=[32]"]).space, 3, 10)
    (make, _), _ = _estimator(space, 3, 8, 256, 10_000)
    estimator, generator = make(), np.random.default_rng(0)
    point = {**space.search_space.sample(generator), **{f"exit{number}_depth": 2 for number in range(1, 5)}}
    estimator.estimate(point)
    times = []
    for _ in range(200):
        other = {**point, **{f"exit{number}_threshold": float(generator.random()) for number in range(1, 5)}}
        times.append(_seconds(lambda other=other: estimator.estimate(other)))
    return (
        f"further estimate, 4 exits, 10,000 images, 86 parameters: median {1e3 * statistics.median(times):.3f} ms, "
        f"95th percentile {1e3 * float(np.percentile(times, 95)):.3f} ms of 200"
    )


def _estimator(
    space: NetworkSpace, channels: int, side: int, num_calibration: int, num_validation: int
) -> tuple[tuple[Callable[[], SupernetEstimator], Supernet], Tensor]:
    """Return a factory of estimators with an empty cache, their supernet, and all their images."""
    supernet = Supernet(space.declaration, space.skeleton, 0)
    images = torch.randn(num_calibration + num_validation, channels, side, side)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (num_validation,))

    def make() -> SupernetEstimator:
        calibration, validation = images[:num_calibration], images[num_calibration:]
        classes = torch.zeros(num_calibration, dtype=torch.int64)
        measured = MeasuringImages(calibration, classes, validation, labels)
        return SupernetEstimator(space, SharedWeights(supernet), measured, config=EstimationConfig())

    return (make, supernet), images


def _backward(outputs: tuple[Tensor, ...], labels: Tensor) -> None:
    torch.stack([F.cross_entropy(logits, labels) for logits in outputs]).mean().backward()  # type: ignore[no-untyped-call]


def _optimizer(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, nesterov=True, weight_decay=1e-4)


def _step(model: nn.Module, optimizer: torch.optim.SGD) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()


def _in_turns(one: Callable[[], None], other: Callable[[], None], turn: int) -> tuple[float, float]:
    """Time both in alternating order, after an untimed call of each."""
    one(), other()
    if turn % 2:
        second = _seconds(other)
        return _seconds(one), second
    first = _seconds(one)
    return first, _seconds(other)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
