import pytest
import torch

from surrogates.columns import Column, ColumnLayout
from surrogates.errors import SurrogateError
from surrogates.pool_optimizer import (
    NEIGHBOUR_STEPS,
    Criterion,
    PoolSettings,
    crossover,
    maximize_acquisition,
    mutate,
    neighbours,
    new_rows,
)

LAYOUT = ColumnLayout(
    (
        *(Column(f"gene{i}", f"g{i // 3}", 0, 2, True) for i in range(9)),
        Column("depth", "exit", 0, 2, True),
        Column("threshold", "t", 0.0, 1.0, False, inactive_value=1.0, parent=9, parent_levels=(1, 2)),
    )
)
NOTHING = torch.empty(0, 11, dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def acquisition(X: torch.Tensor) -> torch.Tensor:
    """Best at all genes 2, depth 1, threshold 0.37."""
    X = X.squeeze(-2)
    return X[:, :9].sum(-1) - 4 * (X[:, 9] - 1).abs() - 30 * (X[:, 10] - 0.37) ** 2


def maximize(function, settings, *, layout=LAYOUT, elites=NOTHING, excluded=NOTHING, cost=None, seed=0):
    return maximize_acquisition(
        Criterion(function, cost),
        layout,
        settings,
        elites=elites[:, : len(layout)],
        excluded=excluded[:, : len(layout)],
        generator=generator(seed),
    )


def test_finds_the_best_genes_and_threshold() -> None:
    best, value = maximize(acquisition, PoolSettings(rounds=12))
    assert best[0, :10].tolist() == [2.0] * 9 + [1.0]
    assert best[0, 10].item() == pytest.approx(0.37, abs=0.06)
    assert value.shape == (1,)


def test_gradient_steps_improve_thresholds() -> None:
    values = [maximize(acquisition, PoolSettings(rounds=3, gradient_steps=steps))[1].item() for steps in (0, 12)]
    assert values[1] > values[0]


def test_excluded_rows_are_never_proposed() -> None:
    small = ColumnLayout((Column("a", "a", 0, 2, True), Column("b", "b", 0, 1, True)))
    everything = torch.cartesian_prod(torch.arange(3.0), torch.arange(2.0)).double()
    best, _ = maximize(lambda X: X.sum((-1, -2)), PoolSettings(), layout=small, excluded=everything[1:])
    assert best.tolist() == [[0.0, 0.0]]
    with pytest.raises(SurrogateError, match="tried already"):
        maximize(lambda X: X.sum((-1, -2)), PoolSettings(), layout=small, elites=everything, excluded=everything)


def test_proposals_are_canonical_and_seeded() -> None:
    rows = [maximize(acquisition, PoolSettings(rounds=2), seed=3)[0] for _ in range(2)]
    assert torch.equal(*rows)
    assert torch.equal(LAYOUT.canonical(rows[0]), rows[0])


def test_mutation_changes_every_row_and_keeps_it_canonical() -> None:
    rows = LAYOUT.sample(200, generator())
    children = mutate(rows, LAYOUT, generator(1))
    assert torch.equal(LAYOUT.canonical(children), children)
    assert (children != rows).any(dim=-1).float().mean() > 0.95


def test_crossover_inherits_groups_whole() -> None:
    mothers, fathers = torch.zeros(50, 11).double(), torch.full((50, 11), 2.0).double()
    children = crossover(mothers, LAYOUT.canonical(fathers), LAYOUT, generator=generator())
    for group in (slice(0, 3), slice(3, 6), slice(6, 9)):
        part = children[:, group]
        assert (part == part[:, :1]).all()
    assert 0 < (children[:, 0] == 0).float().mean() < 1


def test_new_rows_are_neither_seen_nor_repeated() -> None:
    seen: set[bytes] = set()
    assert new_rows(torch.tensor([[3.0], [-0.0]]), seen).tolist() == [[3.0], [0.0]]
    assert new_rows(torch.tensor([[1.0], [2.0], [1.0], [3.0], [0.0]]), seen).tolist() == [[1.0], [2.0]]
    assert new_rows(torch.tensor([[2.0]]), seen).tolist() == []


def test_non_finite_acquisition_is_an_error() -> None:
    with pytest.raises(SurrogateError, match="not finite"):
        maximize(lambda X: X.sum((-1, -2)) * float("nan"), PoolSettings(rounds=0))


def flat_in_some_genes(X: torch.Tensor) -> torch.Tensor:
    """Best at genes 0 to 2 equal to 2; nothing else counts."""
    return X.squeeze(-2)[:, :3].sum(-1)


def dear(rows: torch.Tensor) -> torch.Tensor:
    """Every gene costs, most of all the last one; so does depth."""
    return rows[:, :10].sum(-1) + 9 * rows[:, 8]


def test_of_equal_values_the_cheapest_row_wins() -> None:
    settings = PoolSettings(16, 1, climbs=30)
    best, value = maximize(flat_in_some_genes, settings, cost=dear)
    assert value.item() == 6.0
    assert best[0, :10].tolist() == [2.0, 2.0, 2.0] + [0.0] * 7
    again, _ = maximize(flat_in_some_genes, settings, cost=dear)
    assert torch.equal(best, again)


def test_cost_decides_between_equal_values_only() -> None:
    settings = PoolSettings(rounds=12)
    plain = maximize(acquisition, settings)
    with_cost = maximize(acquisition, settings, cost=dear)
    assert torch.equal(plain[0], with_cost[0])
    # a value that is larger by a millionth is larger, whatever it costs; by rounding errors it is not
    for difference, expected in ((1e-6, 1.0), (1e-13, 0.0)):
        small = ColumnLayout((Column("a", "a", 0, 1, True),))
        best, _ = maximize(
            lambda X, d=difference: -1.0 + d * X.sum((-1, -2)),
            PoolSettings(),
            layout=small,
            cost=lambda rows: rows[:, 0],
        )
        assert best.item() == expected


def test_values_that_are_not_finite_are_not_equal_to_each_other_by_cost() -> None:
    with pytest.raises(SurrogateError, match="not finite"):
        maximize(lambda X: X.sum((-1, -2)) * float("nan"), PoolSettings(rounds=0), cost=dear)


def test_neighbours_differ_in_one_active_entry() -> None:
    row = LAYOUT.canonical(torch.tensor([[1.0] * 9 + [1.0, 0.5]], dtype=torch.float64))[0]
    found = neighbours(row, LAYOUT)
    assert len(found) == 10 * 2 + len(NEIGHBOUR_STEPS)
    assert torch.equal(LAYOUT.canonical(found), found)
    switched_off = found[found[:, 9] == 0.0]
    assert switched_off[:, 10].tolist() == [1.0]  # with the exit goes its threshold
    others = found[found[:, 9] != 0.0]
    assert ((others != row).sum(dim=1) == 1).all()
    without = LAYOUT.canonical(torch.tensor([[1.0] * 9 + [0.0, 0.5]], dtype=torch.float64))[0]
    assert len(neighbours(without, LAYOUT)) == 10 * 2  # a threshold that is switched off does not move


def test_climbing_finds_what_evolution_alone_misses() -> None:
    values = [maximize(acquisition, PoolSettings(16, 1, climbs=climbs))[1] for climbs in (0, 12)]
    assert values[1] > values[0] + 1.0
