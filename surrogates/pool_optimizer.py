"""Maximise an acquisition function over a mixed, conditional space by evolving a pool of canonical candidates.

Gradient methods cannot change discrete entries, and BoTorch's discrete optimisers search one neighbourhood at a time.
This optimiser has three steps:

1. Evolve a pool of elites and random rows by mutation and crossover; each round is one batched evaluation.
2. Hill-climb from the best row: evaluate all rows that differ from it in one entry, move to the best, repeat.
3. Move the continuous entries (thresholds) of the best rows along the gradient.

The acquisition function is flat in entries without effect on any outcome, such as those behind an exit at which every
input leaves. Among rows of equal value, steps 2 and 3 choose the one with the lowest cost.

Legend: `q` joint candidates, `d` columns, `n` rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.columns import ColumnLayout
from surrogates.errors import NoCandidateError, SurrogateError

AcquisitionFunction = Callable[[Tensor], Tensor]
Cost = Callable[[Tensor], Tensor]
"""Maps canonical rows, `n x d`, to `n` costs."""

THRESHOLD_STEP = 0.1  # standard deviation of a mutated continuous entry, as a share of its range
GRADIENT_LEARNING_RATE = 0.03  # size of Adam's first step, as a share of the range; a third of a mutation
NEIGHBOUR_STEPS = (-0.3, -0.1, -0.03, 0.03, 0.1, 0.3)  # of a continuous entry, as shares of its range
EQUAL = 1e-9  # relative difference from the best value up to which values count as equal (rounding errors)
MUTATION_COUNTS = (1, 1, 2, 3, 5)  # number of mutated entries, drawn uniformly


@dataclass(frozen=True)
class Criterion:
    """Criterion by which candidates are ranked.

    Args:
        acquisition: Maps `n x 1 x d` to `n` values; differentiable in the continuous columns.
        cost: Breaks ties between rows of equal value: the lowest cost wins. If `None`, the first row found wins.
    """

    acquisition: AcquisitionFunction
    cost: Cost | None = None


@dataclass(frozen=True)
class PoolSettings:
    """Limits on the work of one maximisation.

    Args:
        pool_size: Candidates per round.
        rounds: Rounds of evolution after the first pool.
        parents: Number of best candidates that are parents of the next round.
        climbs: Maximum number of hill-climbing steps.
        gradient_steps: Adam steps on the continuous entries of the best candidates.
        gradient_starts: Number of best candidates that gradient steps start from.
    """

    pool_size: int = 96
    rounds: int = 5
    parents: int = 24
    climbs: int = 8
    gradient_steps: int = 6
    gradient_starts: int = 4


def maximize_acquisition(
    criterion: Criterion,
    layout: ColumnLayout,
    settings: PoolSettings,
    *,
    elites: Tensor,
    excluded: Tensor,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Find the untried canonical row with the largest acquisition value.

    Args:
        criterion: Acquisition function and tie-breaking cost.
        layout: The `d` columns.
        settings: Limits on the work.
        elites: Good rows to start from, `k x d` with `k >= 0`.
        excluded: Rows that must not be proposed again, `n x d`.
        generator: Source of randomness (CPU).

    Returns:
        The best row, `1 x d`, and its value, `1`.

    Raises:
        NoCandidateError: If no new row exists.
        SurrogateError: If no value is finite.
    """
    acquisition = criterion.acquisition
    elites, tried = layout.canonical(elites), set(_keys(layout.canonical(excluded)))
    seen = set(tried)
    half = settings.pool_size // 2
    pool = layout.sample(settings.pool_size, generator).to(elites)
    if len(elites):
        pool = torch.cat([pool[:half], mutate(_pick(elites, settings.pool_size - half, generator), layout, generator)])
    rows, values = _evaluate(acquisition, new_rows(pool, seen))
    for _ in range(settings.rounds):
        parents = rows[: settings.parents] if len(rows) else pool
        mothers = _pick(parents, settings.pool_size, generator)
        fathers = _pick(parents, settings.pool_size, generator)
        children = mutate(crossover(mothers, fathers, layout, generator=generator), layout, generator)
        fresh, fresh_values = _evaluate(acquisition, new_rows(children, seen))
        rows, values = _best(torch.cat([rows, fresh]), torch.cat([values, fresh_values]), settings.pool_size)
    if not len(rows):
        raise NoCandidateError("every candidate has been tried already: the space is exhausted or the pool too small")
    rows, values = _climb(criterion, layout, settings, rows=rows, values=values, seen=seen)
    refined, refined_values = _follow_gradient(acquisition, layout, rows[: settings.gradient_starts], settings=settings)
    is_new = torch.tensor([key not in tried for key in _keys(refined)], dtype=torch.bool)
    rows, values = _best(
        torch.cat([rows, refined[is_new]]), torch.cat([values, refined_values[is_new]]), 1, cost=criterion.cost
    )
    if not torch.isfinite(values).all():
        raise SurrogateError("the acquisition function is not finite at any candidate")
    return rows, values


def mutate(rows: Tensor, layout: ColumnLayout, generator: torch.Generator) -> Tensor:
    """Change one to five entries of each row: discrete entries to another level, continuous entries by a small step.

    Active entries are changed first, because the canonical form undoes changes of inactive ones.
    """
    n, d = rows.shape
    counts = torch.tensor(MUTATION_COUNTS)[torch.randint(len(MUTATION_COUNTS), (n,), generator=generator)]
    weights = torch.rand(n, d, generator=generator, dtype=rows.dtype) + layout.activity(rows).to(rows)
    ranks = weights.argsort(dim=-1, descending=True).argsort(dim=-1)
    chosen = ranks < counts[:, None]
    lower, upper = layout.bounds.to(rows)
    num_levels = upper - lower + 1.0
    jump = 1.0 + torch.floor(torch.rand(n, d, generator=generator, dtype=rows.dtype) * (num_levels - 1.0))
    other_level = torch.remainder(rows + jump, num_levels)
    step = torch.randn(n, d, generator=generator, dtype=rows.dtype) * THRESHOLD_STEP * (upper - lower)
    changed = torch.where(layout.is_discrete, other_level, rows + step)
    return layout.canonical(torch.where(chosen, changed, rows))


