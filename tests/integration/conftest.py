import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

RunProcess = Callable[..., "subprocess.CompletedProcess[str]"]

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


class Called(NamedTuple):
    """What one call of the command line came to."""

    returncode: int
    stdout: str
    stderr: str


Call = Callable[..., Called]


@pytest.fixture
def call(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls `aebnas-bo` in this process: one of its own would take seconds to import PyTorch and Ax."""
    from aebnas_bo.cli.app import app

    monkeypatch.chdir(tmp_path)
    for name in ("AEBNAS_BO_CACHE", "COLUMNS"):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.setattr("aebnas_bo.cli.reporting.StopSignals.install", lambda self: None)

    def invoke(*arguments: str) -> Called:
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        return Called(result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture
def calls(call: Call) -> Callable[[list[list[str]]], list[Called]]:
    """Calls `aebnas-bo` with one list of arguments after another."""
    return lambda arguments: [call(*one) for one in arguments]


@pytest.fixture
def run(call: Call) -> Call:
    """Calls `aebnas-bo run`, by default for a run of seconds."""
    return lambda *arguments, small=True: call("run", *(SMALL if small else []), *arguments)


@pytest.fixture
def run_process(tmp_path: Path, environment: dict[str, str], command: list[str]) -> RunProcess:
    """Searches in a process of its own, as a user does."""

    def start(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, *SMALL, *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    return start


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def without_times(path: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if not k.endswith("_s")} for row in read_csv(path)]


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
