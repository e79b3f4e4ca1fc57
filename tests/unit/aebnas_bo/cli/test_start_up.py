"""What needs no PyTorch must not wait for it: seen from the modules that were imported, never from a clock."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "torchvision", "ax", "botorch", "gpytorch", "sklearn", "pandas", "matplotlib", "plotly", "scipy")
CALL = """
import json, sys
from aebnas_bo.cli import main
sys.argv = ["aebnas-bo", *json.loads(sys.argv[1])]
try:
    main()
except SystemExit as error:
    code = error.code or 0
print(json.dumps([code, [name for name in json.loads(sys.stdin.read()) if name in sys.modules]]))
"""


def called(folder: Path, *arguments: str) -> tuple[int, list[str], str]:
    """Exit code, heavy modules that were imported, and what was printed."""
    result = subprocess.run(
        [sys.executable, "-c", CALL, json.dumps(arguments)], input=json.dumps(HEAVY), cwd=folder, text=True,
        capture_output=True, check=True, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    code, heavy = json.loads(result.stdout.splitlines()[-1])
    return code, heavy, result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--version"], 0, "aebnas-bo 0."),
        (["--help"], 0, "Usage"),
        (["run", "--help"], 0, "--resume-or-start"),
        (["run", "--config", "nowhere.yaml"], 3, "nowhere.yaml: cannot be read"),
        (["run", "--resume", "--out", "slip"], 2, "nothing to resume: slip"),
        (["fidelity", "--resume", "--out", "slip"], 2, "nothing to resume: slip"),
        (["fidelity", "--band", "3,2"], 2, "--band 3,2: expected LOW,HIGH"),
        (["status", "nowhere"], 2, "no such folder"),
        (["report", "nowhere"], 2, "no such folder"),
        (["train", "nowhere"], 2, "no such folder"),
        (["train", "nowhere", "--select", "best"], 2, "--select best: expected knee"),
        (["train", "nowhere", "--seeds", "b"], 2, "--seeds b: expected numbers"),
        (["train", "nowhere", "--tune-for", "accuracy>=200"], 2, "--tune-for accuracy>=200: expected a percentage"),
        (["train", "nowhere", "--tune-for", "best"], 2, "--tune-for best: expected macs<=X (millions) or accuracy>=Y"),
        (["export", "nowhere"], 2, "no such folder"),
        (["predict", "nowhere", "picture.png"], 2, "nowhere: no such file"),
        (["latency", "nowhere", "picture.png"], 2, "expected a network in the format torch"),
        (["compare", "nowhere.yaml", "--seeds", "0-9999999999999"], 2, "the largest seed is 4294967296"),
        (["compare", "nowhere.yaml"], 3, "cannot be read"),
        (["latency-table", "nowhere.yaml", "--out", "table.json"], 3, "cannot be read"),
    ],
)
def test_mistakes_are_answered_without_pytorch(tmp_path: Path, arguments: list[str], code: int, text: str) -> None:
    found, heavy, printed = called(tmp_path, *arguments)
    assert (found, heavy) == (code, [])
    assert text in " ".join(printed.split())


@pytest.mark.slow
def test_status_and_a_wrong_choice_of_a_stored_run_are_answered_without_pytorch(tiny_run) -> None:
    path = tiny_run().path
    code, heavy, printed = called(path.parent, "status", str(path))
    assert (code, heavy) == (0, [])
    assert "hypervolume" in printed
    for command in ("train", "export", "report"):
        code, heavy, printed = called(path.parent, command, str(path), "--select", "accuracy>=99.99")
        assert (code, heavy) == (2, []), printed
        assert "no network found meets it" in " ".join(printed.split())
