"""Space-filling initial design."""

from __future__ import annotations

from collections.abc import Iterator

from scipy.stats import qmc

from aebnas_bo.space.search_space import ParameterValue, SearchSpace

BLOCK = 64  # Sobol points drawn at a time; a power of two keeps their balance
MAX_STALE_BLOCKS = 64


def sobol_points(space: SearchSpace, seed: int) -> Iterator[dict[str, ParameterValue]]:
    """Yield distinct canonical points of a scrambled Sobol sequence.

    Args:
        space: The space to fill.
        seed: Seed of the scrambling.

    Yields:
        Canonical points; the sequence ends after 4,096 points without a new one (the space is exhausted).
    """
    sampler = qmc.Sobol(d=len(space.names), scramble=True, rng=seed % 2**32)
    seen: set[str] = set()
    stale = 0
    while stale < MAX_STALE_BLOCKS:
        known = len(seen)
        for unit in sampler.random(BLOCK):
            point = space.from_unit(unit)
            key = space.key(point)
            if key not in seen:
                seen.add(key)
                yield point
        stale = 0 if len(seen) > known else stale + 1
