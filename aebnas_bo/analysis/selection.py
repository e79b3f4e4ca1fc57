"""Selection of one network of a study, by texts such as `knee` or `macs<=0.05`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

from aebnas_bo.analysis.pareto import pareto_front
from aebnas_bo.errors import UsageError
from aebnas_bo.search.objectives import Objective, optimized
from aebnas_bo.search.trial import Observation, Trial, observations

T = TypeVar("T")
SelectionKind = Literal["knee", "best-accuracy", "macs", "latency", "accuracy", "key"]
COSTS: Mapping[SelectionKind, str] = {"macs": "average_macs", "latency": "latency_ms"}
NUMBER = r"(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+)"
MOST_PERCENT = 100.0
LONGEST = 80  # characters of an option that are echoed
SHORTEST_KEY = 4  # hexadecimal digits that name a network
EXPECTED = (
    "expected knee, best-accuracy, macs<=X (millions), latency<=X (milliseconds), accuracy>=Y (percent) or the key of "
    "a network"
)


@dataclass(frozen=True)
class Selection:
    """Selection of a network.

    Args:
        kind: `knee`: the point of the front farthest beyond the line between its ends, with metrics scaled to the ends
            (Das 1999) and several costs averaged; `best-accuracy`; `macs`: the most accurate network within `value`
            million average MACs; `latency`: the most accurate within `value` milliseconds; `accuracy`: the one with the
            fewest MACs and at least `value` percent; `key`: the network with this key at its most accurate operating
            point.
        value: Limit of `macs`, `latency` and `accuracy`.
        key: Key, or its first digits.
    """

    kind: SelectionKind
    value: float = 0.0
    key: str = ""

    def __str__(self) -> str:
        sign = {"macs": "macs<=", "latency": "latency<=", "accuracy": "accuracy>="}.get(self.kind)
        return self.key or (f"{sign}{self.value:g}" if sign else self.kind)


def parse_selection(text: str) -> Selection:
    """Parse a selection.

    Args:
        text: `knee`, `best-accuracy`, `macs<=X`, `latency<=X`, `accuracy>=Y` or a key (at least its first four digits).

    Raises:
        UsageError: If the text is invalid, or the limit is not a positive number or is above 100 percent.
    """
    words = text.strip().lower()
    if words == "knee":
        return Selection("knee")
    if words == "best-accuracy":
        return Selection("best-accuracy")
    if limit := parse_limit(text, "--select"):
        return limit
    if re.fullmatch(rf"[0-9a-f]{{{SHORTEST_KEY},12}}", words):
        return Selection("key", key=words)
    raise UsageError(f"--select {text[:LONGEST]}: {EXPECTED}")


def parse_limit(text: str, flag: str) -> Selection | None:
    """Parse a limit; return `None` if the text is not a limit.

    Args:
        text: `macs<=X`, `latency<=X` or `accuracy>=Y`.
        flag: The command line option, for messages.

    Raises:
        UsageError: If it is more than 100 percent, or a cost that is not finite and above 0.
    """
    limit = re.fullmatch(r"(?:(macs|latency)\s*<=|(accuracy)\s*>=)\s*" + NUMBER, text.strip().lower(), re.ASCII)
    if limit is None:
        return None
    kind, value = cast(SelectionKind, limit[1] or limit[2]), float(limit[3])
    option = f"{flag} {text[:LONGEST]}"
    if kind == "accuracy" and value > MOST_PERCENT:
        raise UsageError(f"{option}: expected a percentage of at most {MOST_PERCENT:g}")
    if kind != "accuracy" and not 0.0 < value < math.inf:
        raise UsageError(f"{option}: expected a finite number above 0")
    return Selection(kind, value)


def parse_tuned_limit(text: str) -> Selection:
    """Read the limit that thresholds are to be tuned for.

    Args:
        text: `macs<=X` (millions) or `accuracy>=Y` (percent).

    Raises:
        UsageError: If it is anything else, MACs of 0 or more than 100 percent.
    """
    limit = parse_limit(text, "--tune-for")
    if limit is None or limit.kind not in ("macs", "accuracy"):
        raise UsageError(f"--tune-for {text[:LONGEST]}: expected macs<=X (millions) or accuracy>=Y (percent)")
    return limit


def preference(accuracy: float, average_macs: float) -> tuple[float, float]:
    """Return a sort key of networks that is larger for better ones: accuracy, then fewer MACs."""
    return accuracy, -average_macs


def within_budget(found: Sequence[T], budget: float, *, figures: Callable[[T], tuple[float, float]]) -> T:
    """Return the best network within a budget of average MACs or, if there is none, the cheapest network.

    Args:
        found: The networks, at least one.
        budget: Average MACs in millions.
        figures: Function from a network to its accuracy and its average MACs in millions.
    """
    within = [one for one in found if figures(one)[1] <= budget]
    if not within:
        return min(found, key=lambda one: figures(one)[1])
    return max(within, key=lambda one: preference(*figures(one)))


def some_observations(trials: Sequence[Trial]) -> list[Observation]:
    """Return all observations and check that there is at least one.

    Args:
        trials: All trials.

    Raises:
        UsageError: If no trial was completed.
    """
    observed = observations(trials)
    if not observed:
        raise UsageError("no trial was completed, so there is no network to select")
    return observed


def figures_of(observed: Observation) -> tuple[float, float]:
    """Return accuracy in percent and average MACs in millions of an observation, for `within_budget`."""
    return observed.metrics["accuracy"], observed.metrics["average_macs"]


def select(trials: Sequence[Trial], objectives: Sequence[Objective], selection: Selection) -> Observation:
    """Return the observation that a selection refers to: a trial at one of its operating points.

    Args:
        trials: All trials.
        objectives: The metrics; all selections except `key` respect their limits.
        selection: The selection.

    Raises:
        UsageError: If no trial is completed or feasible, or no network meets the selection; the message names the
            nearest one.
    """
    observed = some_observations(trials)
    if selection.kind == "key":
        return _of_key(observed, selection.key)
    front = pareto_front(trials, objectives)
    if not front:
        raise UsageError("no network meets the limits of the search; name one by its key, or search with other limits")
    if selection.kind == "knee":
        return _knee(front, objectives)
    if selection.kind == "best-accuracy":
        return max(front, key=_most_accurate)
    if selection.kind in COSTS:
        cost = COSTS[selection.kind]
        if cost not in front[0].metrics:
            raise UsageError(f"--select {selection}: {cost} is not an objective of this search")
        within = [one for one in front if one.metrics[cost] <= selection.value]
        cheapest = min(front, key=lambda one: one.metrics[cost])
        return _best(within, _most_accurate, selection=selection, nearest=cheapest, name="the cheapest")
    within = [one for one in front if one.metrics["accuracy"] >= selection.value]
    return _best(
        within,
        lambda one: (-_macs(one),),
        selection=selection,
        nearest=max(front, key=_most_accurate),
        name="the most accurate",
    )


def _macs(observed: Observation) -> float:
    return observed.metrics["average_macs"]


def _most_accurate(observed: Observation) -> tuple[float, float]:
    return preference(*figures_of(observed))


def _best(
    found: Sequence[Observation],
    worth: Callable[[Observation], tuple[float, ...]],
    *,
    selection: Selection,
    nearest: Observation,
    name: str,
) -> Observation:
    if not found:
        latency = f" and {nearest.metrics['latency_ms']:.4g} ms" if "latency_ms" in nearest.metrics else ""
        raise UsageError(
            f"--select {selection}: no network found meets it; {name} has {nearest.metrics['accuracy']:.2f} % at "
            f"{_macs(nearest):.4g} M average MACs{latency} (key {nearest.key})"
        )
    return max(found, key=worth)


def _knee(front: Sequence[Observation], objectives: Sequence[Objective]) -> Observation:
    goals = optimized(objectives)
    ends = {o.name: [one.metrics[o.name] for one in front] for o in goals}
    costs = [objective.name for objective in goals if not objective.maximize]

    def share(one: Observation, name: str) -> float:
        return (one.metrics[name] - min(ends[name])) / (max(ends[name]) - min(ends[name]) or 1.0)

    return max(front, key=lambda one: share(one, "accuracy") - sum(share(one, name) for name in costs) / len(costs))


def _of_key(observed: Sequence[Observation], key: str) -> Observation:
    found = [one for one in observed if one.key.startswith(key)]
    keys = sorted({one.key for one in found})
    if not keys:
        raise UsageError(f"--select {key}: no evaluated network has this key; trials.csv of the run lists them all")
    if len(keys) > 1:
        raise UsageError(f"--select {key}: is ambiguous: {', '.join(keys)}; give more digits")
    return max(found, key=_most_accurate)
