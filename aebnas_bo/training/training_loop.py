"""The training loop: resumes bit for bit, rolls back after a non-finite loss, averages weights.

The caller defines the step on a batch: a supernet trains several of its networks, a single network only itself.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from aebnas_bo.data.transforms import on_device
from aebnas_bo.errors import TrainingDivergedError
from aebnas_bo.seeding import numpy_generator, torch_generator
from aebnas_bo.storage.tensor_file import check_fit, load_tensors, save_tensors
from aebnas_bo.training.epoch_outputs import EpochOutput, OutputMeter
from aebnas_bo.training.processes import ALONE, Processes
from aebnas_bo.training.schedule import learning_rate
from aebnas_bo.training.settings import TrainingConfig
from aebnas_bo.training.training_state import NO_MUON, MuonWeights, TrainingState, initial_state

logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 2.0  # minimum interval; an epoch of a tiny network takes less time than writing a checkpoint
CHECK_STEPS = {"cpu": 1, "cuda": 32}  # steps between checks for non-finite losses, which wait for the device
ROLLBACK_FACTOR = 0.5  # the learning rate after a roll-back, relative to before

Augment = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
Backward = Callable[[Tensor, Tensor], Tensor]
"""Takes a batch and its targets, adds their gradients and returns the loss to report, a scalar on their device."""
MakeBackward = Callable[[np.random.Generator, OutputMeter], Backward]


@dataclass(frozen=True)
class EpochReport:
    """Figures of one epoch.

    Args:
        epoch: Epochs finished.
        epochs: Epochs in all.
        loss: Mean reported loss over the epoch.
        learning_rate: Learning rate of its last step.
        images_per_s: Images per second, summed over the networks of a step.
        rollbacks: Roll-backs so far.
        outputs: Loss and accuracy of each output on the images as they were trained on.
    """

    epoch: int
    epochs: int
    loss: float
    learning_rate: float
    images_per_s: float
    rollbacks: int
    outputs: tuple[EpochOutput, ...] = ()


@dataclass(frozen=True)
class TrainingData:
    """The images and the preparation of a batch.

    Args:
        images: Training images, `N x C x H x W`, of whatever type `augment` takes.
        labels: Class of each image, `N`.
        augment: Turns a batch and its labels into normalised images and targets (labels, or `B x K` probabilities).
        support: Normalised images that weights are not trained on, and their classes; `None` if no loss asks for them.
        class_weights: Weight of the images of each class, `K`; `None` weighs all images alike.
    """

    images: Tensor
    labels: Tensor
    augment: Augment
    support: tuple[Tensor, Tensor] | None = None
    class_weights: Tensor | None = None

    def to(self, device: torch.device) -> TrainingData:
        """Return the data on a device."""
        support = None if self.support is None else (self.support[0].to(device), self.support[1].to(device))
        weights = None if self.class_weights is None else self.class_weights.to(device)
        images, labels = self.images.to(device), self.labels.to(device)
        return replace(self, images=images, labels=labels, support=support, class_weights=weights)


@dataclass(frozen=True)
class TrainingRun:
    """The weights to be trained, and the name of the training.

    Args:
        model: The weights; changed in place.
        make_backward: Makes an epoch's step from the epoch's own random stream and the meter of its outputs.
        networks_per_step: Number of networks trained on each batch.
        name: Names the random streams and messages.
        section: Section of the configuration, for messages.
        seed: The run's seed.
        processes: The processes that train the weights together.
        rate_factors: Factor of SGD's learning rate for the weights whose names start with a text; 1 for others.
        muon: The weights to be trained by Muon; SGD trains the others.
    """

    model: nn.Module
    make_backward: MakeBackward
    networks_per_step: int
    name: str
    section: str
    seed: int
    processes: Processes = ALONE
    rate_factors: Mapping[str, float] = field(default_factory=dict)
    muon: MuonWeights = NO_MUON


@dataclass(frozen=True)
class Recorder:
    """Records a training: a callback after every epoch, and a checkpoint.

    Args:
        on_epoch: Called after every epoch.
        checkpoint: File to resume from and to write to; `None` for no checkpoints.
        fingerprint: Identifies the configuration in the checkpoint.
        on_step: Called after every step with the epochs that are done, a part of the current one included.
    """

    on_epoch: Callable[[EpochReport], None] = lambda _: None
    checkpoint: Path | None = None
    fingerprint: str = ""
    on_step: Callable[[float], object] = lambda _: None


NO_RECORDER = Recorder()


@dataclass(frozen=True)
class _Progress:
    """Position of a training at the start of an epoch."""

    epoch: int = 0
    rollbacks: int = 0

    @property
    def rate_factor(self) -> float:
        return ROLLBACK_FACTOR**self.rollbacks


class _NonFiniteLossError(Exception):
    pass


class _Losses:
    """Losses and gradient norms of an epoch, checked from time to time: a check waits for the device."""

    def __init__(self, every: int, processes: Processes) -> None:
        self._every = every
        self._processes = processes
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self.total = 0.0

    def add(self, loss: Tensor, norm: Tensor) -> None:
        """Add those of a step.

        Raises:
            _NonFiniteLossError: If one of the last steps has a non-finite one in any process.
        """
        self._waiting.append((loss.detach(), norm))
        if len(self._waiting) >= self._every:
            self.check()

    def check(self) -> None:
        """Check the steps since the last check."""
        if not self._waiting:
            return
        steps = torch.stack([torch.stack([loss.float(), norm.to(loss.device).float()]) for loss, norm in self._waiting])
        self._waiting = []
        for loss, norm in self._processes.mean(steps).tolist():
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise _NonFiniteLossError(f"loss {loss}, gradient norm {norm}")
            self.total += loss


def train(
    run: TrainingRun,
    data: TrainingData,
    config: TrainingConfig,
    *,
    recorder: Recorder = NO_RECORDER,
) -> None:
    """Train weights in place.

    Every epoch draws its batches and networks from streams named by its number, so training that was interrupted and
    taken up from its checkpoint ends with the same weights as training that was not.

    Args:
        run: Training to run.
        data: The images.
        config: Settings.
        recorder: Stores epochs and checkpoints.

    Raises:
        TrainingDivergedError: If the loss stays non-finite through all allowed roll-backs.
        CorruptStateError: If the checkpoint is damaged or belongs to another configuration.
    """
    state = initial_state(run.model, config, rate_factors=run.rate_factors, muon=run.muon)
    progress, checkpoint = _Progress(), recorder.checkpoint
    if checkpoint is not None and checkpoint.exists():
        progress = _restore(checkpoint, recorder.fingerprint, state)
        logger.info("%s training resumes after epoch %d", run.name, progress.epoch)
    if run.processes.count > 1:
        progress = _same_everywhere(run.processes, state, progress)
    last_write = time.monotonic()
    while progress.epoch < config.epochs:
        good = state.snapshot()
        try:
            report = _train_epoch(run, state, data=data, config=config, progress=progress, on_step=recorder.on_step)
        except _NonFiniteLossError as error:
            state.load(good)
            progress = _roll_back(run, progress, config, diagnosis=str(error))
            continue
        progress = replace(progress, epoch=progress.epoch + 1)
        is_last = progress.epoch == config.epochs
        if checkpoint is not None and (is_last or time.monotonic() - last_write >= CHECKPOINT_SECONDS):
            metadata = {
                "fingerprint": recorder.fingerprint,
                "epoch": str(progress.epoch),
                "rollbacks": str(progress.rollbacks),
            }
            save_tensors(checkpoint, state.snapshot(), metadata)
            last_write = time.monotonic()
        recorder.on_epoch(report)
    state.adopt_average()


def _train_epoch(
    run: TrainingRun,
    state: TrainingState,
    *,
    data: TrainingData,
    config: TrainingConfig,
    progress: _Progress,
    on_step: Callable[[float], object],
) -> EpochReport:
    name = (run.name, "epoch", progress.epoch, "rollback", progress.rollbacks)
    drawing = torch_generator(run.seed, *name, "images")
    meter, processes = OutputMeter(), run.processes
    backward = run.make_backward(numpy_generator(run.seed, *name, "architectures"), meter)
    batches = shuffled_batches(len(data.images), config.batch_size, drawing)
    augmenting = drawing if processes.count == 1 else torch_generator(run.seed, *name, "process", processes.rank)
    started, rate = time.perf_counter(), 0.0
    losses = _Losses(CHECK_STEPS.get(data.labels.device.type, 1), processes)
    for step, indices in enumerate(batches):
        rate = progress.rate_factor * learning_rate(progress.epoch + step / len(batches), config)
        at = on_device(processes.share(indices), data.images.device)
        images, targets = data.augment(data.images[at], data.labels[at], augmenting)
        state.zero_grad()
        loss = backward(images, targets)
        losses.add(loss, nn.utils.clip_grad_norm_(run.model.parameters(), config.gradient_clip))
        state.step(rate)
        if step + 1 < len(batches):  # the last one ends the epoch
            on_step(progress.epoch + (step + 1) / len(batches))
    losses.check()
    num_images = sum(len(indices) for indices in batches) * run.networks_per_step
    return EpochReport(
        epoch=progress.epoch + 1,
        epochs=config.epochs,
        loss=losses.total / len(batches),
        learning_rate=rate,
        images_per_s=num_images / (time.perf_counter() - started),
        rollbacks=progress.rollbacks,
        outputs=meter.figures(processes.total(meter.sums())),
    )


def shuffled_batches(num_images: int, batch_size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Return shuffled indices in batches of equal size; an incomplete one is dropped unless it is the only one.

    Args:
        num_images: Number of images.
        batch_size: Images per batch.
        generator: Source of randomness (CPU).
    """
    order = torch.randperm(num_images, generator=generator)
    full = order[: num_images - num_images % batch_size]
    return torch.split(full, batch_size) if len(full) else (order,)


