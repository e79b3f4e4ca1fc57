"""Settings of training: those shared by supernets and single networks, and the final recipe."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from aebnas_bo.data.settings import AugmentationConfig, Fraction
from aebnas_bo.storage.frozen_model import Affects, Effect, Section

Precision = Literal["auto", "float32", "bfloat16"]
TeacherSource = Literal["network", "supernet", "original", "trained"]


class JointLossConfig(Section):
    """Joint training of classes and learned confidences (NACHOS); `training/joint_loss.py` explains the terms.

    Args:
        class_weight: Weight of the classes' term; that of the confidences is 1.
        cost_weight: Weight of expected MACs above the budget; 0 leaves the term out.
        peak_weight: Weight of the distance of confidences from per-class exit accuracies; 0 leaves it out.
        max_macs: Budget of the expected MACs in millions; null takes `search.max_average_macs` or, without that, the
            geometric mean of the space's cheapest and most expensive backbone.
        support_fraction: Fraction of training images held out to estimate per-class exit accuracies, equally many of
            each class, but at most half of each. Only used if `peak_weight` is not 0.
    """

    class_weight: Annotated[float, Field(gt=0.0, le=100.0)] = 1.0
    cost_weight: Annotated[float, Field(ge=0.0, le=100.0)] = 1.0
    peak_weight: Annotated[float, Field(ge=0.0, le=100.0)] = 1.0
    max_macs: Annotated[float, Field(gt=0.0)] | None = None
    support_fraction: Fraction = 0.1


class TrainingConfig(Section):
    """Settings shared by supernet training and final training.

    Args:
        epochs: Passes over the training split. If a configuration names images and sets no epochs, they depend on the
            number of images: 300,000 divided by it for supernets (15 to 100), 800,000 divided by it for final trainings
            (60 to 200); with a given backbone 100,000 (2 to 30) and 200,000 (4 to 40).
        batch_size: Images per step.
        learning_rate: Peak of the warm-up and cosine schedule.
        warmup_epochs: Epochs of linear warm-up.
        momentum: Nesterov momentum of all optimisers.
        weight_decay: L2 penalty on weights that are not biases or BatchNorm parameters and not trained by Muon.
        label_smoothing: Label smoothing of the cross-entropy.
        exit_weights: Loss weights, one per exit position of the space, then the final classifier's; null gives equal
            weights. Weights of a network's outputs are divided by their mean, so that the number of exits does not
            change the scale of the loss.
        exit_distillation: Whether early exits also learn from the final exit of their own network.
        joint_loss: Trains learned confidences too, in place of the weighted cross-entropies; null does not.
        class_weights: `balanced` weighs the loss of each image by the inverse frequency of its class among the training
            images, so that rare classes count as much as common ones; null weighs all images alike.
        ema_decay: Decay per step of the average of the weights that replaces them in the end; 0 for none.
        gradient_clip: Maximal gradient norm of a step. Muon's steps have the same length at any norm.
        max_rollbacks: Maximum number of roll-backs after a non-finite loss before training stops.
        processes: Processes that train together, each on an equal share of every batch (`DistributedDataParallel`), on
            CUDA with a GPU each. Their gradients are averaged. Results depend on the number. Only the supernet and
            final trainings; short trainings have one.
        synchronized_batch_norm: Whether BatchNorm normalises by the statistics of the whole batch when several
            processes train; otherwise each process normalises its share, which should have at least 16 images.
        precision: Number format of the forward pass; auto is bfloat16 on CUDA, float32 on the CPU.
        augmentation: Augmentation of this training; null takes the study's section `augmentation`, which also completes
            missing settings.
    """

    epochs: Annotated[int, Field(ge=1, le=10000)] = 80
    batch_size: Annotated[int, Field(ge=2, le=8192)] = 64
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] = 0.05
    warmup_epochs: Annotated[float, Field(ge=0.0)] = 2.0
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0001
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    exit_weights: tuple[Annotated[float, Field(ge=0.0)], ...] | None = None
    exit_distillation: bool = False
    joint_loss: JointLossConfig | None = None
    class_weights: Literal["balanced"] | None = None
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    gradient_clip: Annotated[float, Field(gt=0.0)] = 5.0
    max_rollbacks: Annotated[int, Field(ge=0, le=20)] = 3
    processes: Annotated[int, Field(ge=1, le=1024)] = 1
    synchronized_batch_norm: bool = False
    precision: Precision = "auto"
    augmentation: AugmentationConfig | None = None

    @model_validator(mode="after")
    def _check_processes(self) -> Self:
        if self.batch_size % self.processes or self.batch_size < 2 * self.processes:
            raise ValueError(
                f"batch_size: expected a multiple of {self.processes}, the number of processes, and two images in each "
                f"or more, such as {16 * self.processes}; got {self.batch_size}"
            )
        return self


class TeacherConfig(Section):
    """Teacher of a final training, whose outputs are averaged with the labels.

    Args:
        source: `network` is a plain network without exits, trained first by the same recipe on labels only. `supernet`
            is the largest network that the supernet trained; it is used only if it is more accurate than the network
            itself after a short training. `original` is a given backbone with the weights that it was given with.
            `trained` is a network that was trained in this run folder before.
        macs: MACs in millions of the plain network. null takes twice `search.max_average_macs` or, without that, twice
            the MACs of the network.
        epochs: Epochs of the plain network's training; null takes `final_training.epochs`.
        network: Name of the trained network's folder below `RUN/trained/`.
    """

    source: TeacherSource = "network"
    macs: Annotated[float, Field(gt=0.0)] | None = None
    epochs: Annotated[int, Field(ge=1, le=10000)] | None = None
    network: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$", max_length=100)] | None = None

    @model_validator(mode="after")
    def _check(self) -> TeacherConfig:
        if (self.source == "trained") != (self.network is not None):
            raise ValueError(
                "network names the folder of a trained network; set {source: trained, network: FOLDER}, with a folder "
                "of RUN/trained, or leave network out"
            )
        if self.source != "network" and (self.macs is not None or self.epochs is not None):
            raise ValueError("macs and epochs describe the source network; set source: network, or leave them out")
        return self


class FinalTrainingConfig(TrainingConfig):
    """Final training of one network with all its exits.

    Args:
        muon_learning_rate: Peak learning rate of Muon, with the schedule of `learning_rate`. Muon trains the weights of
            convolutions followed by BatchNorm, except depthwise ones, SGD all other weights. null trains all by SGD,
            the default with a given backbone.
        batchnorm_bias_rate: Learning rate of the biases of BatchNorm relative to `learning_rate`; 1 by default with a
            given backbone.
        start: Initial weights: those of the `supernet`, or random ones (`scratch`). With a given backbone the default
            is `supernet`.
        teacher: Teacher for distillation; null trains on labels only.
        backbone_rate: Learning rate of a given backbone relative to that of its branches. 0 keeps its weights;
            otherwise everything is trained, with the BatchNorm statistics of the backbone as they were given.
        train_on_validation: Whether to also train on images reserved for the search: the calibration images and three
            quarters of the validation images, unless these came in a folder of their own; thresholds are tuned on the
            rest.
        exit_ensemble: Whether outputs of trained networks predict together with the exits before them: by a weighted
            sum of logits, with weights fitted on the images for thresholds. Not with learned confidence.
        macs_price: Gain of expected accuracy, in percentage points per factor of e in average MACs, for which the
            thresholds of trained networks spend MACs within a limit; 0 spends them for any gain.
        compile: Whether `torch.compile` may speed up training on CUDA.
        plain_baseline: Whether `aebnas-bo train` also trains a plain network of equal average MACs by this recipe, from
            scratch and without the supernet as teacher.
    """

    affects: ClassVar[Effect] = "trainings"

    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] = 0.4
    muon_learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] | None = 0.03
    batchnorm_bias_rate: Annotated[float, Field(ge=0.0, le=100.0)] = 4.0
    start: Literal["supernet", "scratch"] = "scratch"
    teacher: TeacherConfig | None = None
    backbone_rate: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    train_on_validation: bool = True
    exit_ensemble: Annotated[bool, Affects("figures")] = True
    macs_price: Annotated[float, Field(ge=0.0, le=100.0), Affects("figures")] = 0.2
    compile: Annotated[bool, Affects("machine")] = True
    plain_baseline: Annotated[bool, Affects("nothing")] = True

    @field_validator("teacher", mode="before")
    @classmethod
    def _check_teacher(cls, teacher: object) -> object:
        if isinstance(teacher, str | bool):
            raise ValueError("expected {source: network}, {source: supernet}, {source: original} or null")
        return teacher

    @property
    def teacher_source(self) -> TeacherSource | None:
        """Kind of the teacher; `None` for none."""
        return None if self.teacher is None else self.teacher.source
