"""Search for the trainings of a network in a run folder, without importing PyTorch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from aebnas_bo.analysis.selection import Selection
from aebnas_bo.deploy.exported_files import NETWORK_FILE
from aebnas_bo.errors import CorruptStateError, UsageError
from aebnas_bo.search.trial import Observation
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.tensor_metadata import load_metadata

Origin = tuple[str | None, int | None]  # recipe and seed
LONGEST = 80  # characters of an option that are echoed


def check_is_trained(
    folder: RunFolder, selection: Selection, observed: Observation, *, seed: int | None, recipe: str | None
) -> None:
    """Check that a network was trained.

    Args:
        folder: The run folder.
        selection: Selection of the network, for the message.
        observed: The selected observation.
        seed: Seed of its training; `None` for any.
        recipe: Recipe of its training; `None` for any.

    Raises:
        UsageError: If no training has this seed and recipe.
    """
    files = sorted(folder.trained.glob(f"{observed.key}-seed*/{NETWORK_FILE}"))
    origins = [_origin(file) for file in files]
    if (None, None) in origins:  # damaged: the error of reading it says more
        return
    if any(seed in {None, of_seed} and recipe in {None, of_recipe} for of_recipe, of_seed in origins):
        return
    raise no_training(folder, selection, observed, seed=seed, recipe=recipe, origins=origins)


def _origin(file: Path) -> Origin:
    """Return recipe and seed in a network file; `None` for both if it cannot be read."""
    try:
        origin = json.loads(load_metadata(file)["network"])["origin"]
        return origin.get("recipe"), origin["seed"]
    except (CorruptStateError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None, None


def no_training(
    folder: RunFolder,
    selection: Selection,
    observed: Observation,
    *,
    seed: int | None,
    recipe: str | None,
    origins: Sequence[Origin],
) -> UsageError:
    """Return the error of a network without the wanted training.

    Args:
        folder: See `check_is_trained`.
        selection: See `check_is_trained`.
        observed: See `check_is_trained`.
        seed: See `check_is_trained`.
        recipe: See `check_is_trained`.
        origins: Recipe and seed of its trainings.
    """
    if recipe is not None and origins:
        known = ", ".join(f"{of_recipe or '–'} (seed {of_seed})" for of_recipe, of_seed in origins)
        return UsageError(
            f"--recipe {recipe[:LONGEST]}: network {observed.key} has no such training; its recipes are {known}"
        )
    with_seed, option = ("", "") if seed is None else (f" with seed {seed}", f" --seeds {seed}")
    return UsageError(
        f"network {observed.key} is not trained yet{with_seed}; first: "
        f"aebnas-bo train {folder.path} --select '{selection}'{option}"
    )