def _same_everywhere(processes: Processes, state: TrainingState, progress: _Progress) -> _Progress:
    """Give every process the state of the first, which alone has a checkpoint."""
    mine = {name: tensor.cpu() for name, tensor in state.snapshot().items()} if processes.rank == 0 else {}
    progress, tensors = processes.of_first((progress, mine))
    if processes.rank > 0:
        state.load(tensors)
    return progress


def _roll_back(run: TrainingRun, progress: _Progress, config: TrainingConfig, *, diagnosis: str) -> _Progress:
    rate = config.learning_rate * progress.rate_factor
    if progress.rollbacks >= config.max_rollbacks:
        rates = ("learning_rate", "muon_learning_rate") if run.muon.weights else ("learning_rate",)
        settings = ", ".join(f"{run.section}.{name}" for name in rates)
        raise TrainingDivergedError(
            f"{run.name} training diverged in epoch {progress.epoch + 1} ({diagnosis}) after {progress.rollbacks} "
            f"roll-backs, last at a peak learning rate of {rate:g}; lower {settings} or {run.section}.gradient_clip, "
            "or check the images for extreme values"
        )
    logger.warning("epoch %d: %s; rolled back, learning rate halved", progress.epoch + 1, diagnosis)
    return replace(progress, rollbacks=progress.rollbacks + 1)


def _restore(path: Path, fingerprint: str, state: TrainingState) -> _Progress:
    tensors, metadata = load_tensors(path, fingerprint)
    parameters = dict(state.model.named_parameters())
    expected = {f"weight.{name}": parameter for name, parameter in parameters.items()}
    optional = {f"momentum.{name}": parameter for name, parameter in parameters.items()}
    if state.average is not None:
        expected |= {f"average.{name}": parameter for name, parameter in parameters.items()}
    expected |= {name: parameter for name, parameter in optional.items() if name in tensors}
    check_fit(path, tensors, expected)
    state.load(tensors)
    return _Progress(epoch=int(metadata["epoch"]), rollbacks=int(metadata["rollbacks"]))
