"""Plain networks trained by the final recipe of a search: the baseline at equal average MACs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from aebnas_bo.config.schema import Config
from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.description_of_weights import Measurable, describe_network, origin_of
from aebnas_bo.deploy.exported_files import NETWORK_FILE
from aebnas_bo.deploy.final_recipe import train_from_scratch
from aebnas_bo.deploy.network_figures import tracked_figures
from aebnas_bo.deploy.network_file import load_network, save_network
from aebnas_bo.deploy.teacher import taught_by
from aebnas_bo.deploy.training_folders import (
    CHECKPOINT_FILE,
    PLAIN,
    RECIPE_DIGITS,
    Training,
    check_training,
    plain_key,
    training_folder,
    write_recipe,
)
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.estimation.settings import EstimationConfig
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.preparation.fingerprints import recipe_identity
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.preparation.supernet_preparation import training_data
from aebnas_bo.space.architecture import Architecture, Skeleton, content_key, skeleton_form
from aebnas_bo.space.auto import resolutions_for
from aebnas_bo.space.macs import MACS_PER_MILLION, exit_costs, millions
from aebnas_bo.space.plain_family import (
    DEPTHS,
    NUM_STAGES,
    SHALLOW_BELOW,
    plain_depths,
    plain_name,
    plain_network,
    plain_network_of,
    plain_width,
)
from aebnas_bo.space.plain_points import LEAST_STEM
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.run_lock import RunLock
from aebnas_bo.storage.tensor_metadata import load_metadata
from aebnas_bo.storage.version import FINAL_VERSION
from aebnas_bo.training.settings import FinalTrainingConfig
from aebnas_bo.training.training_loop import Recorder, TrainingData

TEACHER_MACS = 2.0  # MACs of a teacher relative to the limit of average MACs
EQUAL = 0.05  # widths are integers; MACs within this relative difference count as equal
LEAST_TAUGHT = 0.1  # MACs of the smallest network that a teacher is used for, as a share of the teacher's


@dataclass(frozen=True)
class PlainContext:
    """Folder and problem that the plain networks of a run share.

    Args:
        folder: The run folder, which stores them in `trained/`.
        problem: The images and configuration of the study.
        depths: Blocks of each stage of the networks; teachers have more than the plain family.
        resolution: Side in pixels that images are resized to; `None` for their own.
    """

    folder: RunFolder
    problem: Problem
    depths: tuple[int, ...] = DEPTHS
    resolution: int | None = None

    def network(self, width: int) -> tuple[Architecture, Skeleton]:
        """Return the plain network of a width for the images."""
        splits = self.problem.splits
        return plain_network(
            width,
            image_size=self.resolution or splits.image_size,
            in_channels=splits.in_channels,
            num_classes=splits.num_classes,
            depths=self.depths,
        )

    def width_of(self, average_macs: float) -> int:
        """Return the width whose MACs are nearest to the given millions of MACs, on a log scale."""
        splits = self.problem.splits
        architecture, _ = plain_network_of(
            average_macs * MACS_PER_MILLION,
            image_size=self.resolution or splits.image_size,
            in_channels=splits.in_channels,
            num_classes=splits.num_classes,
            depths=self.depths,
        )
        return plain_width(architecture)

    def macs_of(self, width: int) -> float:
        """Return the MACs of a width in millions."""
        return millions(exit_costs(*self.network(width)).cumulative[-1])

    def for_teacher(self, macs: float) -> PlainContext:
        """Return the context of a teacher, which is made as the plain networks of a space.

        It has a fourth stage, is deep if it is wide, and has a lower resolution if its stem would have fewer than
        `LEAST_STEM` channels at that of the images.

        Args:
            macs: Target MACs of the teacher in millions.
        """
        sides = resolutions_for(self.problem.splits.image_size)
        of_sides = [
            replace(self, depths=plain_depths(NUM_STAGES + 1, is_deep=False), resolution=side) for side in sides
        ]
        shallow = next((one for one in of_sides if one.width_of(macs) >= LEAST_STEM), of_sides[-1])
        deep = replace(shallow, depths=plain_depths(NUM_STAGES + 1, is_deep=True))
        return deep if deep.width_of(macs) >= SHALLOW_BELOW else shallow


@dataclass(frozen=True)
class PlainComparison:
    """Comparison of trained networks of one architecture with plain ones of the same seeds.

    Args:
        difference: Mean of the paired differences of test accuracy, in percentage points.
        standard_error: Standard error of that mean; `None` for a single pair.
        seeds: Seeds of the pairs.
        average_macs: Average MACs of the networks on the validation images, mean over seeds, in millions.
        plain_macs: MACs of the plain networks, mean over seeds, in millions.
    """

    difference: float
    standard_error: float | None
    seeds: tuple[int, ...]
    average_macs: float
    plain_macs: float


def plain_recipe(config: Config) -> FinalTrainingConfig:
    """Return the final recipe without the settings that need exits or a supernet.

    Args:
        config: The study's configuration.
    """
    recipe = config.final_training
    without = {
        "start": "scratch",
        "teacher": recipe.teacher if recipe.teacher_source == "network" else None,
        "exit_weights": None,
        "exit_distillation": False,
        "joint_loss": None,
    }
    return recipe.model_copy(update=without)


def plain_training_of(context: PlainContext, width: int, seed: int) -> Training:
    """Return the identity of a plain network's training.

    Args:
        context: Images and recipe.
        width: Channels of the stem.
        seed: Seed of the training.
    """
    architecture, skeleton = context.network(width)
    config = context.problem.config
    identity = recipe_identity(plain_recipe(config), config)
    shared = [FINAL_VERSION, PLAIN, context.problem.splits.data_hash, identity]
    return Training(
        key=plain_key(architecture, context.problem.splits.image_size),
        seed=seed,
        recipe=content_key(shared)[:RECIPE_DIGITS],
        fingerprint=content_key([*shared, architecture.key, skeleton_form(skeleton), seed]),
    )


def train_plain(
    context: PlainContext, width: int, seed: int, *, progress: RunProgress, is_again: bool = False
) -> NetworkDescription:
    """Train and measure a plain network; a finished training is loaded, an unfinished one resumed.

    Args:
        context: Images and recipe.
        width: Channels of the stem.
        seed: Seed of the training.
        progress: Shows the epochs.
        is_again: Whether to repeat a finished training.

    Raises:
        RunFolderInUseError: If another process trains it.
        TrainingDivergedError: If training diverges repeatedly.
        NetworkFileError: If the file of the trained network is damaged.
    """
    problem, final = context.problem, context.problem.for_final_training
    set_up_cpu(problem.config.num_threads)
    training, recipe = plain_training_of(context, width, seed), plain_recipe(problem.config)
    folder = training_folder(context.folder, training)
    path, checkpoint = folder / NETWORK_FILE, folder / CHECKPOINT_FILE
    folder.mkdir(parents=True, exist_ok=True)
    with RunLock(folder):
        if path.exists() and not is_again:
            description = load_network(path)[1]
            check_training(path, description, training)
            return description
        write_recipe(folder, training, recipe.model_dump(mode="json"))
        if checkpoint.exists() and load_metadata(checkpoint).get("fingerprint") != training.fingerprint:
            checkpoint.unlink()  # left by an earlier version with another recipe
        architecture, skeleton = context.network(width)

        data = training_data(final, recipe)
        macs = millions(exit_costs(architecture, skeleton).cumulative[-1])
        data = taught_by_network(context, data, macs=macs, seed=seed, progress=progress)
        name = f"epochs of the {plain_name(architecture)}, seed {seed}"
        progress.start(name, recipe.epochs, stream=f"trained/{folder.name}")
        recorder = Recorder(progress.epoch, checkpoint, training.fingerprint, progress.step)
        subnet = train_from_scratch(architecture, skeleton, data, config=recipe, seed=seed, recorder=recorder)
        origin = origin_of(final, recipe, training)
        description, _ = describe_network(_measurable(context, width), subnet, origin, device=problem.device)
        save_network(path, subnet, description)
        checkpoint.unlink(missing_ok=True)
    tracked = tracked_figures(description.validation, description.test)
    progress.watcher.record(f"trained/{folder.name}/figures", description.origin.epochs, tracked)
    return description


def taught_by_network(
    context: PlainContext, data: TrainingData, *, macs: float, seed: int, progress: RunProgress
) -> TrainingData:
    """Return training data with the outputs of a plain teacher network; unchanged if the recipe has no such teacher.

    The teacher is trained first if needed. It must be larger than the network, but not by more than a factor of
    `1 / LEAST_TAUGHT`: small networks learn worse from much larger teachers than from labels (Mirzadeh et al., Improved
    Knowledge Distillation via Teacher Assistant, AAAI 2020).

    Args:
        context: Images and recipe.
        data: The training images.
        macs: MACs in millions of the network to train, up to its final classifier.
        seed: Seed of the teacher's training.
        progress: Shows the epochs.

    Raises:
        AebnasError: See `train_plain`.
    """
    problem, config = context.problem, context.problem.config
    recipe = config.final_training
    if recipe.teacher is None or recipe.teacher_source != "network":
        return data
    wanted = teacher_macs(config, macs)
    context = context.for_teacher(wanted)
    width = context.width_of(wanted)
    if context.macs_of(width) <= macs:
        progress.message(f"no teacher: one of {context.macs_of(width):.3g} M MACs is not larger than the network")
        return data
    if macs < LEAST_TAUGHT * context.macs_of(width):
        progress.message(f"no teacher: one of {context.macs_of(width):.3g} M MACs is too large for {macs:.3g} M MACs")
        return data
    alone = recipe.model_copy(update={"teacher": None, "epochs": recipe.teacher.epochs or recipe.epochs})
    own = replace(context, problem=problem.with_config(config.model_copy(update={"final_training": alone})))
    description = train_plain(own, width, seed, progress=progress)
    progress.message(
        f"teacher: a plain network of {context.macs_of(width):.3g} M MACs, "
        f"{description.validation.accuracy:.1f} % validation accuracy"
    )
    folder = training_folder(context.folder, plain_training_of(own, width, seed))
    teacher = load_network(folder / NETWORK_FILE)[0]
    return taught_by(teacher, data, recipe, splits=problem.for_final_training.splits)


def teacher_macs(config: Config, macs: float) -> float:
    """Return the target MACs in millions of the plain teacher of a network.

    Args:
        config: The study's configuration.
        macs: MACs in millions of the network to train.
    """
    given = config.final_training.teacher.macs if config.final_training.teacher else None
    return given or TEACHER_MACS * (config.search.max_average_macs or macs)


def _measurable(context: PlainContext, width: int) -> Measurable:
    architecture, skeleton = context.network(width)
    final = context.problem.for_final_training
    estimation = final.config.estimation
    if estimation.confidence == "learned":  # a plain network has no output for it
        estimation = estimation.model_copy(update={"confidence": EstimationConfig().confidence})
    goal = TuningGoal("max_macs", float(exit_costs(architecture, skeleton).cumulative[-1]))  # without thresholds
    return Measurable(architecture, skeleton, final.splits, estimation, goal)


def train_baselines(
    context: PlainContext,
    networks: Sequence[NetworkDescription],
    *,
    progress: RunProgress,
    is_again: bool = False,
) -> list[NetworkDescription]:
    """Train, for each trained network, the plain network nearest to its average MACs with the same seed.

    Args:
        context: Images and recipe.
        networks: Trained networks, matched by their average MACs on the validation images.
        progress: Shows the epochs.
        is_again: Whether to train again what is trained.

    Raises:
        AebnasError: See `train_plain`.
    """
    return [
        train_plain(
            context,
            context.width_of(network.validation.average_macs),
            network.origin.seed,
            progress=progress,
            is_again=is_again,
        )
        for network in networks
    ]


def compare_with_plain(networks: Sequence[NetworkDescription], plain: Sequence[NetworkDescription]) -> PlainComparison:
    """Compare test accuracies per seed.

    Args:
        networks: One architecture, trained by one recipe with one or more seeds.
        plain: The plain network of each, trained with the same seed.
    """
    pairs = list(zip(networks, plain, strict=True))
    differences = [one.test.accuracy - other.test.accuracy for one, other in pairs]
    several = len(pairs) > 1
    return PlainComparison(
        difference=statistics.mean(differences),
        standard_error=statistics.stdev(differences) / math.sqrt(len(pairs)) if several else None,
        seeds=tuple(network.origin.seed for network in networks),
        average_macs=statistics.mean(network.validation.average_macs for network in networks),
        plain_macs=statistics.mean(network.validation.average_macs for network in plain),
    )


def comparison_text(comparison: PlainComparison, recipe: FinalTrainingConfig) -> str:
    """Describe the difference between a network and its plain baseline.

    Args:
        comparison: The figures.
        recipe: Training recipe of the searched network.
    """
    points = comparison.difference
    error = "" if comparison.standard_error is None else f" ± {comparison.standard_error:.1f}"
    side = "above" if points >= 0.0 else "below"
    macs, plain = comparison.average_macs, comparison.plain_macs
    is_equal = abs(plain / macs - 1.0) <= EQUAL
    which = "equal" if is_equal else "the nearest"
    without = [
        *(["from scratch"] if recipe.start == "supernet" else []),
        *(["without a teacher"] if recipe.teacher_source == "supernet" else []),
    ]
    alone = f", but {' and '.join(without)}" if without else ""
    seeds = "one seed" if error == "" else f"{len(comparison.seeds)} seeds, standard error"
    return (
        f"{abs(points):.1f}{error} points {side} a plain network of {which} average MACs ({plain:.3g} M; this one "
        f"{macs:.3g} M), "
        f"trained by the same recipe{alone} ({seeds})"
    )
