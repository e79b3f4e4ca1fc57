"""Named random streams: every consumer draws from its own child of the run's seed, never from a global one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from aebnas_bo.errors import UsageError

if TYPE_CHECKING:
    import torch


def child_seed(seed: int, *names: str | int) -> int:
    """Derive the seed of one named consumer.

    Args:
        seed: The run's seed.
        names: Path of the consumer, such as `"supernet", "epoch", 3`.

    Returns:
        An integer in [0, 2**63) that depends on the seed and on every name.
    """
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def torch_generator(seed: int, *names: str | int) -> torch.Generator:
    """Return a CPU `torch.Generator` for one named consumer."""
    import torch  # noqa: PLC0415  it takes seconds, and `--seeds` is read before

    return torch.Generator().manual_seed(child_seed(seed, *names))


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a `numpy.random.Generator` for one named consumer."""
    return np.random.default_rng(child_seed(seed, *names))


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of a text such as `0-4` or `0,3,7-9`, ascending and distinct.

    Raises:
        UsageError: If it is anything else.
    """
    seeds: set[int] = set()
    for part in text.split(","):
        first, separator, last = part.strip().partition("-")
        if not first.isdecimal() or (separator and not last.isdecimal()) or (separator and int(last) < int(first)):
            raise UsageError(f"--seeds {text}: expected numbers and ranges such as 0-4 or 0,3,7-9")
        seeds |= set(range(int(first), int(last if separator else first) + 1))
    return sorted(seeds)
