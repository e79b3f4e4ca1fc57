"""Tables of `benchmarks.worth`: `worth.csv` and `worth.md`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.storage.atomic_files import write_text
from benchmarks.worth_comparison import FAMILIES, MOST_TIME, Against, Line, Pair, against, is_refused
from benchmarks.worth_jobs import Result

HEADER = (
    "budget", "seeds", "refused", "missing", "our_macs", "our_accuracy",
    *(f"{part}_{name}" for part in FAMILIES
      for name in ("accuracy", "seeds", "difference", "difference_sem", "error_ratio", "outside")),
)  # fmt: skip


def write_table(folder: Path, lines: Sequence[Line]) -> None:
    """Write `worth.csv`.

    Args:
        folder: Output folder.
        lines: Result of `compare`.
    """
    rows = []
    for line in lines:
        budget = "all" if line.budget is None else line.budget
        row: list[object] = [budget, line.num_seeds, line.num_refused, line.num_missing, line.macs, line.accuracy]
        for part in FAMILIES:
            one = line.against.get(part)
            row += [None] * 6 if one is None else [
                one.accuracy, one.num_seeds, one.difference, one.difference_sem, one.error_ratio, one.num_outside
            ]  # fmt: skip
        rows.append(row)
    write_csv(folder / "worth.csv", HEADER, rows)


def write_page(
    folder: Path, results: Sequence[Result], lines: Sequence[Line], *, title: str, widths: Sequence[int]
) -> None:
    """Write `worth.md`: the table, its limitations, the time of each part, and the check of the plain family.

    Args:
        folder: Output folder.
        results: Results of finished jobs.
        lines: Result of `compare`.
        title: First line.
        widths: Widths of the plain families.
    """
    parts = [f"# {title}", "", *_table(lines), "", *_remarks(results, lines), *_times(results, widths)]
    write_text(folder / "worth.md", "\n".join([*parts, *_check(results, widths)]).rstrip() + "\n")


def _table(lines: Sequence[Line]) -> Iterator[str]:
    yield (
        "| budget (M) | seeds | our test MACs (M) | ours (%) | plain (%) | ours − plain | error ratio "
        "| plain + exit (%) | ours − plain + exit | error ratio |"
    )
    yield "|---" * 10 + "|"
    for line in lines:
        cells = ["all" if line.budget is None else f"{line.budget:g}", str(line.num_seeds)]
        cells += [f"{line.macs:.3f}", f"{line.accuracy:.2f}"] if line.num_seeds else ["–", "–"]
        for part in FAMILIES:
            one = line.against.get(part)
            cells += ["–"] * 3 if one is None else [
                f"{one.accuracy:.2f}{'*' if one.num_outside else ''}", _difference(one), f"{one.error_ratio:.3f}"
            ]  # fmt: skip
        yield f"| {' | '.join(cells)} |"


def _difference(one: Against) -> str:
    return f"{one.difference:+.2f}" + ("" if math.isnan(one.difference_sem) else f" ± {one.difference_sem:.2f}")


def _remarks(results: Sequence[Result], lines: Sequence[Line]) -> Iterator[str]:
    yield (
        "Differences in points are paired by seed, with their mean and its standard error over seeds. An error ratio "
        "below 1 is in our favour."
    )
    if any(one.num_outside for line in lines for one in line.against.values()):
        yield "*: some of our MACs lie outside the family's; its nearest network is taken there."
    for result in results:
        if is_refused(result):
            yield (
                f"Refused: the command with seed {result.seed} took {result.wall_seconds:.0f} s, more than "
                f"{MOST_TIME:g} times its {60 * result.minutes:.0f} s."
            )
    for line in lines:
        if line.num_missing and line.budget is not None:
            yield f"No network of ours within {line.budget:g} M: {line.num_missing} of the seeds."
    yield ""


def _times(results: Sequence[Result], widths: Sequence[int]) -> Iterator[str]:
    yield "| part | seeds | wall (s) | processor (s) | budget (s) |"
    yield "|---" * 5 + "|"
    for part in ("ours", *FAMILIES, "reference"):
        its = [result for result in results if result.part == part]
        jobs_per_seed = 1 if part == "ours" else len(widths)
        if not its:
            continue
        wall, processor = (
            jobs_per_seed * statistics.mean(getattr(result, name) for result in its)
            for name in ("wall_seconds", "processor_seconds")
        )
        seeds = len({result.seed for result in its})
        yield f"| {part} | {seeds} | {wall:.0f} | {processor:.0f} | {60 * its[0].minutes:.0f} |"
    yield ""


def _check(results: Sequence[Result], widths: Sequence[int]) -> Iterator[str]:
    """Compare the plain family with the same networks trained by the reference schedule, for each width."""
    accuracies = {
        (result.part, result.seed, point.network): point for result in results for point in result.points
        if result.part in {"plain", "reference"}
    }  # fmt: skip
    rows = []
    for network in (f"w{width}" for width in widths):
        pairs = [
            (point, accuracies["plain", seed, network])
            for (part, seed, name), point in accuracies.items()
            if part == "reference" and name == network and ("plain", seed, network) in accuracies
        ]
        if pairs:
            one = against([Pair(plain.test_accuracy, other.test_accuracy, 0) for other, plain in pairs])
            plain = statistics.mean(plain.test_accuracy for _, plain in pairs)
            rows.append(
                f"| {network} | {pairs[0][0].test_macs:.3f} | {one.num_seeds} | {plain:.2f} | {one.accuracy:.2f} "
                f"| {_difference(one)} |"
            )
    if rows:
        yield "The same plain networks trained by the reference's schedule:"
        yield ""
        yield "| network | MACs (M) | seeds | final recipe (%) | reference (%) | difference |"
        yield "|---" * 6 + "|"
        yield from rows
