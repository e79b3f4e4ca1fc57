"""Inference with network files: images leave at the first confident exit, and later layers are skipped for them.

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

from aebnas_bo.data.decoding import decode_image, read_picture
from aebnas_bo.data.names import printable
from aebnas_bo.data.picture_conversion import image_array
from aebnas_bo.deploy.description import NetworkDescription, NetworkFileError
from aebnas_bo.deploy.exported_files import network_file
from aebnas_bo.deploy.network_file import load_network
from aebnas_bo.deploy.onnx_files import read_session, run_session
from aebnas_bo.deploy.segments import Segment, output_confidence, predicting_logits, segments
from aebnas_bo.early_exit.exit_rule import leaves, next_certainty
from aebnas_bo.errors import DataError, UsageError, reason_of
from aebnas_bo.storage.regular_files import read_regular
from aebnas_bo.supernet.folding import fold_batchnorm

if TYPE_CHECKING:
    import onnxruntime

BATCH_SIZE = 256
MOST_MANIFEST_BYTES = 1 << 20
BYTES = 255.0

Pictures = Tensor | np.ndarray | Sequence["str | Path | Image.Image"]
Run = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True, eq=False)  # tensors have no single truth of equality
class Predictions:
    """Predictions for `N` images.

    Args:
        labels: Predicted classes, `N` int64.
        confidences: Confidence at the output at which each image left, `N` values in [0, 1].
        exit_indices: Output at which each image left, `N` int64 counted from 0 over the outputs in use.
        logits: Logits of that output, `N x K`.
    """

    labels: Tensor
    confidences: Tensor
    exit_indices: Tensor
    logits: Tensor


class Engine(Protocol):
    """Interface for execution engines."""

    def run(self, pixels: Tensor, leaves_early: bool) -> Predictions:
        """Run `N x C x S x S` float32 pixels in [0, 1] through the network."""
        ...


class DeployedNetwork:
    """Loaded network file.

    Args:
        description: Description in the file.
        engine: Engine that runs the network.
    """

    def __init__(self, description: NetworkDescription, engine: Engine) -> None:
        self.description = description
        self._engine = engine

    def predict(self, images: Pictures, batch_size: int = BATCH_SIZE, leaves_early: bool = True) -> Predictions:
        """Classify images.

        Args:
            images: `N x C x S x S`, uint8 or floats in [0, 1] (tensor or array); or pictures and paths of pictures of
                any size, which are resized.
            batch_size: Maximum number of images per batch.
            leaves_early: Whether images may exit early; turn it off for measurements.

        Raises:
            DataError: If images have a wrong size, type or range, or a picture cannot be read.
            NetworkFileError: If the network returns invalid outputs.
            UsageError: If `leaves_early` is off for a file with built-in early exits, or `batch_size` is not positive.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size: expected a positive number, got {batch_size}")
        pixels = self.pixels(images)
        if not len(pixels):
            num_classes = self.description.num_classes
            nothing = torch.zeros(0, dtype=torch.int64)
            return Predictions(nothing, torch.zeros(0), nothing.clone(), torch.zeros(0, num_classes))
        with torch.no_grad():
            parts = [self._engine.run(batch, leaves_early) for batch in torch.split(pixels, batch_size)]
        found = Predictions(
            labels=torch.cat([part.labels for part in parts]),
            confidences=torch.cat([part.confidences for part in parts]),
            exit_indices=torch.cat([part.exit_indices for part in parts]),
            logits=torch.cat([part.logits for part in parts]),
        )
        if not bool(found.logits.isfinite().all() and found.confidences.isfinite().all()):
            raise NetworkFileError("the network returns NaN or infinity: its weights are damaged; export it again")
        return found

    def pixels(self, images: Pictures) -> Tensor:
        """Convert images to the input of the first segment: `N x C x S x S` float32 in [0, 1].

        Raises:
            DataError: If images have a wrong size, type or range, or a picture cannot be read.
        """
        channels, size = self.description.skeleton.in_channels, self.description.image_size
        if not isinstance(images, Tensor | np.ndarray):
            if isinstance(images, str | Path | bytes | Image.Image):
                what = "path" if isinstance(images, str | Path) else "picture"
                raise DataError(f"expected a list of pictures, got a single {what}; put it into a list")
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
                "do not normalise them, the network does"
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
        except (OSError, ValueError) as error:
            name = getattr(picture, "filename", "") or f"a picture of {picture.width}x{picture.height} pixels"
            raise DataError(f"{name} cannot be read ({error}); give a complete picture") from error
    if not isinstance(picture, str | Path):
        raise DataError(
            f"expected a list of paths or PIL images, got {type(picture).__name__}; pass arrays as one N x C x S x S "
            "array, and open bytes with PIL"
        )
    path = Path(picture)
    return decode_image(read_picture(path), size, channels, origin=printable(str(path)), conversion=conversion)


