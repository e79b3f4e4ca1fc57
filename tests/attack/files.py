"""Mutates pictures, archives and exported networks: the tests of these with more cases and other seeds.

python -m tests.attack.files --count 500 --seed 0
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[1] / "unit/aebnas_bo"
TESTS = (
    UNIT / "data/test_archives.py::test_a_mutated_archive_is_read_or_refused_with_one_line",
    UNIT / "data/test_decoding.py::test_a_mutated_picture_is_decoded_or_refused_with_one_line",
    UNIT / "deploy/test_hostile_network_files.py::test_a_mutated_network_is_used_or_refused_with_one_line",
)

LEAST = 30  # of fewer, some formats have none that is used, or none that is refused, and the tests want both


class _Counter:
    """Counts the tests, each of one format."""

    def __init__(self) -> None:
        self.formats = 0
        self.failed = 0
        self.skipped = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.formats += report.when == "setup"
        self.failed += report.failed
        self.skipped += report.skipped


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tests and print one line; the exit code is 1 if one failed, or none ran."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help=f"files of each format, at least {LEAST}")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    count = max(options.count, LEAST)
    os.environ |= {"AEBNAS_BO_MUTATIONS": str(count), "AEBNAS_BO_SEED": str(options.seed)}
    counter = _Counter()
    status = pytest.main(
        ["-q", "--no-header", "--show-capture=no", "-p", "no:xdist", *map(str, TESTS)], plugins=[counter]
    )
    skipped = f", {counter.skipped} skipped" if counter.skipped else ""
    sys.stdout.write(
        f"files: {count} of each of {counter.formats} formats, {counter.failed} formats with tracebacks or "
        f"wrong results{skipped}\n"
    )
    return int(status != pytest.ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main())
