"""Latency of an early-exit network on real images, compared with the last exit only and with no exits.

Every batch runs through all variants in an order that rotates, so that load on the machine affects them equally.
Comparisons use median times.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.exported_files import file_of_weights, picture_files
from aebnas_bo.deploy.network_file import load_network
from aebnas_bo.deploy.onnx_files import READERS, WRITERS, open_session, write_early_exit, write_segments
from aebnas_bo.deploy.runtime import (
    DeployedNetwork,
    Engine,
    Predictions,
    SingleImageEngine,
    StepwiseEngine,
    onnx_program,
    onnx_step,
    torch_step,
)
from aebnas_bo.deploy.segments import Segment, segments
from aebnas_bo.estimation.silenced_remarks import without_remarks
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.space.macs import millions
from aebnas_bo.supernet.folding import fold_batchnorm
from aebnas_bo.supernet.subnet import Subnet

EARLY, FORCED, PLAIN = "early exit", "forced to the last exit", "without exits"
NEVER = 2.0  # a threshold that no confidence reaches
WARM_UP = 5  # runs of each variant before timing
with without_remarks():  # the import warns about missing compilers, which are not needed
    from torch.utils.benchmark import Timer

Variants = dict[str, Engine]
Step = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Latency:
    """Latency of one variant in one runtime at one batch size.

    Args:
        runtime: `torch` and `onnx-segments` run segments step by step, `onnx` runs one session per image.
        batch_size: Images run together.
        variant: `early exit`, `forced to the last exit`, `without exits`, or `leaving at exit1` ...
        p50_ms: Median milliseconds per batch.
        p95_ms: 95th percentile.
        mean_ms_per_image: Mean milliseconds, divided by the images of a batch.
        average_macs: Mean MACs per image in millions, for the images measured.
    """

    runtime: str
    batch_size: int
    variant: str
    p50_ms: float
    p95_ms: float
    mean_ms_per_image: float
    average_macs: float


@dataclass(frozen=True)
class Workload:
    """Workload of a latency measurement.

    Args:
        batch_sizes: Batch sizes; batch size 1 also runs through the early-exit ONNX file.
        num_batches: Batches timed for each variant.
        num_threads: Threads of PyTorch and of onnxruntime.
    """

    batch_sizes: Sequence[int] = (1, 64)
    num_batches: int = 100
    num_threads: int = 1


def measure_file(
    path: Path,
    pictures: Sequence[Path],
    workload: Workload,
    *,
    progress: RunProgress | None = None,
    trust: bool = False,
) -> list[Latency]:
    """Measure an exported network on pictures; onnxruntime is skipped if its packages are not installed.

    Args:
        path: A network file of the format `torch`, or its folder.
        pictures: Pictures and folders of pictures.
        workload: Batch sizes, batches and threads.
        progress: Shows progress.
        trust: Whether to import the Python module that the file of a network on a given backbone may name.

    Raises:
        UsageError: If the file has another format, or names a Python module and `trust` is off.
        NetworkFileError: If it is damaged.
        DataError: If pictures are missing or cannot be read.
    """
    subnet, description = load_network(file_of_weights(path), trusts_code=trust)
    fold_batchnorm(subnet)
    pixels = DeployedNetwork(description, StepwiseEngine(description, [])).pixels(picture_files(pictures))
    torch.set_num_threads(workload.num_threads)
    has_onnx = all(find_spec(name) is not None for name in (*WRITERS, *READERS))
    return measure_latency(subnet, description, pixels, workload=workload, has_onnx=has_onnx, progress=progress)


def measure_latency(
    subnet: Subnet,
    description: NetworkDescription,
    pixels: Tensor,
    *,
    workload: Workload,
    has_onnx: bool = True,
    progress: RunProgress | None = None,
) -> list[Latency]:
    """Measure a network.

    Args:
        subnet: The network, BatchNorm folded or not.
        description: Its description.
        pixels: Real images, `N x C x S x S` in [0, 1]; they are repeated if a measurement needs more.
        workload: Batch sizes, batches and threads.
        has_onnx: Whether to measure onnxruntime in addition to PyTorch.
        progress: Shows progress.

    Returns:
        One row per runtime, batch size and variant.
    """
    variants = _described(description)
    found = []
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        measured = _engines(subnet, variants, Path(folder), workload=workload, has_onnx=has_onnx)
        show = _show_runs(progress, workload.num_batches * sum(len(engines) for _, _, engines in measured))
        for runtime, batch_size, engines in measured:
            batches = _batches(pixels, batch_size, workload.num_batches)
            times = _timed(engines, batches, workload.num_threads, on_run=partial(show, f"{runtime}, {batch_size}"))
            for variant, engine in engines.items():
                macs = _average_macs(engine, variants[variant], batches)
                milliseconds = 1000.0 * np.array(times[variant])
                found.append(
                    Latency(
                        runtime=runtime,
                        batch_size=batch_size,
                        variant=variant,
                        p50_ms=float(np.median(milliseconds)),
                        p95_ms=float(np.quantile(milliseconds, 0.95)),
                        mean_ms_per_image=float(milliseconds.mean()) / batch_size,
                        average_macs=millions(macs),
                    )
                )
    return found


def _show_runs(progress: RunProgress | None, total: int) -> Callable[[str], None]:
    """Return a callback for each timed run, which takes the name of the variant."""
    done = 0
    if progress is not None:
        progress.start("timed batches", total)

    def show(figures: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress.update(done, figures)

    return show


def _described(description: NetworkDescription) -> dict[str, NetworkDescription]:
    """Return the description of each variant, with other thresholds or without exits."""
    *exits, final = description.outputs

    def at(thresholds: Sequence[float]) -> NetworkDescription:
        outputs = [
            output.model_copy(update={"threshold": threshold})
            for output, threshold in zip(exits, thresholds, strict=True)
        ]
        return description.model_copy(update={"outputs": (*outputs, final)})

    plain = final.model_copy(update={"macs": final.macs_without_passed, "weights": ()})
    variants = {EARLY: description, FORCED: at([NEVER] * len(exits))}
    variants[PLAIN] = description.model_copy(update={"outputs": (plain,)})
    for number, output in enumerate(exits):
        variants[f"leaving at {output.name}"] = at([NEVER] * number + [0.0] + [NEVER] * (len(exits) - number - 1))
    return variants


def _engines(
    subnet: Subnet,
    variants: dict[str, NetworkDescription],
    folder: Path,
    *,
    workload: Workload,
    has_onnx: bool,
) -> list[tuple[str, int, Variants]]:
    batch_sizes, num_threads = workload.batch_sizes, workload.num_threads
    whole, plain = segments(subnet, variants[EARLY]), segments(subnet, variants[PLAIN])
    in_torch = _stepwise(variants, [torch_step(part, "cpu") for part in whole], torch_step(plain[0], "cpu"))
    found = [("torch", size, in_torch) for size in batch_sizes]
    if not has_onnx:
        return found
    steps = _onnx_steps(whole, variants[EARLY], folder / "whole", num_threads=num_threads)
    [without] = _onnx_steps(plain, variants[PLAIN], folder / "plain", num_threads=num_threads)
    in_segments = _stepwise(variants, steps, without)
    found += [("onnx-segments", size, in_segments) for size in batch_sizes]
    if 1 in batch_sizes:
        single: Variants = {}
        for number, variant in enumerate((EARLY, FORCED, PLAIN)):
            path = folder / f"{number}.onnx"
            write_early_exit(path, plain if variant == PLAIN else whole, variants[variant])
            session = open_session(path.read_bytes(), num_threads, path.name)
            single[variant] = SingleImageEngine(variants[variant], onnx_program(session))
        found.append(("onnx", 1, single))
    return found


def _stepwise(variants: dict[str, NetworkDescription], steps: Sequence[Step], without: Step) -> Variants:
    return {
        name: StepwiseEngine(description, [without] if name == PLAIN else steps)
        for name, description in variants.items()
    }


def _onnx_steps(
    parts: Sequence[Segment], description: NetworkDescription, folder: Path, *, num_threads: int
) -> list[Step]:
    folder.mkdir()
    names = write_segments(folder, parts, description)
    return [onnx_step(open_session((folder / name).read_bytes(), num_threads, name)) for name in names]


def _batches(pixels: Tensor, batch_size: int, count: int) -> list[Tensor]:
    """Return full batches of images in order, repeating the images as needed."""
    at = torch.arange(batch_size * count) % len(pixels)
    return list(torch.split(pixels[at], batch_size))


def _timed(
    engines: Variants, batches: Sequence[Tensor], num_threads: int, *, on_run: Callable[[], None]
) -> dict[str, list[float]]:
    """Return the seconds of every batch for every variant."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    names = list(engines)
    for engine in engines.values():
        for batch in batches[:WARM_UP]:
            engine.run(batch, True)
    for number, batch in enumerate(batches):
        for offset in range(len(names)):
            name = names[(number + offset) % len(names)]
            timer = Timer(
                "run(batch, True)", globals={"run": engines[name].run, "batch": batch}, num_threads=num_threads
            )
            times[name].append(timer.timeit(1).times[0])
            on_run()
    return times


def _average_macs(engine: Engine, description: NetworkDescription, batches: Sequence[Tensor]) -> float:
    found: list[Predictions] = [engine.run(batch, True) for batch in batches]
    left_at = torch.cat([predictions.exit_indices for predictions in found])
    return float(torch.tensor([output.macs for output in description.outputs])[left_at].double().mean())
