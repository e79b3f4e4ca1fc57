import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

# A run of seconds: few epochs, few trials, little work per proposal.
SMALL = [
    "--set=supernet.epochs=3", "--set=supernet.random_subnets=1", "--set=search.design_trials=5",
    "--set=search.mc_samples=16", "--set=search.pool_size=16", "--set=search.rounds=1",
    "--set=data.max_train_images=600",
]  # fmt: skip


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "AEBNAS_BO_CACHE": str(tmp_path / "cache"), "COLUMNS": "200"}


@pytest.fixture
def command() -> list[str]:
    return [sys.executable, "-m", "aebnas_bo.run"]


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str], command: list[str]) -> Run:
    def call(*arguments: str, small: bool = True) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, *(SMALL if small else []), *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    return call


class Called(NamedTuple):
    """What one call of the command line came to."""

    returncode: int
    stdout: str
    stderr: str


# All calls in one process: each would take seconds to import PyTorch and Ax.
CALLS = """
import contextlib, io, json, sys
from aebnas_bo.cli.app import app
for arguments in json.loads(sys.argv[1]):
    stdout, stderr, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            app(arguments)
        except SystemExit as error:
            code = error.code
    print(json.dumps([code, stdout.getvalue(), stderr.getvalue()]))
"""


@pytest.fixture
def calls(tmp_path: Path, environment: dict[str, str]) -> Callable[[list[list[str]]], list[Called]]:
    """Calls `aebnas-bo` with one list of arguments after another, for short calls such as mistakes."""

    def run_all(arguments: list[list[str]]) -> list[Called]:
        result = subprocess.run(
            [sys.executable, "-c", CALLS, json.dumps(arguments)],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=True,
        )  # fmt: skip
        return [Called(*json.loads(line)) for line in result.stdout.splitlines()]

    return run_all


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def without_times(path: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if not k.endswith("_s")} for row in read_csv(path)]


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
