"""Every setting of a run, with its type, range and default; reading them from files is `config_loading`'s job."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from aebnas_bo.config_section import Section
from aebnas_bo.search_config import SearchConfig
from aebnas_bo.space.declaration import NetworkSpaceDeclaration

Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]
DatasetName = Literal["digits", "cifar10", "cifar100", "svhn", "imagefolder"]
Precision = Literal["auto", "float32", "bfloat16"]
ConfidenceName = Literal["score_margin", "max_softmax", "negative_entropy", "learned"]
ExitRule = Literal["each", "cumulative"]
Padding = Annotated[int, Field(ge=0, le=32)]
PositiveCount = Annotated[int, Field(ge=1, le=10000)]
MixingAlpha = Annotated[float, Field(ge=0.0, le=10.0)]
TeacherSource = Literal["network", "supernet"]
TRANSFORMS = ("crop_padding", "horizontal_flip", "trivial_augment", "mixup_alpha", "cutmix_alpha")  # while training


class DataConfig(Section):
    """Which images, and how they are split.

    Args:
        dataset: Name of the data set.
        root: Folder (for `imagefolder` also a `.tar`, `.tar.gz` or `.tar.xz` archive) that holds it; a relative
            path counts from the configuration file. Not used by `digits`.
        download: Whether torchvision may download the data set into `root`.
        image_size: Side in pixels to which every image is resized once on loading; null keeps the native size
            (`imagefolder` needs it).
        max_classes: Use only the first classes, in the order of their names; null for all. Only `imagefolder`.
        max_train_images: Stratified subset of the training images to use; null for all.
        max_test_images: Likewise of the test images.
        calibration_fraction: Share of the training images kept for temperatures and for the BatchNorm statistics of
            networks with the supernet's weights.
        validation_fraction: Share of the training images kept for search and thresholds.
        test_fraction: Share of all images kept for testing; only for data sets without a test split (`digits`).
        group_pattern: Regular expression with one group, searched in the path of each training image below the folder
            of its class. Images of one class that agree in what the group matches, such as the frames of one video
            (`'^([0-9]+)_'` for names like 00026_00005.jpg), stay in one split; the fractions then count groups. Null
            splits image by image. Only `imagefolder`.
        split_seed: Seed of the split, apart from the run's seed so that test images stay the same.
        crop_padding: Random shifts by up to this many pixels while training.
        horizontal_flip: Random mirror images while training.
        trivial_augment: Whether training batches pass torchvision's `TrivialAugmentWide`, in groups.
        mixup_alpha: Parameter of torchvision's `MixUp` on training batches; 0 for none.
        cutmix_alpha: Parameter of torchvision's `CutMix` likewise; with both, each batch takes one of them at random.
    """

    dataset: DatasetName = "digits"
    root: str | None = None
    download: bool = False
    image_size: Annotated[int, Field(ge=4, le=512)] | None = None
    max_classes: Annotated[int, Field(ge=2)] | None = None
    max_train_images: Annotated[int, Field(ge=10)] | None = None
    max_test_images: Annotated[int, Field(ge=10)] | None = None
    calibration_fraction: Fraction = 0.1
    validation_fraction: Fraction = 0.25
    test_fraction: Fraction = 0.15
    group_pattern: str | None = None
    split_seed: Annotated[int, Field(ge=0)] = 0
    crop_padding: Padding = 0
    horizontal_flip: bool = False
    trivial_augment: bool = False
    mixup_alpha: MixingAlpha = 0.0
    cutmix_alpha: MixingAlpha = 0.0

    @model_validator(mode="after")
    def _check(self) -> DataConfig:
        if self.calibration_fraction + self.validation_fraction >= 0.9:
            raise ValueError(
                "calibration_fraction + validation_fraction must leave at least a tenth for training, got "
                f"{self.calibration_fraction} + {self.validation_fraction}"
            )
        if self.dataset != "digits" and self.root is None:
            raise ValueError(f"{self.dataset} needs data.root: the folder of the images (--set data.root=FOLDER)")
        if self.dataset == "imagefolder" and self.image_size is None:
            raise ValueError("imagefolder needs data.image_size: the side in pixels all images are resized to")
        for name in ("max_classes", "group_pattern"):
            if self.dataset != "imagefolder" and getattr(self, name) is not None:
                raise ValueError(f"{name} needs image files; set dataset: imagefolder or {name}: null")
        return self

    @field_validator("group_pattern")
    @classmethod
    def _check_pattern(cls, pattern: str | None) -> str | None:
        try:
            count = 1 if pattern is None else re.compile(pattern).groups
        except re.error as error:
            raise ValueError(
                f"expected a regular expression ({error}); write a backslash before a character meant literally"
            ) from error
        if count != 1:
            raise ValueError(
                f"expected one group in parentheses, such as '^(.*)_', found {count}; write (?:...) where parentheses "
                "only join"
            )
        return pattern


class JointLossConfig(Section):
    """Classes and learned confidences trained together (NACHOS); the terms are explained in `training/joint_loss.py`.

    Args:
        class_weight: Weight of the classes' term; that of the confidences is 1.
        cost_weight: Weight of expected MACs above the budget; 0 leaves the term out.
        peak_weight: Weight of confidences' distance from what each exit gets right of each class; 0 leaves it out.
        max_macs: Budget of the expected MACs in millions; null takes `search.max_average_macs` or, without that, the
            geometric mean of the space's cheapest and most expensive backbone.
        support_fraction: Share of the training images, equally many of each class but no more than half of any, that
            say what exits get right. Weights are not trained on them. Only taken where `peak_weight` is not 0.
    """

    class_weight: Annotated[float, Field(gt=0.0, le=100.0)] = 1.0
    cost_weight: Annotated[float, Field(ge=0.0, le=100.0)] = 1.0
    peak_weight: Annotated[float, Field(ge=0.0, le=100.0)] = 1.0
    max_macs: Annotated[float, Field(gt=0.0)] | None = None
    support_fraction: Fraction = 0.1


class TrainingConfig(Section):
    """What training a supernet and training one network have in common.

    Args:
        epochs: Passes over the training split. Where a configuration names images and sets no epochs, few images get
            more than many: 300,000 divided by their number for supernets (15 to 100), 800,000 for final trainings (60
            to 200).
        batch_size: Images per step.
        learning_rate: Peak of the warm-up and cosine schedule.
        warmup_epochs: Epochs of linear warm-up.
        momentum: Nesterov momentum of SGD.
        weight_decay: L2 penalty on weights that are not biases or BatchNorm parameters.
        label_smoothing: Label smoothing of the cross-entropy.
        exit_weights: Loss weights, one per exit position of the space, then the final classifier's; null weighs all
            alike. Those of a network's outputs are divided by their mean, so that no exit slows the others.
        exit_distillation: Whether early exits also learn from the final exit of their own network.
        joint_loss: Trains learned confidences too, in place of the weighted cross-entropies; null does not.
        ema_decay: Decay per step of the average of the weights that replaces them in the end; 0 for none.
        gradient_clip: Maximal gradient norm of a step.
        max_rollbacks: How often a non-finite loss may roll training back before it stops.
        precision: Number format of the forward pass; auto is bfloat16 on CUDA, float32 on the CPU.
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
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    gradient_clip: Annotated[float, Field(gt=0.0)] = 5.0
    max_rollbacks: Annotated[int, Field(ge=0, le=20)] = 3
    precision: Precision = "auto"

    def with_transforms(self, data: DataConfig) -> DataConfig:
        """Return the settings of the images with the transforms this training gives them."""
        return data


