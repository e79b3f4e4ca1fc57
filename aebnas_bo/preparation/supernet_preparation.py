"""Preparation of the supernet: loaded from the run folder or the cache, or trained."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from aebnas_bo.config.schema import Config
from aebnas_bo.data.augmentation import Augmentation
from aebnas_bo.data.images import LabelledImages
from aebnas_bo.data.splits import set_aside
from aebnas_bo.data.transforms import normalize
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import ConfigError, CorruptStateError
from aebnas_bo.estimation.cost_objective import LatencyCost
from aebnas_bo.estimation.latency import LatencyPrices
from aebnas_bo.estimation.measuring import MeasuringImages
from aebnas_bo.estimation.settings import EstimationConfig
from aebnas_bo.estimation.supernet_estimator import SharedWeights, SupernetEstimator
from aebnas_bo.estimation.table_store import TableStore
from aebnas_bo.preparation.features import FrozenBackbone, feature_bytes, kept_features, most_images
from aebnas_bo.preparation.fingerprints import capped, measuring_settings, supernet_fingerprint
from aebnas_bo.preparation.forecast import epoch_text, images_text
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.seeding import torch_generator
from aebnas_bo.space.architecture import Architecture, content_key
from aebnas_bo.space.backbone_pool import backbone, backbone_pool
from aebnas_bo.space.macs import MACS_PER_MILLION, millions
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.storage.cache import cached_file, can_keep, keep
from aebnas_bo.storage.count_text import counted
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.supernet.branch_supernet import BranchSupernet
from aebnas_bo.supernet.supernet import Supernet
from aebnas_bo.supernet.supernet_file import load_supernet, save_supernet
from aebnas_bo.supernet.supernet_training import step_networks, train_supernet
from aebnas_bo.supernet.weight_sharing import WeightSharing
from aebnas_bo.training.losses import balanced_weights
from aebnas_bo.training.settings import TrainingConfig
from aebnas_bo.training.training_loop import EpochReport, Recorder, TrainingData

logger = logging.getLogger(__name__)

TrainingT = TypeVar("TrainingT", bound=TrainingConfig)


def prepare_supernet(problem: Problem, folder: RunFolder | None, progress: RunProgress) -> tuple[WeightSharing, str]:
    """Return the trained supernet and its source.

    Args:
        problem: Images, space and training settings.
        folder: Run folder to read from and write to; `None` uses only the cache.
        progress: Shows training.

    Returns:
        The supernet and `run folder`, `cache` or `trained`.

    Raises:
        ConfigError: If the study uses an estimator passed from Python instead of a supernet.
        CorruptStateError: If the run folder's supernet or checkpoint is damaged or of another configuration.
        TrainingDivergedError: If training diverges repeatedly.
    """
    config = problem.config
    check_supernet(config)
    fingerprint = supernet_fingerprint(config, problem.splits.data_hash)
    supernet = fresh_supernet(problem)
    if folder is not None and folder.supernet.exists():
        load_supernet(folder.supernet, supernet, fingerprint)
        return supernet, "run folder"
    cached = cached_file("supernets", f"{fingerprint}.safetensors") if config.supernet.cache else None
    source, is_kept = "trained", False
    if cached is not None and _load_cached(cached, supernet, fingerprint):
        source = "cache"
    else:
        is_kept = cached is not None and can_keep(cached)  # warn before training, not after it
        _train(problem, supernet, fingerprint, folder=folder, progress=progress)
    if folder is not None:
        save_supernet(folder.supernet, supernet, fingerprint)
        folder.checkpoint.unlink(missing_ok=True)
    if cached is not None and is_kept:
        keep(cached, lambda: save_supernet(cached, supernet, fingerprint))
    return supernet, source


def fresh_supernet(problem: Problem) -> WeightSharing:
    """Return an untrained supernet on the problem's device: of whole networks, or of branches on a given backbone."""
    space, seed = problem.space, problem.config.seed
    kind = Supernet if space.skeleton.given is None else BranchSupernet
    return kind(space.declaration, space.skeleton, seed).to(problem.device)


