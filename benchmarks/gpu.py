"""Speed of trainings on a GPU, and agreement of estimates on CPU and GPU; at most eight minutes.

    python -m benchmarks.gpu --out FILE

Images are synthetic, so that no data set is needed. Every training is timed in two ways that alternate: `before` waits
for the device in every step (a check of the loss per step, blocking copies, an optimiser of several kernels, float32),
`after` as trainings run now. Without a GPU the script says so; `--tiny` then runs everything on the CPU for a few
seconds, to test the script.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from aebnas_bo.config.loading import load_config
from aebnas_bo.config.schema import Config
from aebnas_bo.data.datasets import given_splits
from aebnas_bo.data.given_images import Arrays
from aebnas_bo.deploy.final_recipe import train_from_scratch
from aebnas_bo.estimation.measuring import MeasuringImages
from aebnas_bo.estimation.supernet_estimator import SharedWeights, SupernetEstimator
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.supernet_preparation import fresh_supernet, training_data
from aebnas_bo.supernet.supernet_training import train_supernet
from aebnas_bo.supernet.weight_sharing import WeightSharing
from aebnas_bo.training import training_loop
from aebnas_bo.training.settings import TrainingConfig
from aebnas_bo.training.training_loop import EpochReport, Recorder
from benchmarks.records import output_file

LIMIT_S = 480.0
CONFIGS = Path(__file__).resolve().parents[1] / "configs"
CLASSES = 10


def main() -> None:
    """Measure everything within the time limit, and write one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=output_file, required=True)
    parser.add_argument("--tiny", action="store_true", help="test the script on any device, with a tiny space")
    arguments = parser.parse_args()
    if not torch.cuda.is_available() and not arguments.tiny:
        sys.exit("benchmarks.gpu: this machine has no GPU; --tiny tests the script on the CPU")
    arguments.out.write_text(json.dumps(measured(arguments.tiny), indent=2) + "\n", encoding="utf-8")


def measured(is_tiny: bool) -> dict[str, object]:
    """Return all figures; measurements that would exceed the time limit are left out.

    Args:
        is_tiny: Whether to use a tiny space, few images and few turns.
    """
    started = time.monotonic()
    problem = _problem(is_tiny)
    device = torch.cuda.get_device_name() if torch.device(problem.device).type == "cuda" else "CPU"
    found: dict[str, object] = {"device": device, "torch": torch.__version__, "is_tiny": is_tiny}
    turns = 1 if is_tiny else 5
    parts: dict[str, Callable[[], object]] = {
        "estimates": lambda: _estimates(problem, 2 if is_tiny else 12),
        "supernet": lambda: _compared(problem, problem.config.supernet, _supernet_epoch, turns),
        "final_training": lambda: _compared(problem, problem.config.final_training, _network_epoch, turns),
    }
    for name, measure in parts.items():
        if time.monotonic() - started > LIMIT_S / 2 and not is_tiny:
            found[name] = "left out: too little time"
            continue
        found[name] = measure()
        print(json.dumps({name: found[name]}), flush=True)  # noqa: T201  progress
    found["seconds"] = time.monotonic() - started
    return found


def _problem(is_tiny: bool) -> Problem:
    config = load_config(CONFIGS / ("digits.yaml" if is_tiny else "cifar10.yaml"), _settings(is_tiny))
    side, channels, count = (8, 1, 400) if is_tiny else (32, 3, 20_000)
    return Problem.of(config, given_splits(_images(side, channels, count), _images(side, channels, 200), config.data))


def _settings(is_tiny: bool) -> list[str]:
    fractions = ["data.calibration_fraction=0.2", "data.validation_fraction=0.2"]
    epochs = ["supernet.epochs=1", "final_training.epochs=1"]
    sizes = ["supernet.batch_size=32", "final_training.batch_size=32"] if is_tiny else []
    return ["data.dataset=given", "data.root=null", *(fractions if is_tiny else []), *epochs, *sizes]


def _images(side: int, channels: int, count: int) -> Arrays:
    """Return noisy images with a pattern per class, which networks learn within an epoch."""
    generator = np.random.default_rng(0)
    shape = (side, side) if channels == 1 else (side, side, channels)
    patterns = generator.uniform(0.0, 255.0, (CLASSES, *shape))
    labels = np.arange(count) % CLASSES
    noise = generator.normal(0.0, 60.0, (count, *shape))
    return np.clip(patterns[labels] + noise, 0.0, 255.0).astype(np.uint8), labels