class SupernetConfig(TrainingConfig):
    """How the weight-sharing supernet is trained; the losses of a step's networks are added.

    Args:
        sandwich: Whether every step takes the largest and the smallest network; else random ones in their place.
        random_subnets: Random sub-networks per step beside those two.
        distillation: Whether all other networks learn from the largest one's final exit in place of the labels.
        balanced_branches: Whether every choice of a branch is trained as often as every other, at any backbone.
        stratified: Whether random networks are spread evenly over log MACs; else every choice is drawn uniformly.
        max_macs: Most MACs in millions, up to the final classifier, of a network that is trained, the teacher
            included. Null takes two and a half times `search.max_average_macs` and, where that is null too, the whole
            space. Needs `stratified`.
        cache: Whether an equally configured supernet trained before is reused.
    """

    epochs: Annotated[int, Field(ge=1, le=10000)] = 30
    batch_size: Annotated[int, Field(ge=2, le=8192)] = 32
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] = 0.2
    sandwich: bool = True
    random_subnets: Annotated[int, Field(ge=0, le=16)] = 2
    distillation: bool = True
    balanced_branches: bool = True
    stratified: bool = True
    max_macs: Annotated[float, Field(gt=0.0)] | None = None
    cache: bool = True

    @model_validator(mode="after")
    def _check(self) -> SupernetConfig:
        if self.distillation and not self.sandwich:
            raise ValueError(
                "distillation needs the sandwich rule, whose largest network is the teacher; set sandwich: true or "
                "distillation: false"
            )
        if self.max_macs is not None and not self.stratified:
            raise ValueError("max_macs chooses among stratified draws; set stratified: true or max_macs: null")
        if self.distillation and self.joint_loss is not None:
            raise ValueError(
                "by joint_loss the final exit learns from the images that get there alone, which makes it no teacher; "
                "set distillation: false"
            )
        return self