def crossover(mothers: Tensor, fathers: Tensor, layout: ColumnLayout, *, generator: torch.Generator) -> Tensor:
    """Take each group of columns from one of two parents, so that a stage or an exit is inherited as a whole."""
    groups = list(dict.fromkeys(column.group for column in layout.columns))
    index = torch.tensor([groups.index(column.group) for column in layout.columns])
    from_mother = torch.rand(len(mothers), len(groups), generator=generator) < 0.5
    return layout.canonical(torch.where(from_mother[:, index], mothers, fathers))


def neighbours(row: Tensor, layout: ColumnLayout) -> Tensor:
    """Return the canonical rows that differ from a row, `d`, in one active entry: another level or a fixed step."""
    lower, upper = layout.bounds.to(row)
    active = layout.activity(row.unsqueeze(0))[0]
    changed = []
    for position, column in enumerate(layout.columns):
        if not active[position]:
            continue
        if column.is_discrete:
            values = [float(level) for level in range(column.num_levels) if level != row[position]]
        else:
            span = float(upper[position] - lower[position])
            values = [float(row[position]) + step * span for step in NEIGHBOUR_STEPS]
        rows = row.repeat(len(values), 1)
        rows[:, position] = torch.tensor(values).to(row)
        changed.append(rows)
    return layout.canonical(torch.cat(changed))


def _climb(
    criterion: Criterion,
    layout: ColumnLayout,
    settings: PoolSettings,
    *,
    rows: Tensor,
    values: Tensor,
    seen: set[bytes],
) -> tuple[Tensor, Tensor]:
    """Search the neighbourhood of the best row repeatedly, until no neighbour is better, or equal and cheaper."""
    rows, values = _best(rows, values, settings.pool_size, cost=criterion.cost)
    for _ in range(settings.climbs):
        around = new_rows(neighbours(rows[0], layout), seen)
        found, found_values = _evaluate(criterion.acquisition, around)
        best = rows[0]
        rows, values = torch.cat([rows, found]), torch.cat([values, found_values])
        rows, values = _best(rows, values, settings.pool_size, cost=criterion.cost)
        if torch.equal(rows[0], best):
            break
    return rows, values


def new_rows(rows: Tensor, seen: set[bytes]) -> Tensor:
    """Return the distinct canonical rows that are not in `seen`, and add them to it."""
    mask = []
    for key in _keys(rows):
        mask.append(key not in seen)
        seen.add(key)
    return rows[torch.tensor(mask, dtype=torch.bool)]


def _keys(rows: Tensor) -> list[bytes]:
    return [row.tobytes() for row in (rows.detach().cpu() + 0.0).numpy()]  # adding 0 turns -0.0 into 0.0


def _pick(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return rows[torch.randint(len(rows), (count,), generator=generator)]


def _evaluate(acquisition: AcquisitionFunction, rows: Tensor) -> tuple[Tensor, Tensor]:
    if not len(rows):
        return rows, rows.new_empty(0)
    with torch.no_grad():
        values = acquisition(rows.unsqueeze(-2))
    return _best(rows, values, len(rows))


def _best(rows: Tensor, values: Tensor, count: int, *, cost: Cost | None = None) -> tuple[Tensor, Tensor]:
    """Return the `count` rows with the largest values, descending; rows equal to the best are sorted by cost."""
    comparable = torch.nan_to_num(values, nan=-torch.inf)
    order = comparable.argsort(descending=True, stable=True)
    if cost is not None and len(order):
        ranked = comparable[order]
        num_equal = int((ranked >= ranked[0] - EQUAL * ranked[0].abs()).sum())
        if num_equal > 1:
            equal = order[:num_equal]
            order = torch.cat([equal[cost(rows[equal]).argsort(stable=True)], order[num_equal:]])
    return rows[order[:count]], values[order[:count]]


def _follow_gradient(
    acquisition: AcquisitionFunction, layout: ColumnLayout, starts: Tensor, *, settings: PoolSettings
) -> tuple[Tensor, Tensor]:
    """Move the active continuous entries of each start uphill; return the best row of each path and its value."""
    lower, upper = layout.bounds.to(starts)
    movable = layout.activity(starts) & ~layout.is_discrete
    if settings.gradient_steps == 0 or not movable.any():
        return _evaluate(acquisition, starts)
    shift = torch.zeros_like(starts, requires_grad=True)
    optimizer = torch.optim.Adam([shift], lr=GRADIENT_LEARNING_RATE)
    best_rows, best_values = starts, torch.full_like(starts[:, 0], -torch.inf)
    for _ in range(settings.gradient_steps + 1):
        moved = torch.minimum(torch.maximum(starts + shift * (upper - lower), lower), upper)
        rows = torch.where(movable, moved, starts)
        values = acquisition(rows.unsqueeze(-2))
        is_better = values.detach() > best_values
        best_rows = torch.where(is_better[:, None], rows.detach(), best_rows)
        best_values = torch.where(is_better, values.detach(), best_values)
        gradient = torch.autograd.grad(-values.sum(), shift)[0]
        shift.grad = torch.where(movable & gradient.isfinite(), gradient, 0.0)
        optimizer.step()
    return best_rows, best_values