class StepwiseEngine:
    """Engine that runs segment by segment, and after each removes the images that leave from the batch.

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
        passed: list[Tensor] = []  # logits of the outputs so far, of the images that go on
        thresholds = [*self._description.thresholds, 0.0]  # the last output takes all remaining images
        for number, (step, threshold) in enumerate(zip(self._steps, thresholds, strict=True)):
            is_last = number == len(self._steps) - 1
            num_before = len(features)
            features, answer = step(features)
            answer = answer.cpu()
            if answer.ndim != 2 or len(answer) != num_before or answer.shape[1] - num_classes not in (0, 1):
                raise _no_answer(f"logits of shape {tuple(answer.shape)}")
            passed.append(answer)
            answer = predicting_logits(passed, self._description, number)
            confidences = output_confidence(answer, self._description, number)
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
                passed = [one[~leaving] for one in passed]
        return Predictions(logits.argmax(dim=1), sure, left_at, logits)


class SingleImageEngine:
    """Engine that runs images one by one through a program with built-in early exits.

    Args:
        description: Description of its outputs and classes.
        program: Function from `1 x C x S x S` pixels to logits, confidence and exit index.
    """

    def __init__(self, description: NetworkDescription, program: Run) -> None:
        self._description = description
        self._program = program

    def run(self, pixels: Tensor, leaves_early: bool) -> Predictions:
        """Run the images of a batch one after another."""
        if not leaves_early:
            raise UsageError("early exits are built into this file; use the format torch or onnx-segments")
        found = [self._checked(self._program(image[None])) for image in pixels]
        logits, sure, left_at = (torch.cat(parts) for parts in zip(*found, strict=True))
        return Predictions(logits.argmax(dim=1), sure, left_at, logits)

    def _checked(self, answer: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        logits, sure, left_at = answer
        shapes = tuple(logits.shape), tuple(sure.shape), tuple(left_at.shape)
        if shapes != ((1, self._description.num_classes), (1,), (1,)):
            raise _no_answer(f"shapes {shapes}")
        if not 0 <= int(left_at) < len(self._description.outputs):
            raise _no_answer(f"exit {int(left_at)}")
        return answer


def _no_answer(what: str) -> NetworkFileError:
    return NetworkFileError(f"the network returns {what}, which is invalid; export it again")


def load(path: str | Path, device: str = "cpu", num_threads: int = 1, *, trust: bool = False) -> DeployedNetwork:
    """Open an exported network: a file, or the folder it was exported to.

    Args:
        path: `*.safetensors`, `*.onnx`, the `manifest.json` of segments, or a folder that holds one of them.
        device: Device of a `.safetensors` network; the other formats run on the CPU.
        num_threads: Threads of ONNX operators; for PyTorch, use `torch.set_num_threads`.
        trust: Whether to import the Python module that a `.safetensors` network on a given backbone may name, and which
            can run any code.

    Raises:
        NetworkFileError: If the file is damaged, of another version, or not written by this package.
        UsageError: If the file does not exist, its format is unknown or can be loaded only by PyTorch, a package is not
            installed, the device is not available, or the file names a Python module and `trust` is off.
        ConfigError: If a given backbone cannot be created.
    """
    file = network_file(Path(path))
    _check_device(device)
    if file.suffix == ".safetensors":
        subnet, description = load_network(file, trusts_code=trust)
        fold_batchnorm(subnet)
        steps = [torch_step(part.to(device), device) for part in segments(subnet, description)]
        return DeployedNetwork(description, StepwiseEngine(description, steps))
    if file.suffix == ".onnx":
        session, description, segment = read_session(file, num_threads)
        if segment is not None:
            raise UsageError(f"{file} is one segment of a network; give its folder")
        return DeployedNetwork(description, SingleImageEngine(description, onnx_program(session)))
    return _load_segments(file, num_threads)


def _check_device(device: str) -> None:
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise UsageError(f"device {device}: unknown device; expected cpu or cuda") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device {device}: PyTorch finds no CUDA device; use cpu")


def torch_step(part: Segment, device: str) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return a segment as a step of `StepwiseEngine`, run by PyTorch on a device."""

    def step(features: Tensor) -> tuple[Tensor, Tensor]:
        memory_format = torch.channels_last if features.ndim == 4 else torch.contiguous_format  # tokens have three axes
        placed = features.to(device).contiguous(memory_format=memory_format)
        found: tuple[Tensor, Tensor] = part(placed)
        return found

    return step


def onnx_program(session: onnxruntime.InferenceSession) -> Run:
    """Return a session with built-in early exits as a program for `SingleImageEngine`."""

    def run(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, sure, left_at = run_session(session, image)
        return logits, sure, left_at

    return run


def _load_segments(manifest: Path, num_threads: int) -> DeployedNetwork:
    steps: list[Callable[[Tensor], tuple[Tensor, Tensor]]] = []
    first: NetworkDescription | None = None
    for file in _segment_files(manifest):
        session, description, number = read_session(file, num_threads)
        first = first or description
        if number != len(steps) or description != first:
            first = None
            break
        steps.append(onnx_step(session))
    if first is None or len(steps) != len(first.outputs):
        raise NetworkFileError(f"{manifest}: its files are not the ordered segments of one network; export again")
    return DeployedNetwork(first, StepwiseEngine(first, steps))


def _segment_files(manifest: Path) -> list[Path]:
    """Return the files that a manifest names, which must be in its folder."""
    try:
        names = json.loads(read_regular(manifest, MOST_MANIFEST_BYTES))["segments"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError("segments must be names of files")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = reason_of(error)
        raise NetworkFileError(f"{manifest} is damaged or not a valid manifest ({reason}); export again") from error
    folders = {manifest.parent.resolve(), manifest.resolve().parent}  # manifest and files may be links into one folder
    for name in names:
        if len(name) > 100 or Path(name).name != name or (manifest.parent / name).resolve().parent not in folders:
            raise NetworkFileError(f"{manifest} names a file outside its folder, {name[:80]!r}; export again")
    return [manifest.parent / name for name in names]


def onnx_step(session: onnxruntime.InferenceSession) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return a segment's session as a step of `StepwiseEngine`."""

    def step(features: Tensor) -> tuple[Tensor, Tensor]:
        found = run_session(session, features)
        return found[0], found[-1]

    return step
