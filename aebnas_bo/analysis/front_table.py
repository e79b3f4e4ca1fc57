"""Table of the front for the terminal."""

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
    """Return a table of the front with key, objectives, exit rates and thresholds, which are estimates.

    Args:
        front: The front in the order of the rows; at most 30 rows are shown.
        objectives: The metrics, in the order of the columns.
        corrected: Accuracy corrected for selection by place, for a column after accuracy.
        trained: Trained networks, for a column after the estimates if one of them is on the front.
    """
    shown = evenly(front, MOST_ROWS)
    note = f", {len(shown)} of them shown" if len(shown) < len(front) else ""
    num_networks = len({one.key for one in front})
    settings = f" at {len(front)} operating points" if num_networks < len(front) else ""
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
    """Return a note on corrected accuracies and the optimism of selection.

    Args:
        optimism: Optimism in percentage points by kind, see `Summary.optimism`; the note is empty if this is empty.
    """
    if "thresholds" not in optimism:
        return ""
    choice = f", of choosing the front {optimism['choice']:+.2f}" if "choice" in optimism else ""
    return (
        "corrected: thresholds tuned for the same average MACs on one half of the validation images, accuracy measured "
        f"on the other; mean optimism of tuning {optimism['thresholds']:+.2f} points{choice}"
    )


def evenly(front: Sequence[Observation], count: int) -> list[Observation]:
    """Return at most `count` observations spread evenly over a front, including its ends."""
    if len(front) <= count:
        return list(front)
    return [front[round(i * (len(front) - 1) / (count - 1))] for i in range(count)]


def exit_rates_text(observed: Observation) -> str:
    """Return the exit rate of each output in percent, with a dash for an exit that is switched off."""
    rates = observed.point.exit_rates.items()
    return " / ".join(f"{100 * rate:.0f}" if _exists(observed, output) else "–" for output, rate in rates)


def thresholds_text(observed: Observation) -> str:
    """Return the threshold of every exit, with a dash for an exit that is switched off or not run."""
    known = observed.point.thresholds
    names = [f"{output}_threshold" for output in observed.point.exit_rates if output != "final"] or list(known)
    return " / ".join(f"{known[name]:.2f}" if name in known else "–" for name in names)


def _exists(observed: Observation, output: str) -> bool:
    """Return whether an output is switched on."""
    return observed.parameters.get(f"{output}_depth", 1) != 0


def limits_text(trials: Sequence[Trial], objectives: Sequence[Objective]) -> str:
    """Return a text on the observations that meet the limits or, if none does, on the nearest one.

    Args:
        trials: All trials.
        objectives: The metrics; the text is empty if none of them has a limit.
    """
    limited = [objective for objective in objectives if objective.limit is not None]
    if not limited:
        return ""
    limits = " and ".join(f"{o.name} {'>=' if o.maximize else '<='} {o.limit:g}" for o in limited)
    nearest = nearest_to_admissible(trials, objectives)
    if nearest is None:
        return f"no network was evaluated to meet {limits}"
    missed = misses(nearest.metrics, objectives)
    if not missed:
        observed = observations(trials)
        return f"{len(admissible(observed, objectives))} of {len(observed)} observations have {limits}"
    units = {objective.name: objective.unit for objective in objectives}
    by = " and ".join(f"{name} by {miss:.4g} {units[name]}".rstrip() for name, miss in missed.items())
    return f"no network found has {limits}; trial {nearest.number} (key {nearest.key}) is nearest and misses {by}"
