"""Knowledge distillation in final training: outputs of a teacher on the training images, mixed with the labels.

The outputs are computed once, so a large teacher does not slow down the epochs. Kinds of teachers: the supernet's
largest network, which is checked here against the network itself, a network trained before, a plain network trained
separately (`plain_baseline.taught_by_network`), and a given backbone (`given_training.taught_by_original`).

Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015, section 2, at temperature 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from aebnas_bo.data.augmentation import Augmentation
from aebnas_bo.data.splits import Splits
from aebnas_bo.data.transforms import normalize, shift_and_flip
from aebnas_bo.deploy.exported_files import NETWORK_FILE
from aebnas_bo.deploy.final_recipe import train_from_scratch
from aebnas_bo.deploy.network_file import load_network
from aebnas_bo.errors import CorruptStateError, UsageError
from aebnas_bo.estimation.measuring import output_logits
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.preparation.supernet_preparation import largest_trained
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.storage.count_text import counted
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.sealed_json import read_sealed, write_sealed
from aebnas_bo.supernet.batchnorm import calibrate_batchnorm
from aebnas_bo.supernet.extraction import extract
from aebnas_bo.supernet.folding import fold_batchnorm
from aebnas_bo.supernet.subnet import Subnet
from aebnas_bo.supernet.weight_sharing import WeightSharing
from aebnas_bo.training.losses import mixed_targets, soft_labels
from aebnas_bo.training.settings import FinalTrainingConfig
from aebnas_bo.training.training_loop import TrainingData

TEACHER_FILE = "teacher.json"
MOST_NAMED = 8  # trained networks in a message
CALIBRATION_BATCH = 256
PROBE_SHARE = 1 / 8  # fraction of the student's epochs that it trains alone for the check of the teacher

Teacher = Callable[[Tensor], Tensor]
"""Function from `B x C x H x W` normalised images to `B x K` logits."""


@dataclass(frozen=True)
class TeacherCheck:
    """Validation accuracies of a teacher and its student in percent.

    Args:
        teacher: Accuracy of the teacher.
        student: Accuracy of the student's final classifier after a short training alone.
        student_epochs: Epochs of that training.
        sem: Binomial standard error of the student's accuracy.
    """

    teacher: float
    student: float
    student_epochs: int
    sem: float

    @property
    def is_useful(self) -> bool:
        """Whether the teacher is more accurate by more than one standard error."""
        return self.teacher > self.student + self.sem

    def __str__(self) -> str:
        verdict = "is used" if self.is_useful else "is not used"
        return (
            f"teacher {verdict}: {self.teacher:.1f} % validation accuracy; the network itself has {self.student:.1f} % "
            f"after {counted(self.student_epochs, 'epoch')}"
        )


@torch.no_grad()
def with_soft_labels(data: TrainingData, teacher: Teacher, *, splits: Splits, label_smoothing: float) -> TrainingData:
    """Return training data with soft labels `N x V x K`: the mean of labels and a teacher's probabilities.

    The teacher predicts each image in `V` views, so that the soft labels of a batch are those of its images as they are
    shifted and flipped. On CIFAR-10 at 16x16 this gains over one soft label per image (docs/decisions.md).

    Args:
        data: The training images with `N` labels, and their augmentation.
        teacher: The teacher.
        splits: Means and standard deviations of the images.
        label_smoothing: Label smoothing.
    """
    if not isinstance(data.augment, Augmentation):
        raise TypeError(f"expected images with an Augmentation, got {data.augment!r}")
    targets = []
    for batch, labels in zip(*(torch.split(one, CALIBRATION_BATCH) for one in (data.images, data.labels)), strict=True):
        images = normalize(batch, splits.mean, splits.std, device=labels.device)
        shown = [shift_and_flip(images, views) for views in data.augment.label_views(len(images))]
        probabilities = torch.stack([soft_labels(teacher(view)) for view in shown], dim=1)
        targets.append(mixed_targets(labels, probabilities, label_smoothing))
    return replace(data, labels=torch.cat(targets))


def final_logits(network: Subnet) -> Teacher:
    """Return the final classifier of a network in evaluation mode as a teacher.

    Args:
        network: The network, on the images' device.
    """

    @torch.no_grad()
    def logits_of(batch: Tensor) -> Tensor:
        logits: Tensor = network(batch)[-1]
        return logits

    return logits_of


def taught_by(network: Subnet, data: TrainingData, config: FinalTrainingConfig, *, splits: Splits) -> TrainingData:
    """Return training data with the soft labels of a trained network.

    Args:
        network: The teacher, which is changed: its BatchNorm is merged into its convolutions.
        data: The training images.
        config: The recipe.
        splits: Means and standard deviations of the images.
    """
    fold_batchnorm(network.to(data.labels.device))
    return with_soft_labels(data, final_logits(network), splits=splits, label_smoothing=config.label_smoothing)


def taught_by_trained(
    folder: RunFolder, data: TrainingData, config: FinalTrainingConfig, *, problem: Problem, progress: RunProgress
) -> TrainingData:
    """Return training data with the outputs of a network trained before; unchanged if the recipe has no such teacher.

    Args:
        folder: The run folder.
        data: The training images.
        config: The recipe.
        problem: Means, standard deviations and augmentation.
        progress: Shows which network teaches.

    Raises:
        UsageError: If the run folder has no such network.
        NetworkFileError: If its file is damaged.
    """
    if config.teacher is None or config.teacher.network is None:
        return data
    path = folder.trained / config.teacher.network / NETWORK_FILE
    if not path.exists():
        known = sorted(file.parent.name for file in folder.trained.glob(f"*/{NETWORK_FILE}"))
        raise UsageError(
            f"final_training.teacher.network: {folder.trained} has no trained network {config.teacher.network}; "
            + (f"it has {', '.join(known[:MOST_NAMED])}" if known else "train one with `aebnas-bo train`")
        )
    network, description = load_network(path, trusts_code=True)
    progress.message(f"teacher: {path.parent.name}, {description.validation.accuracy:.1f} % validation accuracy")
    return taught_by(network, data, config, splits=problem.splits)


def largest_teacher(supernet: WeightSharing, problem: Problem) -> Teacher:
    """Return the final classifier of the largest network that the supernet was trained on.

    Args:
        supernet: The trained supernet.
        problem: Network space, training settings and the images for BatchNorm statistics.
    """
    largest = extract(supernet, largest_trained(problem))
    splits = problem.splits
    images = normalize(splits.calibration.images, splits.mean, splits.std, device=problem.device)
    calibrate_batchnorm(largest, images, CALIBRATION_BATCH)
    return final_logits(largest)


def check_teacher(
    teacher: Teacher,
    architecture: Architecture,
    recipe: FinalTrainingConfig,
    *,
    problem: Problem,
    data: TrainingData,
    seed: int,
) -> TeacherCheck:
    """Compare a teacher with its student, which trains alone for an eighth of its epochs with a separate schedule.

    Args:
        teacher: The teacher.
        architecture: The student.
        recipe: Training recipe of the student.
        problem: Skeleton of the space and validation images.
        data: The training images.
        seed: Seed of the training.
    """
    epochs = max(round(PROBE_SHARE * recipe.epochs), 1)
    alone = recipe.model_copy(update={"epochs": epochs, "processes": 1, "teacher": None})
    student = train_from_scratch(architecture, problem.space.skeleton, data, config=alone, seed=seed)
    device, splits = data.labels.device, problem.splits
    labels = splits.validation.labels

    def batches() -> Iterator[Tensor]:
        return splits.normalized_batches(splits.validation.images, CALIBRATION_BATCH, device=device)

    teacher_logits = torch.cat([teacher(batch) for batch in batches()])
    student_logits = output_logits(student, batches())[-1]
    teacher_accuracy, student_accuracy = (_accuracy(logits, labels) for logits in (teacher_logits, student_logits))
    share = (student_accuracy / 100.0 * len(labels) + 1.0) / (len(labels) + 2.0)
    return TeacherCheck(
        teacher=teacher_accuracy,
        student=student_accuracy,
        student_epochs=epochs,
        sem=100.0 * (share * (1.0 - share) / len(labels)) ** 0.5,
    )


def stored_check(path: Path, fingerprint: str, check: Callable[[], TeacherCheck]) -> TeacherCheck:
    """Return the stored check of a training, or make and store it, so that a resumed training uses the same result.

    Args:
        path: JSON file in the training's folder.
        fingerprint: Fingerprint of the training.
        check: Function that makes the check.
    """
    with suppress(CorruptStateError, ValidationError):  # missing or damaged
        document = read_sealed(path, "")
        if document.pop("fingerprint", None) == fingerprint:
            return TypeAdapter(TeacherCheck).validate_python(document)
    made = check()
    write_sealed(path, {"fingerprint": fingerprint, **asdict(made)})
    return made


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return 100.0 * float((logits.argmax(dim=-1).cpu() == labels.cpu()).double().mean())