def check_supernet(config: Config) -> None:
    """Check that the study uses a supernet.

    Args:
        config: The configuration of the study.

    Raises:
        ConfigError: If it uses an estimator passed from Python instead.
    """
    if config.estimation.estimator is not None:
        raise ConfigError(
            f"estimation.estimator: this study uses {config.estimation.estimator}, passed from Python, and has no "
            "supernet. Final trainings work without one (final_training.start: scratch, and no teacher with source "
            "supernet); everything else needs a study without an own estimator"
        )


def _load_cached(path: Path, supernet: WeightSharing, fingerprint: str) -> bool:
    """Load a cached supernet if it is valid; a damaged one is replaced after training."""
    try:
        if not path.exists():
            return False
        load_supernet(path, supernet, fingerprint)
    except (CorruptStateError, OSError) as error:
        logger.warning("the cached supernet is ignored and trained again: %s", error)
        return False
    return True


def _train(
    problem: Problem, supernet: WeightSharing, fingerprint: str, *, folder: RunFolder | None, progress: RunProgress
) -> None:
    config, space = problem.config, problem.space
    checkpoint = folder.checkpoint if folder is not None else None
    training = with_budget(capped(config), config, space)
    data = supernet_data(problem, training, folder=folder, progress=progress)
    images_per_epoch = len(data.images) * len(step_networks(training))
    has_forecast = False

    def show(report: EpochReport) -> None:
        nonlocal has_forecast
        if not has_forecast and report.epoch < report.epochs:
            progress.message(epoch_text(report, images_per_epoch / report.images_per_s))
        has_forecast = True
        progress.epoch(report)

    progress.message(f"supernet: {counted(training.epochs, 'epoch')} on {images_text(problem.splits)}")
    progress.start("supernet epochs", training.epochs, stream="supernet")
    recorder = Recorder(show, checkpoint, fingerprint, progress.step)
    train_supernet(supernet, space, data, config=training, seed=config.seed, recorder=recorder)


def largest_trained(problem: Problem) -> Architecture:
    """Return the largest network without exits that the supernet trains; it is the teacher of the others."""
    training, space = capped(problem.config), problem.space
    if not training.stratified:
        return space.largest_without_exits
    return backbone(space, backbone_pool(space, problem.config.seed, training.max_macs).largest)


def with_budget(training: TrainingT, config: Config, space: NetworkSpace) -> TrainingT:
    """Return training settings with the MACs budget of the joint loss filled in if it is missing."""
    joint = training.joint_loss
    if joint is None or joint.max_macs is not None:
        return training
    budget = config.search.max_average_macs or millions(space.middle_macs)
    return training.model_copy(update={"joint_loss": joint.model_copy(update={"max_macs": budget})})


def tuning_goal(config: Config, space: NetworkSpace) -> TuningGoal:
    """Return the goal of threshold tuning for spaces without threshold parameters.

    Raises:
        ConfigError: If the goal is a minimum accuracy and none is configured.
    """
    tuning, search = config.estimation.tuning, config.search
    if tuning.goal == "min_accuracy":
        least = tuning.value or search.min_accuracy
        if least is None:
            raise ConfigError("estimation.tuning.value: set an accuracy in percent for the goal min_accuracy")
        return TuningGoal(tuning.goal, least)
    given = tuning.value or search.max_average_macs
    return TuningGoal(tuning.goal, space.middle_macs if given is None else given * MACS_PER_MILLION)


def training_data(problem: Problem, training: TrainingConfig) -> TrainingData:
    """Return the training images as bytes, with the transform of batches.

    Args:
        problem: The images and the device.
        training: Training settings; if the loss needs a support set, some images are set aside for it.
    """
    config, splits, device = problem.config, problem.splits, problem.device
    images, support, joint = splits.train, None, training.joint_loss
    if joint is not None and joint.peak_weight > 0:
        images, aside = set_aside(splits.train, joint.support_fraction, config.data.split_seed)
        support = normalize(aside.images, splits.mean, splits.std, device=device), aside.labels.to(device)
    return TrainingData(
        images=images.images.to(device),
        labels=images.labels.to(device),
        augment=Augmentation.of(config.augmentation_of(training), splits),
        support=support,
        class_weights=None
        if training.class_weights is None
        else balanced_weights(images.labels, splits.num_classes).to(device),
    )


