"""Fingerprints of results: results with equal fingerprints are interchangeable between runs and on resuming."""

from __future__ import annotations

from aebnas_bo.config.effects import values_with
from aebnas_bo.config.schema import Config
from aebnas_bo.estimation.settings import EstimationConfig
from aebnas_bo.space.architecture import content_key
from aebnas_bo.storage.version import ESTIMATION_VERSION, SUPERNET_VERSION, TEACHER_VERSION
from aebnas_bo.supernet.settings import SupernetConfig
from aebnas_bo.training.settings import FinalTrainingConfig

OFF: dict[str, object] = {
    "class_weights": None,
    "processes": 1,
    "synchronized_batch_norm": False,
    "backbone_rate": 0.0,
    "muon_learning_rate": None,
    "batchnorm_bias_rate": 1.0,
}
MACS_PER_LIMIT = 2.5  # MACs of a whole network per limit of average MACs: most images exit early


def supernet_fingerprint(config: Config, data_hash: str) -> str:
    """Return the fingerprint of a supernet: space, images, seed and training.

    Args:
        config: The configuration.
        data_hash: Hash of the images and their splits.
    """
    training = _in_use(values_with(capped(config), {"supernet"}))
    joint = config.supernet.joint_loss
    if joint is not None and joint.max_macs is None:
        training["joint_loss"] = {
            **joint.model_dump(mode="json"),
            "max_macs": config.search.max_average_macs,  # see `with_budget`
        }
    training["augmentation"] = config.augmentation_of(config.supernet).model_dump(mode="json")
    left_out = set() if config.space.squeeze_excitation else {"squeeze_excitation"}
    # spaces without squeeze-and-excitation keep the fingerprint from before its introduction
    space = config.space.model_dump(mode="json", exclude=left_out)
    if config.space.backbone is not None:  # the hash stands for the weights, wherever their file is
        space["backbone"] = config.space.backbone.model_dump(mode="json", exclude={"weights"})
    return content_key([SUPERNET_VERSION, space, data_hash, config.seed, training])


def capped(config: Config) -> SupernetConfig:
    """Return the supernet's training settings, with the cap on MACs that follows from the limit of the search."""
    training, limit = config.supernet, config.search.max_average_macs
    if training.max_macs is not None or limit is None or not training.stratified:
        return training
    return training.model_copy(update={"max_macs": MACS_PER_LIMIT * limit})


def recipe_identity(recipe: FinalTrainingConfig, config: Config, *left_out: str) -> dict[str, object]:
    """Return the settings that identify a training by a final recipe, in addition to network, images and seed.

    Args:
        recipe: The recipe.
        config: The configuration, whose augmentation the recipe may take.
        left_out: Fields of the recipe to ignore.
    """
    settings = _in_use(values_with(recipe, {"trainings"}))
    settings["augmentation"] = config.augmentation_of(recipe).model_dump(mode="json")
    if recipe.teacher is not None and "teacher" not in left_out:  # trainings without a teacher stay the same
        settings["teacher_version"] = TEACHER_VERSION
    return {name: value for name, value in settings.items() if name not in left_out}


def _in_use(settings: dict[str, object]) -> dict[str, object]:
    """Leave out settings that are off: a training without them is what it was before there were any."""
    return {name: value for name, value in settings.items() if name not in OFF or value != OFF[name]}


def measuring_settings(config: EstimationConfig) -> tuple[object, ...]:
    """Return the settings that an evaluation depends on, in addition to weights and images."""
    return ESTIMATION_VERSION, config.confidence, config.exit_rule, config.temperature_scaling
