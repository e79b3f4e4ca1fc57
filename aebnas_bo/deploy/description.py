"""Description in a network file: everything needed to use the network without its run folder."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from aebnas_bo.data.picture_conversion import PictureConversion
from aebnas_bo.deploy.network_limits import MOST_SIDE, MOST_TEXT_BYTES, check_network
from aebnas_bo.deploy.per_class_accuracy import ClassPredictions
from aebnas_bo.early_exit.settings import ConfidenceName, ExitRule
from aebnas_bo.errors import AebnasError, first_problem
from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.storage.frozen_model import FrozenModel

FINAL = "final"
KEPT_SHARE = 0.99  # of the accuracy of a given backbone; a network that reaches it keeps the accuracy

Percent = Annotated[float, Field(ge=0.0, le=100.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class NetworkFileError(AebnasError, ValueError):
    """Raised if a network file is damaged, of another version, or not written by this package."""

    exit_code = 7


class Output(FrozenModel):
    """Output of a network: an exit or the final classifier.

    Args:
        name: `exit1`, `exit2` ... by its position in the search space, or `final`.
        threshold: Confidence from which images leave here; null for the last output, which takes all remaining images.
        temperature: Divisor of the logits before confidence is measured.
        weights: Weights of the logits of each output in use up to this one, whose sum are the logits that prediction
            and confidence follow; temperatures are included. Empty if the output predicts alone.
        macs: MACs of an image that leaves here, including the branches of earlier exits.
        macs_without_passed: MACs without the branches of earlier exits, as NACHOS and EDANAS count.
    """

    name: Annotated[str, Field(pattern=r"^(exit[1-9][0-9]*|final)$")]
    threshold: Share | None
    temperature: Annotated[float, Field(gt=0.0)] = 1.0
    weights: tuple[Annotated[float, Field(ge=0.0)], ...] = ()
    macs: Annotated[int, Field(gt=0)]
    macs_without_passed: Annotated[int, Field(gt=0)]

    @property
    def position(self) -> int:
        """Position of the exit in the search space, from 0."""
        return int(self.name.removeprefix("exit")) - 1

    @property
    def is_final(self) -> bool:
        """Whether it is the final classifier."""
        return self.name == FINAL

    @property
    def title(self) -> str:
        """Display name of the output."""
        if self.is_final:
            return "final classifier"
        return self.name if self.threshold is not None else f"{self.name}, where the network ends"


class OutputFigures(FrozenModel):
    """Figures of one output on a split.

    Args:
        name: As in `Output`.
        exit_rate: Fraction of images that leave here.
        accuracy: Top-1 accuracy in percent if every image left here.
        accuracy_of_leaving: Top-1 accuracy in percent of the images that leave here; null if none does.
        calibration_error: Expected calibration error in percent of the largest softmax probability, or of the learned
            confidence if there is one, after temperature scaling if it is on.
    """

    name: str
    exit_rate: Share
    accuracy: Percent
    accuracy_of_leaving: Percent | None
    calibration_error: Percent


class Figures(FrozenModel):
    """Figures of a network on one split.

    Args:
        images: Number of images.
        accuracy: Top-1 accuracy in percent at the network's thresholds.
        accuracy_sem: Its binomial standard error.
        average_macs: Mean MACs per image in millions, including the branches of earlier exits.
        average_macs_without_passed: Mean MACs per image in millions without the branches of earlier exits (NACHOS,
            EDANAS).
        worst_case_macs: MACs in millions of an image that does not exit early.
        outputs: Figures of each output.
        by_class: Predictions by class; null in files of earlier versions.
    """

    images: Annotated[int, Field(ge=1)]
    accuracy: Percent
    accuracy_sem: Percent
    average_macs: Annotated[float, Field(gt=0.0)]
    average_macs_without_passed: Annotated[float, Field(gt=0.0)]
    worst_case_macs: Annotated[float, Field(gt=0.0)]
    outputs: tuple[OutputFigures, ...]
    by_class: ClassPredictions | None = None


class Origin(FrozenModel):
    """Provenance of a network.

    Args:
        study: Name of the study.
        dataset: Name of the data set.
        train_images: Number of training images.
        seed: Seed of the final training.
        epochs: Epochs of the final training.
        start: Initial weights: those of the `supernet`, or random ones (`scratch`).
        version: Version of aebnas_bo.
        fingerprint: Hash of everything the weights depend on.
        recipe: Short hash of the training settings; empty in files of earlier versions.
    """

    study: str
    dataset: str
    train_images: int
    seed: int
    epochs: int
    start: str
    version: str
    fingerprint: str
    recipe: str = ""


class Original(FrozenModel):
    """Given backbone as it was before exits were attached.

    Args:
        validation_accuracy: Top-1 accuracy in percent on the validation images.
        test_accuracy: Top-1 accuracy in percent on the test images.
        macs: Its MACs in millions.
    """

    validation_accuracy: Percent
    test_accuracy: Percent
    macs: Annotated[float, Field(gt=0.0)]


class NetworkDescription(FrozenModel):
    """Early-exit network without its weights.

    Args:
        format_version: Version of this description.
        key: Key of the architecture.
        architecture: The network.
        skeleton: The fixed part of its space.
        class_names: Names of the `K` classes, by label.
        image_size: Side in pixels of the training images; pictures are resized to it.
        picture_conversion: Conversion of pictures to bytes during training; in files of earlier versions transparent
            parts kept the colour that was stored below them.
        mean: Mean of each channel in [0, 1], for normalisation.
        std: Standard deviation of each channel in [0, 1], for normalisation.
        confidence: Confidence measure.
        exit_rule: Exit rule, which determines the value compared with thresholds.
        outputs: Outputs in use in order, without exits that tuning switched off. The last output is the final
            classifier, or an exit at which the network ends; later layers are not run.
        estimated_accuracy: Validation accuracy in percent as estimated by the search; null for plain networks, which
            are not searched, and after a brief search, whose estimates rank nothing.
        validation: Figures on the validation images, on which thresholds were tuned.
        test: Figures on the test images.
        origin: Provenance of the network.
        earlier_test_looks: Number of other networks of the study measured on the test images before this one, counting
            seeds, recipes and thresholds; null in files of earlier versions.
        original: The given backbone to which exits were attached; null where the backbone was searched.
    """

    format_version: Literal[1] = 1
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    architecture: Architecture
    skeleton: Skeleton
    class_names: Annotated[tuple[str, ...], Field(min_length=2)]
    image_size: Annotated[int, Field(ge=1, le=MOST_SIDE)]
    picture_conversion: PictureConversion = PictureConversion(background=None)
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0.0)], ...]
    confidence: ConfidenceName
    exit_rule: ExitRule
    outputs: Annotated[tuple[Output, ...], Field(min_length=1)]
    estimated_accuracy: Percent | None
    validation: Figures
    test: Figures
    origin: Origin
    earlier_test_looks: Annotated[int, Field(ge=0)] | None = None
    original: Original | None = None

    @property
    def num_classes(self) -> int:
        """Number of classes, `K`."""
        return len(self.class_names)

    @property
    def has_ensemble(self) -> bool:
        """Whether an output predicts together with those before it."""
        return any(output.weights for output in self.outputs)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Threshold of each exit in use."""
        return tuple(output.threshold for output in self.outputs[:-1] if output.threshold is not None)

    @property
    def kept_text(self) -> str:
        """What is kept of a given backbone's accuracy, and at which share of its MACs; empty without one."""
        original = self.original
        if original is None or original.test_accuracy == 0:
            return ""
        kept, share = self.test.accuracy / original.test_accuracy, self.test.average_macs / original.macs
        return (
            f"keeps {100 * kept:.1f} % of the original accuracy ({self.test.accuracy:.1f} of "
            f"{original.test_accuracy:.1f} % of the test images) at {100 * share:.0f} % of its average MACs"
        )

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_network(self.architecture, self.skeleton)
        if self.architecture.key != self.key:
            raise ValueError(f"the architecture has the key {self.architecture.key}, but the file states {self.key}")
        if len(self.class_names) != self.skeleton.num_classes:
            raise ValueError(f"expected {self.skeleton.num_classes} class names, got {len(self.class_names)}")
        if not len(self.mean) == len(self.std) == self.skeleton.in_channels:
            raise ValueError(
                f"expected a mean and a standard deviation for each of {self.skeleton.in_channels} channels"
            )
        if self.confidence == "learned" and not self.skeleton.has_learned_confidence:
            raise ValueError("the confidence is learned, but no exit has an output for it")
        *others, last = self.outputs
        for figures in (self.validation, self.test):
            if figures.by_class is not None and len(figures.by_class.images) != self.num_classes:
                raise ValueError(f"predictions by class must have {self.num_classes} classes")
        positions = [output.position for output in self.outputs if not output.is_final]
        is_known = set(positions) <= set(self.architecture.active_exits)
        if any(output.is_final for output in others) or positions != sorted(set(positions)) or not is_known:
            raise ValueError(
                "outputs must be exits of the architecture in order, and the final classifier only the last"
            )
        if last.threshold is not None or any(output.threshold is None for output in others):
            raise ValueError("every output except the last must have a threshold")
        if any(output.weights and len(output.weights) != number for number, output in enumerate(self.outputs, start=1)):
            raise ValueError("an output must have a weight for itself and for each output before it, or no weights")
        if any(output.weights and output.temperature != 1.0 for output in self.outputs):
            raise ValueError("an output with weights must have a temperature of 1, because they include it")
        if self.has_ensemble and self.skeleton.has_learned_confidence:
            raise ValueError("outputs cannot have weights where confidence is learned")
        names = [output.name for output in self.outputs]
        if any([one.name for one in figures.outputs] != names for figures in (self.validation, self.test)):
            raise ValueError("figures must match the outputs in use, in their order")
        return self

    def to_json(self) -> str:
        """Return the description as JSON."""
        return self.model_dump_json(indent=2)

    @classmethod
    def from_json(cls, text: str, origin: str) -> Self:
        """Read a description.

        Args:
            text: Output of `to_json`.
            origin: Name of the file, for messages.

        Raises:
            NetworkFileError: If it is of another version, incomplete, too large or contradicts itself.
        """
        if len(text) > MOST_TEXT_BYTES:
            raise NetworkFileError(
                f"{origin} describes a network in {len(text):,} bytes, more than {MOST_TEXT_BYTES:,}"
            )
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            if first["loc"] == ("format_version",):
                raise NetworkFileError(
                    f"{origin} was written by another version (format {str(first['input'])[:20]}, this one reads "
                    "1); export the network again with this version"
                ) from error
            raise NetworkFileError(
                f"{origin} has no valid description of a network ({first_problem(error)}); export the network again"
            ) from error
