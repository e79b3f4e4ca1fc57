from collections import Counter, defaultdict

import numpy as np
import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.sampling import TrainingSampler

SPACE = NetworkSpace(load_config(None, ["space.preset=cifar32"]).space, 3, 10)


def draws(has_balanced_branches: bool, count: int = 60):
    sampler = TrainingSampler(SPACE, np.random.default_rng(0), has_balanced_branches=has_balanced_branches)
    return [sampler.draw(which) for _ in range(count) for which in ("largest", "smallest", "random")]


@pytest.mark.parametrize("has_balanced_branches", [True, False])
def test_every_network_has_every_exit(has_balanced_branches: bool) -> None:
    assert {architecture.active_exits for architecture in draws(has_balanced_branches)} == {(0, 1, 2)}


def branch_counts(architectures) -> dict[str, Counter]:
    """How often each value of each gene of a branch was drawn, among the branches in which it matters."""
    counts: dict[str, Counter] = defaultdict(Counter)
    for architecture in architectures:
        for number, branch in enumerate(architecture.exits):
            counts[f"{number} depth"][len(branch.layers)] += 1
            for position, layer in enumerate(branch.layers):
                for gene in ("kind", "kernel", "expansion"):
                    counts[f"{number} {position} {gene}"][getattr(layer, gene)] += 1
    return counts


def test_balanced_branches_occur_equally_often() -> None:
    counts = branch_counts(draws(True))
    assert len(counts) == 3 + 3 * (2 + 2 + 1)
    for name, counter in counts.items():
        assert max(counter.values()) - min(counter.values()) <= 1, name


def test_independent_branches_do_not() -> None:
    counts = branch_counts(draws(False))
    assert max(max(c.values()) - min(c.values()) for c in counts.values()) > 10


def test_balanced_branches_do_not_depend_on_the_size_of_the_backbone() -> None:
    sampler = TrainingSampler(SPACE, np.random.default_rng(0), has_balanced_branches=True)
    depths = Counter(len(sampler.draw("largest").exits[0].layers) for _ in range(39))
    assert depths == {0: 13, 1: 13, 2: 13}


def test_extremes_are_extreme() -> None:
    sampler = TrainingSampler(SPACE, np.random.default_rng(0), has_balanced_branches=False)
    largest, smallest = sampler.draw("largest"), sampler.draw("smallest")
    assert (largest.resolution, smallest.resolution) == (32, 20)
    assert [len(stage.blocks) for stage in largest.stages] == [2, 3, 2, 1]
    assert [stage.width for stage in smallest.stages] == [12, 24, 48, 0]  # the last stage is absent
    assert [len(branch.layers) for branch in smallest.exits] == [0, 0, 0]
    assert [len(branch.layers) for branch in largest.exits] == [2, 2, 1]


def test_draws_are_a_function_of_the_generator() -> None:
    assert draws(True) == draws(True)
