"""The front as a table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from aebnas_bo.analysis.pareto import admissible, nearest_to_admissible
from aebnas_bo.analysis.trained_point import TrainedPoint, nearest_trained, trained_text
from aebnas_bo.search.objectives import Objective, misses
from aebnas_bo.search.trial import Observation, Place, Trial, observations
from aebnas_bo.storage.count_text import counted

MOST_ROWS = 30


def front_table(
    front: Sequence[Observation],
    objectives: Sequence[Objective],
    corrected: Mapping[Place, float] | None = None,
    *,
    trained: Sequence[TrainedPoint] = (),
) -> Table:
    """Return key, objectives, exit rates and thresholds of the front, all of them estimates.

    Args:
        front: The front, in the order of the rows; at most 30 rows are shown.
        objectives: The metrics, in the order of the columns.
        corrected: Accuracy corrected for selection, by place of the observation; a column behind accuracy.
        trained: Trained networks; a column behind the estimates where one of them is on the front.
    """
    shown = evenly(front, MOST_ROWS)
    note = f", {len(shown)} of them shown" if len(shown) < len(front) else ""
    num_networks = len({one.key for one in front})
    settings = f" at {len(front)} settings of their thresholds" if num_networks < len(front) else ""
    table = Table(
        title=f"Pareto front: {counted(num_networks, 'network')}{settings}{note}, as estimated",
        title_justify="left",
    )
    table.add_column("key", no_wrap=True)
    for objective in objectives:
        unit = f" ({objective.unit})" if objective.unit else ""
        table.add_column(f"{objective.name}{unit}", justify="right")
        if corrected and objective.name == "accuracy":
            table.add_column("corrected (%)", justify="right")
    beside = [nearest_trained(trained, one.key, one.metrics["average_macs"]) for one in shown] if trained else []
    if any(beside):
        table.add_column("trained: (%) at MACs (M)", justify="right")
    has_exits = any(one.point.exit_rates for one in shown)
    if has_exits:
        table.add_column("exit rates (%)", justify="right")
        table.add_column("thresholds", justify="right")
    for row, one in enumerate(shown):
        cells = [one.key]
        for objective in objectives:
            sem = one.sems[objective.name]
            digits = 2 if objective.maximize else 4
            text = f"{one.metrics[objective.name]:.{digits}f}"
            cells.append(text + (f" ± {sem:.{digits}f}" if sem and objective.maximize else ""))
            if corrected and objective.name == "accuracy":
                accuracy = corrected.get(one.place)
                cells.append("–" if accuracy is None else f"{accuracy:.2f}")
        if any(beside):
            cells.append(trained_text(beside[row]))
        if has_exits:
            cells += [exit_rates_text(one), thresholds_text(one)]
        table.add_row(*cells)
    return table


def optimism_text(optimism: Mapping[str, float]) -> str:
    """Return a sentence that explains corrected accuracies and says how large the optimism of selection is.

    Args:
        optimism: Points of percent by what was chosen, as `summary.json` has them; empty text without any.
    """
    if "thresholds" not in optimism:
        return ""
    choice = f", of choosing the front {optimism['choice']:+.2f}" if "choice" in optimism else ""
    return (
        "corrected: thresholds tuned on one half of the validation images for the same average MACs, accuracy on the "
        f"other half; mean optimism of tuning {optimism['thresholds']:+.2f} points{choice}"
    )


def evenly(front: Sequence[Observation], count: int) -> list[Observation]:
    """Return at most `count` observations of a front, its ends among them, spread evenly over it."""
    if len(front) <= count:
        return list(front)
    return [front[round(i * (len(front) - 1) / (count - 1))] for i in range(count)]


def exit_rates_text(observed: Observation) -> str:
    """Return the percentage of images leaving at each exit and at the end, a dash for an exit that is off."""
    rates = observed.point.exit_rates.items()
    return " / ".join(f"{100 * rate:.0f}" if _exists(observed, output) else "–" for output, rate in rates)


def thresholds_text(observed: Observation) -> str:
    """Return the threshold of every exit, a dash for one that is off or not run."""
    known = observed.point.thresholds
    names = [f"{output}_threshold" for output in observed.point.exit_rates if output != "final"] or list(known)
    return " / ".join(f"{known[name]:.2f}" if name in known else "–" for name in names)


def _exists(observed: Observation, output: str) -> bool:
    """Return whether an output is switched on."""
    return observed.parameters.get(f"{output}_depth", 1) != 0


def limits_text(trials: Sequence[Trial], objectives: Sequence[Objective]) -> str:
    """Return how many observations meet the limits or, if none does, the nearest one and how far it is off.

    Args:
        trials: All trials.
        objectives: The metrics; empty text if none of them has a limit.
    """
    limited = [objective for objective in objectives if objective.limit is not None]
    if not limited:
        return ""
    limits = " and ".join(f"{o.name} {'>=' if o.maximize else '<='} {o.limit:g}" for o in limited)
    nearest = nearest_to_admissible(trials, objectives)
    if nearest is None:
        return f"nothing was measured that could be {limits}"
    missed = misses(nearest.metrics, objectives)
    if not missed:
        observed = observations(trials)
        return f"{len(admissible(observed, objectives))} of {len(observed)} observations have {limits}"
    units = {objective.name: objective.unit for objective in objectives}
    by = " and ".join(f"{name} by {miss:.4g} {units[name]}".rstrip() for name, miss in missed.items())
    return f"no network found has {limits}; trial {nearest.number} (key {nearest.key}) is nearest and misses {by}"