def supernet_data(
    problem: Problem, training: TrainingConfig, *, folder: RunFolder | None, progress: RunProgress
) -> TrainingData:
    """Return the data that a supernet is trained on: images, or their features on a given backbone.

    Features are those of images without augmentation.

    Args:
        problem: The images and the device.
        training: Training settings.
        folder: Run folder for the file of features; `None` for the folder of temporary files.
        progress: Shows how many features are computed.
    """
    declared, splits, device = problem.space.declaration.backbone, problem.splits, problem.device
    if declared is None:
        return training_data(problem, training)
    backbone = FrozenBackbone.of(declared, problem.space.skeleton, device)
    images = splits.train
    most = most_images(declared, backbone.layout, feature_bytes(backbone, images, splits))
    if most < len(images):
        progress.message(
            f"warning: the features of only {most:,} of {len(images):,} training images fit into "
            f"space.backbone.feature_gigabytes: {declared.feature_gigabytes:g}; branches are trained on them"
        )
        chosen = torch.randperm(len(images), generator=torch_generator(problem.config.seed, "features"))[:most]
        images = LabelledImages(images.images[chosen], images.labels[chosen])
    progress.message(f"features: of {counted(len(images), 'training image')} on the given backbone")
    weights = None if training.class_weights is None else balanced_weights(images.labels, splits.num_classes).to(device)

    def on_device(rows: Tensor, labels: Tensor, _: torch.Generator) -> tuple[Tensor, Tensor]:
        return rows.to(device).float(), labels.to(device)

    kept = kept_features(backbone, images, splits, folder=None if folder is None else folder.path)
    return TrainingData(images=kept, labels=images.labels, augment=on_device, class_weights=weights)


def measuring_images(problem: Problem, folder: RunFolder | None) -> MeasuringImages:
    """Return the calibration and validation images, or their features on a given backbone.

    Args:
        problem: The images and the device.
        folder: Run folder for the files of features; `None` for the folder of temporary files.
    """
    declared, splits, device = problem.space.declaration.backbone, problem.splits, problem.device
    if declared is None:
        return MeasuringImages.of(splits, device)
    backbone = FrozenBackbone.of(declared, problem.space.skeleton, device)
    place = None if folder is None else folder.path
    return MeasuringImages(
        calibration_images=kept_features(backbone, splits.calibration, splits, folder=place),
        calibration_labels=splits.calibration.labels.to(device),
        images=kept_features(backbone, splits.validation, splits, folder=place),
        labels=splits.validation.labels.to(device),
    )


def make_estimator(
    problem: Problem, supernet: WeightSharing, folder: RunFolder | None, *, latencies: LatencyPrices | None = None
) -> SupernetEstimator:
    """Return the estimator over the calibration and validation splits.

    Args:
        problem: Images, space and evaluation settings.
        supernet: The trained supernet.
        folder: Run folder to store evaluations in; `None` stores none.
        latencies: Latencies of the parts of networks, if latency is an objective.
    """
    config, space, splits = problem.config, problem.space, problem.splits
    store = None
    if folder is not None:
        store = table_store(folder, supernet_fingerprint(config, splits.data_hash), config.estimation)
    return SupernetEstimator(
        space,
        SharedWeights(supernet, store),
        measuring_images(problem, folder),
        config=config.estimation,
        goal=tuning_goal(config, space) if space.tunes_thresholds else None,
        costs=[*([LatencyCost(latencies)] if latencies is not None else []), *problem.own_costs],
    )


def table_store(folder: RunFolder, weights: str, config: EstimationConfig) -> TableStore:
    """Return the store of evaluated networks in a run folder.

    Args:
        folder: The run folder.
        weights: Fingerprint of the supernet, which is also that of the study.
        config: Evaluation settings.
    """
    return TableStore(folder.estimates, content_key([weights, *measuring_settings(config)]))
