"""Where networks run."""

from __future__ import annotations

import torch

from aebnas_bo.errors import ConfigError


def resolve_device(name: str) -> str:
    """Return `cpu` or `cuda`.

    Args:
        name: `cpu`, `cuda`, or `auto` for CUDA where there is any.

    Raises:
        ConfigError: If `cuda` is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: cuda was asked for, but PyTorch sees no CUDA device; use cpu or auto")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"
