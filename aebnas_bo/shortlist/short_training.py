"""Short training of one network of a short list; its table is stored in the run folder."""

from __future__ import annotations

from dataclasses import dataclass

from aebnas_bo.deploy.standalone import StandaloneNetworks
from aebnas_bo.deploy.training_pipeline import final_recipe
from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.shortlist.contenders import Contender
from aebnas_bo.storage.run_folder import RunFolder


@dataclass(frozen=True)
class ShortListContext:
    """Run folder and problem, shared by all short trainings of a run.

    Args:
        folder: The run folder, which stores tables in `shortlist/`.
        problem: Its images and space, and its configuration: rungs, recipe, seed.
    """

    folder: RunFolder
    problem: Problem


def short_training(context: ShortListContext, contender: Contender, epochs: int, *, progress: RunProgress) -> ExitTable:
    """Train a network of a short list, if it is not trained yet, and return its exit table over the validation images.

    Args:
        context: Folder, problem and settings of the study.
        contender: The network.
        epochs: Epochs of the training and of its learning-rate schedule.
        progress: Shows the epochs.

    Raises:
        TrainingDivergedError: If training fails for good.
    """
    networks = networks_of(context, epochs)
    known = networks.known_table(contender.architecture)
    if known is not None:
        return known
    stream = f"short/{contender.key}-{epochs}"
    progress.start(f"short training of {contender.key}, epochs", epochs, stream=stream)
    return networks.train(contender.architecture, progress.epoch, progress.step)


def is_begun(context: ShortListContext, contender: Contender, epochs: int) -> bool:
    """Return whether a short training is finished or has a checkpoint."""
    return networks_of(context, epochs).is_begun(contender.architecture)


def networks_of(context: ShortListContext, epochs: int) -> StandaloneNetworks:
    """Return the networks trained for a number of epochs.

    Args:
        context: Folder, problem and settings of the study.
        epochs: Epochs of each training.
    """
    problem = context.problem
    recipe = final_recipe(problem).model_copy(update={"epochs": epochs})
    short = problem.with_config(problem.config.model_copy(update={"final_training": recipe}))
    folder = context.folder.shortlist / f"{epochs}-epochs"
    return StandaloneNetworks(short, folder)