def _compared(
    problem: Problem, training: TrainingConfig, epoch: Callable[[Problem, Recorder], None], turns: int
) -> dict[str, float]:
    """Return images per second of an epoch before and after, as medians over turns."""
    speeds: dict[str, list[float]] = {"before": [], "after": []}
    section = "supernet" if training is problem.config.supernet else "final_training"
    slow = training.model_copy(update={"precision": "float32"})
    variants = {
        "before": (problem.with_config(problem.config.model_copy(update={section: slow})), waiting),
        "after": (problem, nullcontext),
    }
    for turn in range(turns + 1):  # the first one compiles kernels
        for name, (changed, how) in variants.items():
            reports: list[EpochReport] = []
            with how():
                epoch(changed, Recorder(reports.append))
            if turn > 0 or turns == 1:
                speeds[name].append(reports[-1].images_per_s)
    before, after = statistics.median(speeds["before"]), statistics.median(speeds["after"])
    return {"before_images_per_s": before, "after_images_per_s": after, "ratio": after / before}


@contextmanager
def waiting() -> Iterator[None]:
    """Let trainings wait for the device in every step."""
    plain = torch.optim.SGD

    def several_kernels(*arguments: object, **settings: object) -> torch.optim.SGD:
        return plain(*arguments, **{**settings, "fused": None})  # type: ignore[arg-type]

    def blocking(tensor: Tensor, device: torch.device) -> Tensor:
        return tensor.to(device)

    with (
        mock.patch.object(training_loop, "CHECK_STEPS", {"cuda": 1}),
        mock.patch.object(training_loop, "on_device", blocking),
        mock.patch("aebnas_bo.data.transforms.on_device", blocking),
        mock.patch.object(torch.optim, "SGD", several_kernels),
    ):
        yield


def _supernet_epoch(problem: Problem, recorder: Recorder) -> None:
    config = problem.config
    data = training_data(problem, config.supernet)
    supernet = fresh_supernet(problem)
    train_supernet(supernet, problem.space, data, config=config.supernet, seed=0, recorder=recorder)


def _network_epoch(problem: Problem, recorder: Recorder) -> None:
    recipe = problem.config.final_training.model_copy(update={"teacher": None})
    data = training_data(problem, recipe)
    network = problem.space.largest_without_exits
    train_from_scratch(network, problem.space.skeleton, data, config=recipe, seed=0, recorder=recorder)


def _estimates(problem: Problem, count: int) -> dict[str, float]:
    """Estimate networks with the same weights on CPU and GPU, and return the largest differences."""
    supernet = fresh_supernet(problem)
    data = training_data(problem, problem.config.supernet)
    train_supernet(supernet, problem.space, data, config=problem.config.supernet, seed=0)
    generator = np.random.default_rng(0)
    points = [problem.space.search_space.sample(generator) for _ in range(count)]
    on_device = _estimated(problem, supernet, points)
    cpu: Config = problem.config.model_copy(update={"device": "cpu"})
    on_cpu = _estimated(replace(problem, config=cpu, device="cpu"), supernet.to("cpu"), points)
    pairs = list(zip(on_device, on_cpu, strict=True))
    return {
        "networks": float(count),
        "accuracy_points": max(abs(one[0] - other[0]) for one, other in pairs),
        "accuracy_sem": statistics.median(one[2] for one in on_cpu),
        "average_macs_percent": max(100.0 * abs(one[1] / other[1] - 1.0) for one, other in pairs),
    }


def _estimated(
    problem: Problem, supernet: WeightSharing, points: list[dict[str, object]]
) -> list[tuple[float, float, float]]:
    images = MeasuringImages.of(problem.splits, problem.device)
    estimator = SupernetEstimator(
        problem.space, SharedWeights(supernet, None), images, config=problem.config.estimation
    )
    found = [estimator.estimate(point).points[0] for point in points]  # type: ignore[arg-type]
    return [(one.metrics["accuracy"], one.metrics["average_macs"], one.sems["accuracy"]) for one in found]


if __name__ == "__main__":
    main()
