"""Networks trained from random weights and measured on the validation images; each is trained once and stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aebnas_bo.deploy.final_recipe import train_from_scratch
from aebnas_bo.deploy.given_training import train_given
from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.estimation.measuring import MeasuringImages, measure
from aebnas_bo.estimation.table_store import MeasuredNetwork, TableStore
from aebnas_bo.preparation.fingerprints import measuring_settings, recipe_identity
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.supernet_preparation import training_data, with_budget
from aebnas_bo.space.architecture import Architecture, content_key, skeleton_form
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.storage.version import FINAL_VERSION
from aebnas_bo.training.training_loop import EpochReport, Recorder


class StandaloneNetworks:
    """Trains networks from random weights with the final recipe and stores their exit tables.

    Args:
        problem: Recipe, images, network space and seed.
        folder: Folder of the tables, one file per network; networks with a file are not trained again.

    Attributes:
        fingerprint: Hash of recipe, images and space, which decide the tables.
    """

    def __init__(self, problem: Problem, folder: Path) -> None:
        config, space, splits = problem.config, problem.space, problem.splits
        self._problem = problem
        self._config = config
        self._space = space
        recipe_alone = config.final_training.model_copy(update={"processes": 1})
        self._recipe = with_budget(recipe_alone, config, space)
        self._data = training_data(problem, self._recipe)
        self._images = MeasuringImages.of(splits, problem.device)
        self._folder = folder
        is_given = space.declaration.backbone is not None
        recipe = recipe_identity(self._recipe, config, "start", *(() if is_given else ("teacher",)))
        measuring = measuring_settings(config.estimation)
        weights = [] if space.declaration.backbone is None else [space.declaration.backbone.weights_hash]
        self.fingerprint = content_key(
            [FINAL_VERSION, skeleton_form(space.skeleton), splits.data_hash, config.seed, recipe, *measuring, *weights]
        )
        self._store = TableStore(folder, self.fingerprint)

    def known_table(self, architecture: Architecture) -> ExitTable | None:
        """Return the stored table of a network, or `None`."""
        known = self._store.load(architecture.key)
        return known.table if known is not None else None

    def is_begun(self, architecture: Architecture) -> bool:
        """Return whether a network's training is finished or has a checkpoint."""
        return self.known_table(architecture) is not None or self._checkpoint(architecture).exists()

    def train(
        self,
        architecture: Architecture,
        on_epoch: Callable[[EpochReport], None],
        on_step: Callable[[float], object] = lambda _: None,
    ) -> ExitTable:
        """Train a network and return its exit table over the validation images.

        An interrupted training resumes from its checkpoint.

        Args:
            architecture: The network.
            on_epoch: Called after every epoch.
            on_step: Called after every step with the epochs done, including the fraction of the current one.

        Raises:
            TrainingDivergedError: If training diverges repeatedly.
            EstimationError: If the network's outputs are not finite.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        checkpoint = self._checkpoint(architecture)
        recorder = Recorder(on_epoch, checkpoint, content_key([self.fingerprint, architecture.key]), on_step)
        skeleton, data, recipe = self._space.skeleton, self._data, self._recipe
        if skeleton.given is None:
            seed = self._config.seed
            subnet = train_from_scratch(architecture, skeleton, data, config=recipe, seed=seed, recorder=recorder)
        else:
            subnet = train_given(self._problem, architecture, data, config=recipe, recorder=recorder)
        macs = exit_costs(architecture, skeleton).cumulative
        table, calibrations = measure(
            subnet, self._images, macs=macs, key=architecture.key, config=self._config.estimation
        )
        self._store.save(architecture.key, MeasuredNetwork(table, {}, calibrations))
        checkpoint.unlink(missing_ok=True)
        return table

    def _checkpoint(self, architecture: Architecture) -> Path:
        return self._folder / f"{architecture.key}.training.safetensors"
