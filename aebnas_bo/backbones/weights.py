"""Weights of a given backbone: a state dict in safetensors. Pickles, which can run any code, are not read."""

from __future__ import annotations

import hashlib
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from aebnas_bo.errors import ConfigError, reason_of
from aebnas_bo.storage.count_text import counted
from aebnas_bo.storage.regular_files import read_regular

WEIGHTS = "space.backbone.weights"
MOST_BYTES = 8 << 30
SHOWN = 3  # names of tensors in a message
CONVERT = "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"


def load_weights(backbone: nn.Module, path: Path) -> str:
    """Load a state dict into a backbone.

    Args:
        backbone: The backbone, changed in place only if everything fits.
        path: File in the format safetensors.

    Returns:
        SHA-256 of the file, as 64 hexadecimal digits.

    Raises:
        ConfigError: If the file cannot be read, is not in this format, or does not fit the backbone.
    """
    try:
        content = read_regular(path, MOST_BYTES)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"{WEIGHTS}: {path} cannot be read ({reason}); give the path of a .safetensors file"
        ) from error
    try:
        tensors = load_safetensors(content)
    except (SafetensorError, ValueError) as error:
        raise ConfigError(
            f"{WEIGHTS}: {path} is not in the format safetensors ({reason_of(error)}); write one in Python: {CONVERT}"
        ) from error
    problems = _misfits(backbone.state_dict(), tensors)
    if problems:
        raise ConfigError(f"{WEIGHTS}: {path} does not fit the backbone: {'; '.join(problems)}")
    backbone.load_state_dict(tensors, strict=False)
    return hashlib.sha256(content).hexdigest()


def _misfits(expected: dict[str, Tensor], given: dict[str, Tensor]) -> list[str]:
    """Return the differences between a backbone's tensors and those of a file; counters of batches may be missing."""
    missing = [name for name in expected if name not in given and not name.endswith("num_batches_tracked")]
    unknown = [name for name in given if name not in expected]
    shapes = [
        f"{name} is {list(given[name].shape)} instead of {list(one.shape)}"
        for name, one in expected.items()
        if name in given and given[name].shape != one.shape
    ]
    problems = [f"it lacks {counted(len(missing), 'tensor')} ({_first(missing)})"] if missing else []
    problems += [f"it has {counted(len(unknown), 'unknown tensor')} ({_first(unknown)})"] if unknown else []
    return problems + ([f"{_first(shapes)}"] if shapes else [])


def _first(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