class TeacherConfig(Section):
    """Network whose answers a final training learns from, in equal parts with the labels.

    Args:
        source: `network` is a plain network without exits, trained first by the same recipe from labels alone.
            `supernet` is the largest network that the supernet was trained on; it is used only if it is more accurate
            than the trained network itself after a short training.
        macs: MACs in millions of the plain network. Null takes twice `search.max_average_macs` or, where that is null
            too, twice the MACs of the trained network.
        epochs: Epochs of the plain network's training; null takes `final_training.epochs`.
    """

    source: TeacherSource = "network"
    macs: Annotated[float, Field(gt=0.0)] | None = None
    epochs: Annotated[int, Field(ge=1, le=10000)] | None = None

    @model_validator(mode="after")
    def _check(self) -> TeacherConfig:
        if self.source == "supernet" and (self.macs is not None or self.epochs is not None):
            raise ValueError("macs and epochs describe the source network; set source: network, or leave them out")
        return self


class FinalTrainingConfig(TrainingConfig):
    """The final recipe: how one network is trained to the end, all its exits together.

    Args:
        start: Whether training begins with the network's weights in the `supernet` or from `scratch`.
        teacher: Network whose answers are learned too; null learns from labels alone.
        train_on_validation: Whether images that only the search needed are trained on too: the calibration images and
            three quarters of the validation images; thresholds are tuned on the others.
        compile: Whether `torch.compile` may speed up training on CUDA.
        plain_baseline: Whether `aebnas-bo train` also trains a plain network of equal average MACs by this recipe, from
            scratch; the supernet does not teach it.
        crop_padding: As in `data`, whose value null takes; like those that follow.
        horizontal_flip: Likewise.
        trivial_augment: Likewise.
        mixup_alpha: Likewise.
        cutmix_alpha: Likewise.
    """

    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] = 0.4
    start: Literal["supernet", "scratch"] = "scratch"
    teacher: TeacherConfig | None = None
    train_on_validation: bool = True
    compile: bool = True
    plain_baseline: bool = True
    crop_padding: Padding | None = None
    horizontal_flip: bool | None = None
    trivial_augment: bool | None = None
    mixup_alpha: MixingAlpha | None = None
    cutmix_alpha: MixingAlpha | None = None

    @property
    def teacher_source(self) -> TeacherSource | None:
        """What kind of network teaches; `None` for none."""
        return None if self.teacher is None else self.teacher.source

    def with_transforms(self, data: DataConfig) -> DataConfig:
        """Return the settings of the images with this recipe's transforms in the place of theirs."""
        own = {name: getattr(self, name) for name in TRANSFORMS}
        return data.model_copy(update={name: value for name, value in own.items() if value is not None})


