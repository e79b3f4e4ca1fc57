"""Trainings of a run's networks: one folder per architecture, seed and recipe."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.exported_files import NETWORK_FILE
from aebnas_bo.deploy.network_file import load_network
from aebnas_bo.storage.atomic_files import write_text
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.tensor_metadata import load_metadata

RECIPE_FILE = "recipe.json"
CHECKPOINT_FILE = "training.safetensors"
RECIPE_DIGITS = 6
PLAIN = "plain"  # in the names of plain networks' folders


@dataclass(frozen=True)
class Training:
    """One training of an architecture.

    Args:
        key: Key of the architecture; of a plain network `plain-WIDTH`.
        seed: Seed of the training.
        recipe: Short hash of all settings, images and versions that its weights depend on besides key and seed.
        fingerprint: Identifies all that its weights depend on.
    """

    key: str
    seed: int
    recipe: str
    fingerprint: str


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that was trained to the end.

    Args:
        folder: Where its files are.
        description: What its file says of it.
    """

    folder: Path
    description: NetworkDescription


def training_folder(folder: RunFolder, training: Training) -> Path:
    """Return where a training is or will be: `KEY-seedN` the first of its seed, `KEY-seedN-RECIPE` the others.

    Args:
        folder: The run folder.
        training: The training.

    Raises:
        NetworkFileError: If the network file of an earlier version is damaged.
    """
    first = folder.trained / f"{training.key}-seed{training.seed}"
    own = first.with_name(f"{first.name}-{training.recipe}")
    if _fingerprint_in(own) == training.fingerprint or _fingerprint_in(first) not in {None, training.fingerprint}:
        return own
    return first


def write_recipe(path: Path, training: Training, settings: dict[str, object]) -> None:
    """Say in a training's folder which recipe it is of.

    Args:
        path: The training's folder.
        training: The training.
        settings: The recipe's settings.
    """
    document = {"recipe": training.recipe, "fingerprint": training.fingerprint, "settings": settings}
    write_text(path / RECIPE_FILE, json.dumps(document, indent=2) + "\n")


def trained_networks(folder: RunFolder, key: str = "") -> list[TrainedNetwork]:
    """Return a run's trained networks by key, seed and folder, without plain networks.

    Args:
        folder: The run folder.
        key: Of this network alone; of all by default.

    Raises:
        NetworkFileError: If the file of one is damaged.
    """
    return _networks(folder, key or "[0-9a-f]*")  # a key is a hexadecimal number


def plain_networks(folder: RunFolder) -> list[TrainedNetwork]:
    """Return a run's trained plain networks by key, seed and folder.

    Args:
        folder: The run folder.

    Raises:
        NetworkFileError: If the file of one is damaged.
    """
    return _networks(folder, f"{PLAIN}-*")


def _networks(folder: RunFolder, pattern: str) -> list[TrainedNetwork]:
    files = folder.trained.glob(f"{pattern}-seed*/{NETWORK_FILE}")
    found = [TrainedNetwork(file.parent, load_network(file)[1]) for file in files]
    return sorted(found, key=lambda one: (one.description.key, one.description.origin.seed, one.folder.name))


def _fingerprint_in(path: Path) -> str | None:
    """Return the fingerprint of the training in a folder, `None` if there is none."""
    try:
        return str(json.loads((path / RECIPE_FILE).read_text(encoding="utf-8"))["fingerprint"])
    except (OSError, ValueError, LookupError, TypeError):  # of an earlier version, or damaged: the others say it too
        pass
    if (path / NETWORK_FILE).exists():
        return load_network(path / NETWORK_FILE)[1].origin.fingerprint
    if (path / CHECKPOINT_FILE).exists():
        return load_metadata(path / CHECKPOINT_FILE).get("fingerprint")
    return None
