"""The comparison over all problems: share of the best hypervolume after 25, 50, 100 and 200 evaluations, and ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import mannwhitneyu, wilcoxon

from benchmarks.comparison import FEWEST_SEEDS, OURS, curve_of, holm
from benchmarks.curves import Run, median_seconds

MARKS = (25, 50, 100, 200)
SIGNIFICANT = 0.05
FEWEST_PROBLEMS = 6  # with fewer the signed-rank test cannot be significant
ABOVE, BELOW = "▲", "▼"
LEGEND = (
    "The first table of each problem has the share of the best hypervolume known, mean over seeds with its standard "
    f"error. {ABOVE}: `{OURS}` is significantly larger, {BELOW}: significantly smaller (Wilcoxon rank-sum test, "
    f"two-sided, corrected by Holm for the peers of a column, p < {SIGNIFICANT}; from {FEWEST_SEEDS} seeds on)."
)

Shares = dict[str, np.ndarray]


def shares(runs: Sequence[Run], best: float, mark: int) -> Shares:
    """Return each method's shares of the best hypervolume after some evaluations, one per run that is long enough.

    Args:
        runs: Runs of one problem.
        best: Best hypervolume known.
        mark: Number of evaluations.
    """
    found: dict[str, list[float]] = {}
    for run in runs:
        if len(run.trials) >= mark:
            found.setdefault(run.method, []).append(curve_of(run, "own")[mark - 1] / best)
    return {name: np.array(values) for name, values in found.items()}


def verdicts(found: Shares) -> dict[str, str]:
    """Return for each peer whether ours is significantly larger or smaller; peers that do not differ are left out.

    Args:
        found: Shares by method.
    """
    ours = found.get(OURS, np.empty(0))
    peers = {name: theirs for name, theirs in found.items() if not name.startswith(OURS)}
    tested = {name: theirs for name, theirs in peers.items() if min(len(ours), len(theirs)) >= FEWEST_SEEDS}
    p_values = holm({name: float(mannwhitneyu(ours, theirs).pvalue) for name, theirs in tested.items()})
    return {
        name: ABOVE if ours.mean() > tested[name].mean() else BELOW
        for name, p_value in p_values.items()
        if p_value < SIGNIFICANT
    }


def share_table(runs: Sequence[Run], best: float) -> list[str]:
    """Return a Markdown table of the methods of one problem, the best mean at the last mark first."""
    by_mark = {mark: shares(runs, best, mark) for mark in MARKS}
    differences = {mark: verdicts(found) for mark, found in by_mark.items()}

    def order(name: str) -> tuple[float, ...]:
        return tuple(-float(by_mark[mark][name].mean()) if name in by_mark[mark] else 1.0 for mark in reversed(MARKS))

    lines = [
        f"| method | seeds | {' | '.join(map(str, MARKS))} | s per proposal |",
        f"|---|---|{'---|' * len(MARKS)}---|",
    ]
    for name in sorted({run.method for run in runs}, key=order):
        its = [run for run in runs if run.method == name]
        cells = [_cell(by_mark[mark].get(name), len(its), differences[mark].get(name, "")) for mark in MARKS]
        seconds = float(np.median([median_seconds(run) for run in its]))
        title = f"**{name}**" if name == OURS else name
        lines.append(f"| {title} | {len(its)} | {' | '.join(cells)} | {seconds:.2f} |")
    return [*lines, ""]


def _cell(values: np.ndarray | None, num_seeds: int, verdict: str) -> str:
    if values is None:
        return ""
    error = f" ± {values.std(ddof=1) / np.sqrt(len(values)):.4f}" if len(values) > 1 else ""
    count = f" ({len(values)} seeds)" if len(values) < num_seeds else ""
    return f"{values.mean():.4f}{error}{count} {verdict}".rstrip()


def overview(runs: Sequence[Run], best: Mapping[str, float]) -> list[str]:
    """Return Markdown tables over all problems: where ours leads, and mean ranks.

    Args:
        runs: All runs.
        best: Best hypervolume known by problem.
    """
    by_mark = {
        mark: {
            problem: shares([run for run in runs if run.problem == problem], value, mark)
            for problem, value in best.items()
        }
        for mark in MARKS
    }
    return [f"## {len(best)} problems", "", *_leads(by_mark), *_ranks(by_mark), LEGEND, ""]


def _leads(by_mark: Mapping[int, Mapping[str, Shares]]) -> list[str]:
    lines = [
        f"| evaluations | problems with `{OURS}` and peers | mean above every peer | behind a peer | significantly |",
        "|---|---|---|---|---|",
    ]
    for mark, by_problem in by_mark.items():
        compared = {name: found for name, found in by_problem.items() if OURS in found and len(found) > 1}
        behind = {name: leaders for name, found in compared.items() if (leaders := _leaders(found))}
        below = {name: worse for name, found in compared.items() if (worse := _significant_leaders(found))}
        lines.append(
            f"| {mark} | {len(compared)} | {len(compared) - len(behind)} | {_listed(behind)} | {_listed(below)} |"
        )
    return [*lines, ""]


def _leaders(found: Shares) -> list[str]:
    return [name for name, theirs in found.items() if not name.startswith(OURS) and theirs.mean() >= found[OURS].mean()]


def _significant_leaders(found: Shares) -> list[str]:
    return [name for name, verdict in verdicts(found).items() if verdict == BELOW]


def _listed(names: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{problem} ({', '.join(methods)})" for problem, methods in names.items()) or "none"


def _ranks(by_mark: Mapping[int, Mapping[str, Shares]]) -> list[str]:
    """Return mean ranks over the problems on which a method ran, and how sure ours differs from it over problems."""
    methods = sorted({name for by_problem in by_mark.values() for found in by_problem.values() for name in found})
    columns = {mark: _rank_column(by_problem) for mark, by_problem in by_mark.items()}
    lines = [
        "Mean rank over problems, 1 is best; in brackets the number of problems, and p of the Wilcoxon signed-rank "
        f"test over problems that `{OURS}` does not differ, corrected by Holm (from {FEWEST_PROBLEMS} problems on).",
        "",
        f"| method | {' | '.join(map(str, MARKS))} |",
        f"|---|{'---|' * len(MARKS)}",
    ]
    lines += [f"| {name} | {' | '.join(columns[mark].get(name, '') for mark in MARKS)} |" for name in methods]
    return [*lines, ""]


def _rank_column(by_problem: Mapping[str, Shares]) -> dict[str, str]:
    ranks: dict[str, list[int]] = {}
    differences: dict[str, list[float]] = {}
    for found in by_problem.values():
        means = {name: float(values.mean()) for name, values in found.items()}
        for name, mean in means.items():
            ranks.setdefault(name, []).append(1 + sum(other > mean for other in means.values()))
            if OURS in means and not name.startswith(OURS):
                differences.setdefault(name, []).append(means[OURS] - mean)
    tested = {name: values for name, values in differences.items() if len(values) >= FEWEST_PROBLEMS and any(values)}
    p_values = holm({name: float(wilcoxon(values).pvalue) for name, values in tested.items()})
    return {
        name: f"{np.mean(values):.2f} ({len(values)}{f', p {p_values[name]:.2g}' if name in p_values else ''})"
        for name, values in ranks.items()
    }
