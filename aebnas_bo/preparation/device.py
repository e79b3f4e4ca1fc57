"""Choice of the device that networks run on."""

from __future__ import annotations

import torch

from aebnas_bo.errors import ConfigError


def resolve_device(name: str) -> str:
    """Return `cpu` or `cuda`.

    Args:
        name: `cpu`, `cuda`, or `auto` for CUDA if available.

    Raises:
        ConfigError: If `cuda` is requested but not available.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: cuda was requested, but PyTorch finds no CUDA device; use cpu or auto")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"
