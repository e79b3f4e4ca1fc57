"""Number formats of the forward pass."""

from __future__ import annotations

import torch

from aebnas_bo.training.settings import Precision


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Return the context a forward pass runs in.

    Args:
        precision: `auto` is bfloat16 on CUDA, where tensor cores make it faster, and float32 on the CPU, where it
            was measured three times slower than float32. bfloat16 has float32's range: losses need no scaling.
        device: Device of the pass.
    """
    is_low = precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_low)