class FidelityConfig(Section):
    """The study that compares the supernet's estimates with networks trained alone.

    Args:
        num_architectures: Networks drawn and trained.
        band: Lowest and highest average MACs in millions, as estimated at the thresholds drawn, of all networks; null
            draws networks of all costs. Accuracy grows with MACs: a narrow band shows what estimates add to that.
        top_k: Sizes of the short lists whose regret is reported.
        bootstrap_samples: Resamples behind the 95 % intervals.
    """

    num_architectures: Annotated[int, Field(ge=4, le=1000)] = 24
    band: tuple[float, float] | None = None
    top_k: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (1, 3, 5)
    bootstrap_samples: Annotated[int, Field(ge=100, le=100000)] = 2000

    @field_validator("band", mode="before")
    @classmethod
    def _check_band(cls, band: object) -> object:
        ends = tuple(band) if isinstance(band, list | tuple) else ()
        is_pair = len(ends) == 2 and all(type(end) in (int, float) for end in ends)
        if band is None or (is_pair and 0.0 < ends[0] < ends[1]):
            return ends or None
        got = f", got {list(ends)}" if isinstance(band, list | tuple) else ""  # config_loading adds other values
        raise ValueError(f"expected [low, high] in millions of average MACs with 0 < low < high, or null{got}")


class ShortlistConfig(Section):
    """Short trainings that decide which networks of a search are trained to the end (successive halving).

    Args:
        rungs: Networks and epochs of each rung, for example `[[8, 8], [3, 20]]`: eight networks for 8 epochs, the best
            three of them for 20. Rungs are trained as `final_training` says, from fresh weights and without a teacher.
        budgets: Budgets of average MACs that networks are chosen for, evenly on a logarithmic scale down to a tenth of
            the highest, but not below the cheapest network found. Only of runs with a time budget; `aebnas-bo train
            --shortlist` serves the goal it is given.
    """

    rungs: Annotated[tuple[tuple[PositiveCount, PositiveCount], ...], Field(min_length=1)] = ((8, 8), (3, 20))
    budgets: Annotated[int, Field(ge=1, le=16)] = 3

    @model_validator(mode="after")
    def _check(self) -> ShortlistConfig:
        counts = [count for count, _ in self.rungs]
        if counts != sorted(counts, reverse=True):
            raise ValueError(f"rungs must not grow in networks, got {counts}")
        return self


class TuningConfig(Section):
    """What thresholds are tuned for, network by network, where the space leaves them out (`threshold: null`).

    Args:
        goal: `target_macs`: accuracy less a tenth of a point for every percent above a target of average MACs (a
            cheaper network is not punished); `max_macs`: the highest accuracy at no more average MACs; `min_accuracy`:
            the least average MACs at no less accuracy.
        value: Average MACs in millions, or accuracy in percent; null takes `search.max_average_macs` or
            `search.min_accuracy`, and without these, of MACs, the geometric mean of the space's cheapest and most
            expensive backbone.
        may_switch_off: Whether an exit may be switched off, which saves its branch, and the network may end at an exit,
            which saves all that lies behind it.
    """

    goal: Literal["target_macs", "max_macs", "min_accuracy"] = "target_macs"
    value: Annotated[float, Field(gt=0.0)] | None = None
    may_switch_off: bool = False


