"""Running a network file: images leave at the first exit that is sure enough, and the rest of the network is skipped.

Legend: `N` images, `K` classes, `C` channels, `S` side of an image, `E` outputs in use.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aebnas_bo.data.decoding import decode_image
from aebnas_bo.data.names import printable
from aebnas_bo.data.picture_conversion import image_array
from aebnas_bo.deploy.description import NetworkDescription, NetworkFileError
from aebnas_bo.deploy.network_file import NETWORK_FILE, load_network
from aebnas_bo.deploy.onnx_files import read_session
from aebnas_bo.deploy.program_file import Run, read_program
from aebnas_bo.deploy.segments import Segment, segments, sureness
from aebnas_bo.early_exit.exit_rule import leaves, next_certainty
from aebnas_bo.errors import DataError, UsageError
from aebnas_bo.supernet.folding import fold_batchnorm

if TYPE_CHECKING:
    import onnxruntime

BATCH_SIZE = 256
MANIFEST = "manifest.json"
FILES = (NETWORK_FILE, "network.onnx", "network.pt2", MANIFEST)
BYTES = 255.0

Pictures = Tensor | np.ndarray | Sequence["str | Path | Image.Image"]


@dataclass(frozen=True, eq=False)  # tensors have no single truth of equality
class Predictions:
    """What a network says of `N` images.

    Args:
        labels: Classes, `N` int64.
        confidences: How sure the output was where each image left, `N` values in [0, 1], by the network's measure.
        exit_indices: Output at which each image left, `N` int64 counted from 0 over the outputs in use.
        logits: `N x K`, of that output.
    """

    labels: Tensor
    confidences: Tensor
    exit_indices: Tensor
    logits: Tensor


class Engine(Protocol):
    """Runs a network, or a part of it."""

    def run(self, pixels: Tensor, leaves_early: bool) -> Predictions:
        """Run `N x C x S x S` float32 pixels in [0, 1] through the network."""
        ...


class DeployedNetwork:
    """A network file, ready to be used.

    Args:
        description: What the file says of the network.
        engine: Runs it.
    """

    def __init__(self, description: NetworkDescription, engine: Engine) -> None:
        self.description = description
        self._engine = engine

    def predict(self, images: Pictures, batch_size: int = BATCH_SIZE, leaves_early: bool = True) -> Predictions:
        """Classify images.

        Args:
            images: `N x C x S x S`, uint8 or floats in [0, 1] (tensor or array); or pictures and paths of pictures of
                any size, which are resized.
            batch_size: Most images run together.
            leaves_early: Whether images may leave before the final classifier; for measurements.

        Raises:
            DataError: If images have another size, type or range, or a picture cannot be read.
            UsageError: If the file stops early by itself and `leaves_early` is off.
        """
        pixels = self.pixels(images)
        if not len(pixels):
            num_classes = self.description.num_classes
            nothing = torch.zeros(0, dtype=torch.int64)
            return Predictions(nothing, torch.zeros(0), nothing.clone(), torch.zeros(0, num_classes))
        with torch.no_grad():
            parts = [self._engine.run(batch, leaves_early) for batch in torch.split(pixels, batch_size)]
        return Predictions(
            labels=torch.cat([part.labels for part in parts]),
            confidences=torch.cat([part.confidences for part in parts]),
            exit_indices=torch.cat([part.exit_indices for part in parts]),
            logits=torch.cat([part.logits for part in parts]),
        )

    def pixels(self, images: Pictures) -> Tensor:
        """Return images as what the network's first segment reads: `N x C x S x S` float32 in [0, 1].

        Raises:
            DataError: If images have another size, type or range, or a picture cannot be read.
        """
        channels, size = self.description.skeleton.in_channels, self.description.image_size
        if not isinstance(images, Tensor | np.ndarray):
            if isinstance(images, str | Path):
                raise DataError("expected a list of pictures, got a single path; put it into a list")
            decoded = [_decoded(picture, self.description) for picture in images]
            images = np.stack(decoded) if decoded else np.zeros((0, channels, size, size), dtype=np.uint8)
        tensor = torch.from_numpy(np.ascontiguousarray(images)) if isinstance(images, np.ndarray) else images.cpu()
        if tensor.ndim != 4 or tuple(tensor.shape[1:]) != (channels, size, size):
            raise DataError(
                f"expected images of shape N x {channels} x {size} x {size}, got {tuple(tensor.shape)}; pictures of "
                "another size are resized when given as paths or PIL images"
            )
        if tensor.dtype == torch.uint8:
            return tensor.float() / BYTES
        if not tensor.is_floating_point():
            raise DataError(f"expected uint8 or floating-point images, got {tensor.dtype}")
        if len(tensor) and not (float(tensor.min()) >= 0.0 and float(tensor.max()) <= 1.0):
            raise DataError(
                f"expected floating-point pixels in [0, 1], got {float(tensor.min()):g} to {float(tensor.max()):g}; "
                "the network normalises them itself"
            )
        return tensor.float()


def _decoded(picture: str | Path | Image.Image, description: NetworkDescription) -> np.ndarray:
    size, channels, conversion = (
        description.image_size,
        description.skeleton.in_channels,
        description.picture_conversion,
    )
    if isinstance(picture, Image.Image):
        try:
            return image_array(picture, size, channels, conversion=conversion)
        except ValueError as error:
            raise DataError(f"{picture}: {error}") from error
    path = Path(picture)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give the path of a picture") from error
    return decode_image(data, size, channels, origin=printable(str(path)), conversion=conversion)


class StepwiseEngine:
    """Runs a network segment by segment; after each the batch shrinks to the images that go on.

    Args:
        description: Thresholds, confidence measure and exit rule.
        steps: One function per segment, from features to features for the next segment and logits.
    """

    def __init__(
        self, description: NetworkDescription, steps: Sequence[Callable[[Tensor], tuple[Tensor, Tensor]]]
    ) -> None:
        self._description = description
        self._steps = steps

    def run(self, pixels: Tensor, leaves_early: bool) -> Predictions:
        """Run a batch."""
        num_images, num_classes = len(pixels), self._description.num_classes
        logits = torch.zeros(num_images, num_classes)
        sure, left_at = torch.zeros(num_images), torch.zeros(num_images, dtype=torch.int64)
        going, doubt, features = torch.arange(num_images), torch.ones(num_images), pixels
        thresholds = [*self._description.thresholds, 0.0]  # the final classifier takes all images that are left
        for number, (step, threshold) in enumerate(zip(self._steps, thresholds, strict=True)):
            is_last = number == len(self._steps) - 1
            features, answer = step(features)
            answer = answer.cpu()
            confidences = sureness(answer, self._description, number)
            certainty, doubt = next_certainty(confidences, doubt, self._description.exit_rule)
            leaving = torch.ones_like(certainty, dtype=torch.bool) if is_last else leaves(certainty, threshold)
            if not (leaves_early or is_last):
                leaving = torch.zeros_like(leaving)
            at = going[leaving]
            logits[at], sure[at], left_at[at] = answer[leaving, :num_classes], confidences[leaving], number
            if bool(leaving.all()):
                break
            if bool(leaving.any()):
                going, doubt, features = going[~leaving], doubt[~leaving], features[~leaving.to(features.device)]
        return Predictions(logits.argmax(dim=1), sure, left_at, logits)


class SingleImageEngine:
    """Runs images one by one through a program that stops early by itself.

    Args:
        program: Maps `1 x C x S x S` pixels to logits, confidence and exit index.
    """

    def __init__(self, program: Run) -> None:
        self._program = program

    def run(self, pixels: Tensor, leaves_early: bool) -> Predictions:
        """Run the images of a batch one after another."""
        if not leaves_early:
            raise UsageError("this file stops early by itself; use one of the formats torch and onnx-segments")
        found = [self._program(image[None]) for image in pixels]
        logits, sure, left_at = (torch.cat(parts) for parts in zip(*found, strict=True))
        return Predictions(logits.argmax(dim=1), sure, left_at, logits)


def load(path: str | Path, device: str = "cpu", num_threads: int = 1, *, trust: bool = False) -> DeployedNetwork:
    """Open an exported network: a file, or the folder it was exported to.

    Args:
        path: `*.safetensors`, `*.onnx`, `*.pt2`, the `manifest.json` of segments, or a folder that holds one of them.
        device: Where a `.safetensors` network runs; the others run on the CPU.
        num_threads: Threads of ONNX operators; PyTorch's are set by `torch.set_num_threads`.
        trust: Whether to load a `*.pt2`, which can run code of the person who made it. The other formats cannot.

    Raises:
        NetworkFileError: If the file is damaged, of another version, or none of ours.
        UsageError: If there is no such file, its format is unknown, a package is missing, or a `*.pt2` is not trusted.
    """
    file = _network_file(Path(path))
    if file.suffix == ".safetensors":
        subnet, description = load_network(file)
        fold_batchnorm(subnet)
        steps = [torch_step(part.to(device), device) for part in segments(subnet, description)]
        return DeployedNetwork(description, StepwiseEngine(description, steps))
    if file.suffix == ".pt2":
        program, description = read_program(file, trust=trust)
        return DeployedNetwork(description, SingleImageEngine(program))
    if file.suffix == ".onnx":
        session, description, segment = read_session(file, num_threads)
        if segment is not None:
            raise UsageError(f"{file} is one segment of a network; give its folder")
        return DeployedNetwork(description, SingleImageEngine(onnx_program(session)))
    return _load_segments(file, num_threads)


def _network_file(path: Path) -> Path:
    if path.is_dir():
        there = [path / name for name in FILES if (path / name).exists()]
        if not there:
            raise UsageError(f"{path}: holds no exported network; expected one of {', '.join(FILES)}")
        return there[0]
    if not path.exists():
        raise UsageError(f"{path}: there is no such file; give what `aebnas-bo export` wrote")
    if path.suffix not in {Path(name).suffix for name in FILES}:
        raise UsageError(f"{path}: unknown format; expected .safetensors, .onnx, .pt2 or the {MANIFEST} of segments")
    return path


def torch_step(part: Segment, device: str) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return a segment as a step of `StepwiseEngine`, run by PyTorch on a device."""

    def step(features: Tensor) -> tuple[Tensor, Tensor]:
        placed = features.to(device).contiguous(memory_format=torch.channels_last)
        found: tuple[Tensor, Tensor] = part(placed)
        return found

    return step


