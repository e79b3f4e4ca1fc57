"""Folders of trained networks: one per architecture, seed and recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aebnas_bo.deploy.description import NetworkDescription, NetworkFileError
from aebnas_bo.deploy.exported_files import NETWORK_FILE
from aebnas_bo.deploy.network_file import load_description
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.plain_family import DEPTHS, plain_depths_of, plain_width
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.sealed_json import read_sealed, write_sealed
from aebnas_bo.storage.tensor_metadata import load_metadata

RECIPE_FILE = "recipe.json"
CHECKPOINT_FILE = "training.safetensors"
RECIPE_DIGITS = 6
PLAIN = "plain"  # prefix of the folders of plain networks


@dataclass(frozen=True)
class Training:
    """Identity of a training.

    Args:
        key: Key of the architecture; `plain-WIDTH` for a plain network, `plain-WIDTH-BLOCKS` for a teacher.
        seed: Seed of the training.
        recipe: Short hash of the settings, images and versions that the weights depend on, without key and seed.
        fingerprint: Hash of everything the weights depend on.
    """

    key: str
    seed: int
    recipe: str
    fingerprint: str


@dataclass(frozen=True)
class TrainedNetwork:
    """Fully trained network.

    Args:
        folder: Folder of its files.
        description: Description in its file.
    """

    folder: Path
    description: NetworkDescription


def training_folder(folder: RunFolder, training: Training) -> Path:
    """Return the folder of a training: `KEY-seedN` for the first of its seed, `KEY-seedN-RECIPE` for others.

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
    """Write the recipe of a training to its folder.

    Args:
        path: The training's folder.
        training: The training.
        settings: The recipe's settings.
    """
    document = {"recipe": training.recipe, "fingerprint": training.fingerprint, "settings": settings}
    write_sealed(path / RECIPE_FILE, document)


def check_training(path: Path, description: NetworkDescription, training: Training) -> None:
    """Check that a network file belongs to a training.

    Args:
        path: The file.
        description: Description in the file.
        training: The training.

    Raises:
        NetworkFileError: If it belongs to another training.
    """
    origin = description.origin
    if origin.fingerprint != training.fingerprint:
        raise NetworkFileError(
            f"{path} holds network {description.key} with seed {origin.seed} from another training; delete it, and the "
            "same command trains this network again"
        )


def trained_networks(folder: RunFolder, key: str = "") -> list[TrainedNetwork]:
    """Return a run's trained networks except plain ones, sorted by key, seed and folder.

    Args:
        folder: The run folder.
        key: Key of a network; by default all networks are returned.

    Raises:
        NetworkFileError: If a network file is damaged.
    """
    return _networks(folder, key or "[0-9a-f]*")  # a key is a hexadecimal number


def plain_networks(folder: RunFolder) -> list[TrainedNetwork]:
    """Return a run's trained plain networks, sorted by key, seed and folder.

    Args:
        folder: The run folder.

    Raises:
        NetworkFileError: If the file of one is damaged.
    """
    return _networks(folder, f"{PLAIN}-*")


def plain_key(architecture: Architecture, image_size: int) -> str:
    """Return the name of a plain network: its width and, if they are not those of the plain family, blocks and side.

    Args:
        architecture: The network.
        image_size: Side of the images in pixels.
    """
    depths, side = plain_depths_of(architecture), architecture.resolution
    blocks = "" if depths == DEPTHS else f"-{''.join(map(str, depths))}"
    return f"{PLAIN}-{plain_width(architecture)}{blocks}{'' if side == image_size else f'-{side}px'}"


def _networks(folder: RunFolder, pattern: str) -> list[TrainedNetwork]:
    files = folder.trained.glob(f"{pattern}-seed*/{NETWORK_FILE}")
    found = [TrainedNetwork(file.parent, _description(file)) for file in files]
    return sorted(found, key=lambda one: (one.description.key, one.description.origin.seed, one.folder.name))


def _description(file: Path) -> NetworkDescription:
    """Read the description in a network file, and check it against the name of its folder."""
    description = load_description(file)
    is_plain = file.parent.name.startswith(f"{PLAIN}-")
    key = plain_key(description.architecture, description.image_size) if is_plain else description.key
    name = f"{key}-seed{description.origin.seed}"
    if file.parent.name != name and not file.parent.name.startswith(f"{name}-"):
        raise NetworkFileError(
            f"{file} holds network {description.key} with seed {description.origin.seed}, unlike its folder; "
            f"move it to a folder {name}, or delete it and train again"
        )
    return description


def _fingerprint_in(path: Path) -> str | None:
    """Return the fingerprint of the training in a folder, `None` if there is none."""
    try:
        return str(read_sealed(path / RECIPE_FILE, "")["fingerprint"])
    except (CorruptStateError, KeyError):  # damaged, or from an earlier version: read it from the other files
        pass
    if (path / NETWORK_FILE).exists():
        return load_description(path / NETWORK_FILE).origin.fingerprint
    if (path / CHECKPOINT_FILE).exists():
        return load_metadata(path / CHECKPOINT_FILE).get("fingerprint")
    return None
