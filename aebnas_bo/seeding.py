"""Named random streams: every consumer has its own child seed of the run's seed; there is no global seeding."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import numpy as np

from aebnas_bo.errors import UsageError

if TYPE_CHECKING:
    import torch

LARGEST_SEED = 2**32
MOST_SEEDS = 1000  # per command; a longer range is probably a mistake


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
    """Parse seeds from a text such as `0-4` or `0,3,7-9`, ascending and distinct.

    Raises:
        UsageError: If the text is invalid, or has a seed above `LARGEST_SEED` or more than `MOST_SEEDS` seeds.
    """
    seeds: set[int] = set()
    too_many = f"expected at most {MOST_SEEDS} seeds, such as 0-{MOST_SEEDS - 1}"
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part, flags=re.ASCII)
        ends = [end.lstrip("0") or "0" for end in (found[1], found[2] or found[1])] if found else []
        if found and max(map(len, ends)) > len(str(LARGEST_SEED)):
            raise _wrong_seeds(text, f"the largest seed is {LARGEST_SEED}")
        first, last = map(int, ends) if found else (0, -1)
        if last < first:
            raise _wrong_seeds(text, "expected numbers and ranges such as 0-4 or 0,3,7-9")
        if last > LARGEST_SEED:
            raise _wrong_seeds(text, f"the largest seed is {LARGEST_SEED}")
        if last - first < MOST_SEEDS:
            seeds |= set(range(first, last + 1))
        if last - first >= MOST_SEEDS or len(seeds) > MOST_SEEDS:
            raise _wrong_seeds(text, too_many)
    return sorted(seeds)


def _wrong_seeds(text: str, reason: str) -> UsageError:
    return UsageError(f"--seeds {text[:80]}: {reason}")