def onnx_program(session: onnxruntime.InferenceSession) -> Run:
    """Return a session that stops early as a program of `SingleImageEngine`."""

    def run(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, sure, left_at = (torch.from_numpy(part) for part in session.run(None, {"images": image.numpy()}))
        return logits, sure, left_at

    return run


def _load_segments(manifest: Path, num_threads: int) -> DeployedNetwork:
    try:
        names = json.loads(manifest.read_text(encoding="utf-8"))["segments"]
        files = [manifest.parent / Path(str(name)).name for name in names]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NetworkFileError(f"{manifest} is damaged or no manifest of ours ({error}); export again") from error
    opened = [read_session(file, num_threads) for file in files]
    numbers = [number for _, _, number in opened]
    descriptions = [description for _, description, _ in opened]
    if not opened or numbers != list(range(len(descriptions[0].outputs))) or len({*map(repr, descriptions)}) != 1:
        raise NetworkFileError(f"{manifest}: its files are not the segments of one network in order; export again")
    steps = [onnx_step(session) for session, _, _ in opened]
    return DeployedNetwork(descriptions[0], StepwiseEngine(descriptions[0], steps))


def onnx_step(session: onnxruntime.InferenceSession) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return a segment's session as a step of `StepwiseEngine`."""
    name = session.get_inputs()[0].name

    def step(features: Tensor) -> tuple[Tensor, Tensor]:
        found = [torch.from_numpy(part) for part in session.run(None, {name: features.contiguous().numpy()})]
        return found[0], found[-1]

    return step
