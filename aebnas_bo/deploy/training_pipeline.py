"""Final training of a network of a study: weights, thresholds tuned on validation images, test figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from aebnas_bo.analysis.selection import Selection, select
from aebnas_bo.config.effects import check_after_search
from aebnas_bo.config.loading import parse_config
from aebnas_bo.data.splits import Splits
from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.description_of_weights import Measurable, describe_network, origin_of
from aebnas_bo.deploy.exported_files import NETWORK_FILE
from aebnas_bo.deploy.front_with_trained import had_brief_search
from aebnas_bo.deploy.given_training import (
    final_accuracy,
    initial_network,
    kept_accuracy,
    taught_by_original,
    train_with_backbone,
    with_original,
)
from aebnas_bo.deploy.looks_at_test_images import look_of, note_look
from aebnas_bo.deploy.network_figures import tracked_figures
from aebnas_bo.deploy.network_file import load_network, save_network
from aebnas_bo.deploy.operating_points import (
    OPERATING_POINTS_FILE,
    check_goal,
    remark_on_goal,
    tuning_goal_of,
    write_operating_points,
)
from aebnas_bo.deploy.plain_baseline import PlainContext, taught_by_network
from aebnas_bo.deploy.teacher import (
    TEACHER_FILE,
    Teacher,
    check_teacher,
    largest_teacher,
    stored_check,
    taught_by_trained,
    with_soft_labels,
)
from aebnas_bo.deploy.training_folders import (
    CHECKPOINT_FILE,
    RECIPE_DIGITS,
    Training,
    check_training,
    training_folder,
    write_recipe,
)
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.preparation.fingerprints import recipe_identity, supernet_fingerprint
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.preparation.supernet_preparation import check_supernet, prepare_supernet, training_data, with_budget
from aebnas_bo.search.trial import Observation
from aebnas_bo.search.trial_check import check_points
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.space.architecture import Architecture, content_key
from aebnas_bo.space.macs import ExitCosts, exit_costs, millions
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.run_lock import RunLock
from aebnas_bo.storage.tensor_metadata import load_metadata
from aebnas_bo.storage.version import ESTIMATION_VERSION, FINAL_VERSION
from aebnas_bo.supernet.extraction import copy_weights, extract
from aebnas_bo.supernet.subnet import Subnet
from aebnas_bo.training.settings import FinalTrainingConfig
from aebnas_bo.training.training_loop import Recorder

CALIBRATION_BATCH = 256


@dataclass(frozen=True)
class Candidate:
    """Network of a study selected for final training.

    Args:
        folder: The run folder.
        problem: The study's images and space, and its configuration with the changes for this training.
        observed: The selected observation.
        goal: Goal of threshold tuning after training.
    """

    folder: RunFolder
    problem: Problem
    observed: Observation
    goal: TuningGoal

    @property
    def architecture(self) -> Architecture:
        """The network."""
        return self.problem.space.architecture(self.observed.parameters)

    @property
    def measurable(self) -> Measurable:
        """Everything needed to measure its figures."""
        final = self.problem.for_final_training
        return Measurable(
            architecture=self.architecture,
            skeleton=final.space.skeleton,
            splits=final.splits,
            estimation=final.config.estimation,
            goal=replace(self.goal, price=final.config.final_training.macs_price),
            estimated_accuracy=None if had_brief_search(self.folder) else self.observed.metrics["accuracy"],
            has_ensemble=final.config.final_training.exit_ensemble,
        )

    @property
    def costs(self) -> ExitCosts:
        """Its MACs."""
        return exit_costs(self.architecture, self.problem.space.skeleton)


def choose_candidate(
    folder: RunFolder,
    selection: Selection,
    settings: Sequence[str] = (),
    *,
    goal: TuningGoal | None = None,
    splits: Splits | None = None,
) -> Candidate:
    """Open a run folder and select one of its networks.

    Args:
        folder: A folder that holds a study, finished or not.
        selection: Selection of the network.
        settings: `section.key=value` strings for `final_training`, `shortlist`, `data.root`, `device` and
            `num_threads`.
        goal: Goal of threshold tuning after training; `None` derives it from the selection, within the limits of the
            search.
        splits: The images; `None` loads them.

    Raises:
        UsageError: If the folder holds no study, no network meets the selection, or the network cannot meet the goal.
        ConfigError: If a setting is invalid, must not be changed, or needs a supernet that the study does not have.
        DataError: If the images cannot be read.
        CorruptStateError: If the images are not those of the study.
    """
    folder.require_study()
    check_after_search(settings)
    with TrialStore.open_read_only(folder.study) as store:
        record, trials = store.study, store.trials()
    config = parse_config(record.config, str(folder.study), settings)
    if "supernet" in (config.final_training.start, config.final_training.teacher_source):
        check_supernet(config)
    observed = select(trials, record.objectives, selection)
    problem = Problem.load(config) if splits is None else Problem.of(config, splits)
    if supernet_fingerprint(config, problem.splits.data_hash) != record.fingerprint:
        raise CorruptStateError(
            f"{folder.path}: the images or this program changed since the study was created; set the folder of its "
            "images with --set data.root=PATH, or start another search"
        )
    check_points(trials, problem.space.search_space, folder.study)
    candidate = Candidate(folder, problem, observed, goal or tuning_goal_of(selection, observed, record.objectives))
    if goal is not None:  # the limit of the search may be infeasible for a network selected regardless
        check_goal(goal, observed.key, candidate.costs)
    return candidate


def training_of(candidate: Candidate, seed: int) -> Training:
    """Return the identity of a candidate's training.

    Args:
        candidate: The network, with the configuration of its training.
        seed: Seed of the training.
    """
    config, key = candidate.problem.config, candidate.observed.key
    recipe = final_recipe(candidate.problem)
    study = supernet_fingerprint(config, candidate.problem.splits.data_hash)
    identity = recipe_identity(recipe, config)
    is_calibrated = recipe.teacher_source == "supernet"  # BatchNorm of the teacher, as for estimates
    teacher = [ESTIMATION_VERSION] if is_calibrated else []
    return Training(
        key=key,
        seed=seed,
        recipe=content_key([FINAL_VERSION, study, identity, *teacher])[:RECIPE_DIGITS],
        fingerprint=content_key([FINAL_VERSION, study, key, seed, identity, *teacher]),
    )


def train_candidate(candidate: Candidate, seed: int, *, is_again: bool, progress: RunProgress) -> NetworkDescription:
    """Train a network, tune its thresholds and measure it; finished weights are reused, unfinished training resumed.

    Args:
        candidate: The network.
        seed: Seed of the training.
        is_again: Whether to repeat a finished training with this seed and recipe.
        progress: Shows the epochs.

    Returns:
        The description, which is also written to the folder that `training_folder` names.

    Raises:
        RunFolderInUseError: If another process trains it with this seed.
        TrainingDivergedError: If training diverges repeatedly.
        NetworkFileError: If the network's file is damaged.
    """
    problem = candidate.problem
    set_up_cpu(problem.config.num_threads)
    training, recipe = training_of(candidate, seed), final_recipe(problem)
    folder = training_folder(candidate.folder, training)
    path, checkpoint = folder / NETWORK_FILE, folder / CHECKPOINT_FILE
    folder.mkdir(parents=True, exist_ok=True)
    with RunLock(folder):
        write_recipe(folder, training, recipe.model_dump(mode="json"))
        if path.exists() and not is_again:
            trained, described = load_network(path, trusts_code=True)
            check_training(path, described, training)
            subnet = trained.to(problem.device)
            progress.message(f"{candidate.observed.key}, seed {seed}: already trained; only thresholds are tuned")
        else:
            if checkpoint.exists() and load_metadata(checkpoint).get("fingerprint") != training.fingerprint:
                checkpoint.unlink()  # left by an earlier version with another recipe
            subnet = _train(candidate, recipe, training, checkpoint=checkpoint, progress=progress)
        look = look_of(training.key, seed, training.recipe, goal=candidate.goal)
        others = note_look(candidate.folder, look)  # recorded first, so that an interrupted measurement counts too
        origin = origin_of(problem.for_final_training, recipe, training)
        description, points = describe_network(candidate.measurable, subnet, origin, device=problem.device)
        description = description.model_copy(update={"earlier_test_looks": others})
        if problem.space.skeleton.given is not None and recipe.backbone_rate > 0:
            description = with_original(description, problem.for_final_training)
        save_network(path, subnet, description)
        write_operating_points(folder / OPERATING_POINTS_FILE, points, candidate.costs)
        checkpoint.unlink(missing_ok=True)
    tracked = tracked_figures(description.validation, description.test)
    progress.watcher.record(f"trained/{folder.name}/figures", description.origin.epochs, tracked)
    remark = remark_on_goal(candidate.goal, description.validation)
    if remark:
        progress.message(f"{candidate.observed.key}, seed {seed}: {remark}")
    return description


def final_recipe(problem: Problem) -> FinalTrainingConfig:
    """Return the final recipe, with the joint loss of the supernet if confidence is learned.

    A supernet trained with the joint loss is not used as a teacher, because its final exit learned hard images only.
    """
    config = problem.config
    recipe = config.final_training
    if config.supernet.joint_loss is not None:
        recipe = recipe.model_copy(update={"teacher": None})
    if config.estimation.confidence == "learned" and recipe.joint_loss is None:
        recipe = recipe.model_copy(
            update={
                "joint_loss": config.supernet.joint_loss,
                "exit_weights": None,
                "exit_distillation": False,
            }
        )
    return with_budget(recipe, config, problem.space)


def _train(
    candidate: Candidate,
    recipe: FinalTrainingConfig,
    training: Training,
    *,
    checkpoint: Path,
    progress: RunProgress,
) -> Subnet:
    problem, final, architecture = candidate.problem, candidate.problem.for_final_training, candidate.architecture
    seed = training.seed
    is_taught_by_supernet = recipe.teacher_source == "supernet"
    teacher: Teacher | None = None
    is_given = problem.space.skeleton.given is not None
    if recipe.start == "scratch" or is_given:
        subnet = initial_network(problem, architecture, seed)
    if recipe.start == "supernet" or is_taught_by_supernet:
        supernet, _ = prepare_supernet(problem, candidate.folder, progress)
        if recipe.start == "supernet" and not is_given:
            subnet = extract(supernet, architecture)
        elif recipe.start == "supernet":
            copy_weights(supernet, subnet)
        if is_taught_by_supernet:
            teacher = largest_teacher(supernet, problem)
    data = training_data(final, recipe)
    if teacher is not None:
        make_check = partial(
            check_teacher, teacher, architecture, recipe,
            problem=final, data=data, seed=seed,
        )  # fmt: skip
        check = stored_check(checkpoint.with_name(TEACHER_FILE), training.fingerprint, make_check)
        progress.message(f"{architecture.key}, seed {seed}: {check}")
        if check.is_useful:
            data = with_soft_labels(data, teacher, splits=final.splits, label_smoothing=recipe.label_smoothing)
    if recipe.teacher_source == "network":
        macs = millions(candidate.costs.cumulative[-1])
        data = taught_by_network(PlainContext(candidate.folder, problem), data, macs=macs, seed=seed, progress=progress)
    data = taught_by_original(subnet, data, recipe, problem=final)
    data = taught_by_trained(candidate.folder, data, recipe, problem=final, progress=progress)
    before = None
    if is_given and recipe.backbone_rate > 0:
        before = final_accuracy(subnet.eval(), final, final.splits.validation)
    stream = f"trained/{checkpoint.parent.name}"
    progress.start(f"epochs of {architecture.key}, seed {seed}", recipe.epochs, stream=stream)
    recorder = Recorder(progress.epoch, checkpoint, training.fingerprint, progress.step)
    trained = train_with_backbone(subnet, data, recipe, seed=seed, recorder=recorder)
    if before is not None:
        progress.message(f"{architecture.key}, seed {seed}: {kept_accuracy(before, trained, final)}")
    return trained
