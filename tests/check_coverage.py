"""Prints the coverage of every package, as the last `pytest --cov` measured it, and fails below the limits.

python -m tests.check_coverage
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from coverage import Coverage

LEAST_TOTAL, LEAST_PACKAGE = 92.0, 85.0  # percent of lines and branches together
COUNTS = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def counts_by_package(files: dict[str, dict[str, dict[str, int]]]) -> dict[str, Counter[str]]:
    """Return the added counts of each folder's files, by its path.

    Args:
        files: By path, what `coverage json` reports of each file.
    """
    packages: dict[str, Counter[str]] = defaultdict(Counter)
    for path, report in files.items():
        packages[Path(path).parent.as_posix()].update({name: report["summary"][name] for name in COUNTS})
    return packages


def percent(counts: Counter[str]) -> float:
    """Return the covered share of lines and branches together, in percent."""
    whole = counts["num_statements"] + counts["num_branches"]
    return 100.0 * (counts["covered_lines"] + counts["covered_branches"]) / whole if whole else 100.0


def main() -> int:
    """Print the table; return 1 if a package or the total is below its limit, else 0."""
    coverage = Coverage()
    coverage.load()
    with TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        coverage.json_report(outfile=str(report))
        packages = counts_by_package(json.loads(report.read_text(encoding="utf-8"))["files"])
    total = sum(packages.values(), Counter[str]())
    failures = []
    print(f"{'package':<45}{'lines':>14}{'branches':>14}{'both':>9}")
    for name, counts in [*sorted(packages.items()), ("total", total)]:
        lines, branches = ("{}/{}".format(*(counts[name] for name in COUNTS[at : at + 2])) for at in (0, 2))
        print(f"{name:<45}{lines:>14}{branches:>14}{percent(counts):>8.1f}%")
        least = LEAST_TOTAL if name == "total" else LEAST_PACKAGE
        if percent(counts) < least:
            failures.append(f"{name} is covered to {percent(counts):.1f} %, expected at least {least:g} %")
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
