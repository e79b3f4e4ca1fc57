"""Comparison of the runs of `benchmarks.run`: writes `tables.md` and one figure per problem.

python -m benchmarks.compare runs/benchmark --out FOLDER --figures FOLDER
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.comparison import OURS, Measure, Result, compare, curve_of, evaluations_to_reach, has_settings
from benchmarks.curves import Run, load_runs
from benchmarks.overview import overview, share_table
from benchmarks.plots import plot_problem

MARKS = (100, 200)
LONG = ("aebnas", 340)  # the loop of AEBNAS at its published length
TITLES: dict[Measure, str] = {
    "own": "what each method returns (ours with its further operating points)",
    "settings": "every method with the further operating points of its networks",
}


def main() -> None:
    """Write tables and figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--figures", type=Path, required=True)
    parser.add_argument("--dev", action="store_true", help="the runs with seeds from 100 on, instead of the others")
    arguments = parser.parse_args()
    write_report(arguments.runs, arguments.out, arguments.figures, is_dev=arguments.dev)


def write_report(folder: Path, out: Path, figures: Path, *, is_dev: bool = False) -> None:
    """Write tables and figures of the runs in a folder.

    Args:
        folder: Files of the runs.
        out: Folder of `tables.md`.
        figures: Folder of one PNG per problem.
        is_dev: Whether to compare the runs on which constants are chosen, instead of the others.
    """
    for made in (out, figures):
        made.mkdir(parents=True, exist_ok=True)
    runs, best = load_runs(folder, is_dev)
    lines: list[str] = overview(runs, best)
    for problem in best:
        of_problem = [run for run in runs if run.problem == problem]
        slug = problem.replace("/", "-")
        plot_problem(figures / f"search-{slug}.png", of_problem, best[problem])
        lines += [f"## {problem}", "", f"Best hypervolume known: {best[problem]:.6g}.", ""]
        lines += share_table(of_problem, best[problem])
        for measure, title in list(TITLES.items())[: 2 if has_settings(of_problem) else 1]:
            for mark in MARKS:
                if results := compare(of_problem, best[problem], mark, measure):
                    lines += [f"After {mark} evaluations, {title}:", "", *table(results)]
            lines += long_run(of_problem, measure)
    text = "\n".join(lines)
    (out / "tables.md").write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")


def table(results: Sequence[Result]) -> list[str]:
    """Return a Markdown table."""
    rows = [
        "| method | seeds | hypervolume: mean | median [quartiles] | log10 to the best | area to the best | "
        "ours reaches it after | s per proposal | p (Holm) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        reached = "never" if r.reached is None else str(r.reached)
        p_value = "" if r.p_value is None else f"{r.p_value:.2g}"
        rows.append(
            f"| {r.method} | {r.num_seeds} | {r.mean:.3f} | {r.median:.3f} [{r.low:.3f}, {r.high:.3f}] | "
            f"{r.log_difference:.2f} | {r.area:.3f} | {reached} | {r.seconds:.2f} | {p_value} |"
        )
    return [*rows, ""]


def long_run(runs: Sequence[Run], measure: Measure) -> list[str]:
    """Return a sentence on the evaluations that our search needs to reach the hypervolume of AEBNAS's full loop."""
    name, length = LONG
    finals = [curve_of(r, measure)[length - 1] for r in runs if r.method == name and len(r.trials) >= length]
    ours = [curve_of(r, measure)[: MARKS[-1]] for r in runs if r.method == OURS and len(r.trials) >= MARKS[-1]]
    if not finals or not ours:
        return []
    value = float(np.mean(finals))
    reached = evaluations_to_reach(np.stack(ours), value)
    return [f"`{name}` after {length} evaluations: {value:.3f} (mean); ours reaches it after {reached} (median).", ""]


if __name__ == "__main__":
    main()
