"""What a network file says about itself: enough to run the network without the run it came from."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from aebnas_bo.data.picture_conversion import PictureConversion
from aebnas_bo.deploy.network_limits import MOST_SIDE, MOST_TEXT_BYTES, check_network
from aebnas_bo.deploy.per_class_accuracy import ClassAnswers
from aebnas_bo.early_exit.settings import ConfidenceName, ExitRule
from aebnas_bo.errors import AebnasError, first_problem
from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.storage.frozen_model import FrozenModel

FINAL = "final"

Percent = Annotated[float, Field(ge=0.0, le=100.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class NetworkFileError(AebnasError, ValueError):
    """A network file is damaged, of another version, or none of ours."""

    exit_code = 7


class Output(FrozenModel):
    """One place where an image may leave.

    Args:
        name: `exit1`, `exit2` ... by its position in the search space, or `final`.
        threshold: Certainty from which on an image leaves here; null at the last output, which takes every image that
            is left.
        temperature: Divisor of the logits before confidence is measured.
        macs: MACs of an image that leaves here, branches passed on the way included.
        macs_without_passed: The same with this branch alone, as NACHOS and EDANAS count.
    """

    name: Annotated[str, Field(pattern=r"^(exit[1-9][0-9]*|final)$")]
    threshold: Share | None
    temperature: Annotated[float, Field(gt=0.0)] = 1.0
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
        """Its name for readers."""
        if self.is_final:
            return "final classifier"
        return self.name if self.threshold is not None else f"{self.name}, where the network ends"


class OutputFigures(FrozenModel):
    """What one output comes to on images nobody has tuned on.

    Args:
        name: As in `Output`.
        exit_rate: Share of the images that leave here.
        accuracy: Top-1 accuracy in percent if every image left here.
        accuracy_of_leaving: The same of those that do; null if none does.
        calibration_error: Expected calibration error of its largest softmax probability (of a learned confidence: of
            that) in percent, after temperature scaling where that is on.
    """

    name: str
    exit_rate: Share
    accuracy: Percent
    accuracy_of_leaving: Percent | None
    calibration_error: Percent


class Figures(FrozenModel):
    """What a network comes to on one split.

    Args:
        images: Number of images.
        accuracy: Top-1 accuracy in percent at the network's thresholds.
        accuracy_sem: Its binomial standard error.
        average_macs: Mean MACs per image in millions, branches passed on the way charged.
        average_macs_without_passed: The same with only the branch charged where an image leaves (NACHOS, EDANAS).
        worst_case_macs: Millions of MACs of an image that never leaves early.
        outputs: Figures of each output.
        by_class: Answers class by class; null in files of earlier versions.
    """

    images: Annotated[int, Field(ge=1)]
    accuracy: Percent
    accuracy_sem: Percent
    average_macs: Annotated[float, Field(gt=0.0)]
    average_macs_without_passed: Annotated[float, Field(gt=0.0)]
    worst_case_macs: Annotated[float, Field(gt=0.0)]
    outputs: tuple[OutputFigures, ...]
    by_class: ClassAnswers | None = None


class Origin(FrozenModel):
    """Where a network comes from.

    Args:
        study: Name of the study.
        dataset: What its images are called.
        train_images: Images its weights were trained on.
        seed: Seed of the final training.
        epochs: Its epochs.
        start: Whether it began with the weights of the `supernet` or from `scratch`.
        version: Version of aebnas_bo.
        fingerprint: Identifies all that its weights depend on.
        recipe: Short hash of the settings it was trained with; empty in files of earlier versions.
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


class NetworkDescription(FrozenModel):
    """An early-exit network in all but its weights.

    Args:
        format_version: Version of this description.
        key: Key of the architecture.
        architecture: The network.
        skeleton: The fixed part of its space.
        class_names: Names of the `K` classes, by label.
        image_size: Side in pixels of the images it was trained on; pictures are resized to it.
        picture_conversion: How pictures became the bytes it was trained on; in files of earlier versions transparent
            parts kept the colour that was stored below them.
        mean: Mean of each channel in [0, 1], subtracted first.
        std: Standard deviation likewise, divided by then.
        confidence: Measure of an output's confidence.
        exit_rule: What thresholds are held against.
        outputs: Outputs in use in order; exits that tuning switched off are not among them. The last is the final
            classifier, or an exit at which the network ends: nothing behind it is run.
        estimated_accuracy: Accuracy that the search estimated, in percent of the validation images; null of a plain
            network, which is not searched.
        validation: Figures on the images thresholds were tuned on.
        test: Figures on the test images.
        origin: Where it comes from.
        earlier_test_looks: How many other networks of the study had been measured on the test images before, other
            seeds, recipes and thresholds included; null in files of earlier versions.
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

    @property
    def num_classes(self) -> int:
        """Number of classes, `K`."""
        return len(self.class_names)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Threshold of each exit in use."""
        return tuple(output.threshold for output in self.outputs[:-1] if output.threshold is not None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_network(self.architecture, self.skeleton)
        if self.architecture.key != self.key:
            raise ValueError(f"the architecture has the key {self.architecture.key}, the file says {self.key}")
        if len(self.class_names) != self.skeleton.num_classes:
            raise ValueError(f"{self.skeleton.num_classes} classes need as many names, got {len(self.class_names)}")
        if not len(self.mean) == len(self.std) == self.skeleton.in_channels:
            raise ValueError(f"{self.skeleton.in_channels} channels need as many means and deviations")
        if self.confidence == "learned" and not self.skeleton.has_learned_confidence:
            raise ValueError("the confidence is learned, and no exit has an output for it")
        *others, last = self.outputs
        for figures in (self.validation, self.test):
            if figures.by_class is not None and len(figures.by_class.images) != self.num_classes:
                raise ValueError(f"answers class by class must be of {self.num_classes} classes")
        positions = [output.position for output in self.outputs if not output.is_final]
        is_known = set(positions) <= set(self.architecture.active_exits)
        if any(output.is_final for output in others) or positions != sorted(set(positions)) or not is_known:
            raise ValueError(
                "outputs must be exits of the architecture in order, and the final classifier only the last"
            )
        if last.threshold is not None or any(output.threshold is None for output in others):
            raise ValueError("every output but the last has a threshold, the last has none")
        names = [output.name for output in self.outputs]
        if any([one.name for one in figures.outputs] != names for figures in (self.validation, self.test)):
            raise ValueError("figures must be of the outputs in use, in their order")
        return self

    def to_json(self) -> str:
        """Return the description as JSON."""
        return self.model_dump_json(indent=2)

    @classmethod
    def from_json(cls, text: str, origin: str) -> Self:
        """Read a description.

        Args:
            text: What `to_json` gave.
            origin: The file it stands in, for messages.

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
                f"{origin} describes no network of ours ({first_problem(error)}); export the network again"
            ) from error