class EstimationConfig(Section):
    """How an architecture is measured.

    Args:
        confidence: Measure of an exit's confidence, in [0, 1]; `learned` needs `space.learned_confidence`.
        exit_rule: What thresholds are held against: `each` exit's confidence, or the `cumulative` probability, exits
            taken for independent, that this exit or one before it is to be left (NACHOS).
        temperature_scaling: Whether each output's logits are divided by a temperature that makes its confidences fit
            its accuracy on the calibration images; errors before and after are noted with every network.
        batch_size: Images per forward pass; results do not depend on it.
        further_settings: Most non-dominated settings of the thresholds that are noted with every evaluated network
            beside the proposed one; 0 for none. Only where thresholds are continuous parameters.
        tuning: How thresholds are tuned where they are no parameters.
        latency_table: Table that `aebnas-bo latency-table` measured, on this machine or another; a relative path counts
            from the configuration file. Null measures one as a run begins. Only where `latency_ms` is an objective.
    """

    confidence: ConfidenceName = "score_margin"
    exit_rule: ExitRule = "each"
    temperature_scaling: bool = False
    batch_size: Annotated[int, Field(ge=1, le=8192)] = 256
    further_settings: Annotated[int, Field(ge=0, le=64)] = 4
    tuning: TuningConfig = TuningConfig()
    latency_table: str | None = None


class Config(Section):
    """A whole run.

    Args:
        name: Name of the study; names its run folder.
        seed: Seed of training, design and proposals.
        device: Where networks run.
        num_threads: CPU threads of training and evaluation; proposals always use one.
        time_budget: Minutes that a run may take from start to trained networks; it divides them between supernet,
            search, short list and final trainings, in place of `supernet.epochs`, `search.budget`, the epochs of
            `shortlist.rungs` and `final_training.epochs`. Null searches `search.budget` trials and trains no network.
    """

    name: Annotated[str, Field(min_length=1, max_length=80)] = "digits"
    seed: Annotated[int, Field(ge=0, le=2**32)] = 0
    device: Literal["cpu", "cuda", "auto"] = "auto"
    num_threads: Annotated[int, Field(ge=1, le=256)] = 1
    time_budget: Annotated[float, Field(gt=0.0, le=100000.0)] | None = None
    data: DataConfig = DataConfig()
    space: NetworkSpaceDeclaration
    supernet: SupernetConfig = SupernetConfig()
    final_training: FinalTrainingConfig = FinalTrainingConfig()
    estimation: EstimationConfig = EstimationConfig()
    shortlist: ShortlistConfig = ShortlistConfig()
    fidelity: FidelityConfig = FidelityConfig()
    search: SearchConfig = SearchConfig()

    @model_validator(mode="after")
    def _check(self) -> Config:
        if self.estimation.confidence == "learned" and not self.space.learned_confidence:
            raise ValueError(
                "estimation.confidence: learned needs exits with such an output; set space.learned_confidence: true"
            )
        if self.estimation.confidence == "learned" and self.supernet.joint_loss is None:
            raise ValueError("estimation.confidence: learned needs a loss that trains it; set supernet.joint_loss: {}")
        expected = len(self.space.exits) + 1
        for name, training in (("supernet", self.supernet), ("final_training", self.final_training)):
            weights = training.exit_weights
            if training.joint_loss is not None and not self.space.learned_confidence:
                raise ValueError(
                    f"{name}.joint_loss trains confidences: set space.learned_confidence: true, or no {name}.joint_loss"
                )
            if training.joint_loss is not None and (weights is not None or training.exit_distillation):
                raise ValueError(
                    f"{name}.joint_loss weighs outputs itself; set {name}.exit_weights: null and "
                    f"{name}.exit_distillation: false"
                )
            if weights is not None and (len(weights) != expected or not weights[-1] > 0):
                raise ValueError(
                    f"{name}.exit_weights: expected one weight per exit position and a positive one for the final "
                    f"classifier, {expected} in all, got {list(weights)}"
                )
        return self
