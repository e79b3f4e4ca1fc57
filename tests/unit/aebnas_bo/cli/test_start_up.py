"""What needs no PyTorch must not wait for it: seen from the modules that were imported, never from a clock."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "torchvision", "ax", "botorch", "gpytorch", "sklearn", "pandas", "matplotlib", "plotly", "scipy")
EXTRAS = ("ray", "psycopg", "tensorboard", "mlflow", "optuna", "onnx", "onnxruntime", "timm", "transformers")
USING_EXTRAS = ("search.aebnas_strategy", "tracking.mlflow_writer", "tracking.tensorboard_files")  # imported when used
EVERY_MODULE = """
import importlib, json, pkgutil, sys
sys.modules["pymoo"] = None  # as if it were not installed: Ax imports it where it finds it
import aebnas_bo
for found in pkgutil.walk_packages(aebnas_bo.__path__, "aebnas_bo."):
    if not found.name.startswith("aebnas_bo.testing") and found.name not in json.loads(sys.argv[1]):
        importlib.import_module(found.name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
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
        (["compare", "images.yaml", "--methods", "quick.yaml,slow.yaml"], 3, "search.max_average_macs: slow and quick"),
        (["compare", "images.yaml", "--out", "images.yaml"], 2, "--out images.yaml: is a file; give a folder"),
        (["run", "--out", "images.yaml/run"], 2, "is not a folder); use another folder"),
        (["export", "nowhere", "--format", "h5"], 2, "--format h5: no such format; expected one of torch, onnx"),
        (["export", "nowhere", "--out", "images.yaml"], 2, "--out images.yaml: is a file; give a folder"),
        (["latency", "nowhere", "picture.png", "--batch-sizes", "0"], 2, "--batch-sizes 0: expected whole numbers"),
        (["latency-table", "nowhere.yaml", "--out", "table.json"], 3, "cannot be read"),
    ],
)
def test_mistakes_are_answered_without_pytorch(tmp_path: Path, arguments: list[str], code: int, text: str) -> None:
    (tmp_path / "images.yaml").write_text("name: images\ndata: {dataset: digits}\n", encoding="utf-8")
    (tmp_path / "quick.yaml").write_text("name: quick\n", encoding="utf-8")
    (tmp_path / "slow.yaml").write_text("search: {max_average_macs: 1.0}\n", encoding="utf-8")
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "options", "code", "text"),
    [
        ("run", ["--resume", "--set", "supernet.epochs=99"], 3, "--resume cannot change it to 99"),
        ("run", ["--resume", "--seed", "5"], 3, "seed: the study has 0, --resume cannot change it to 5"),
        ("train", ["--set", "final_training.epochs=x"], 3, "final_training.epochs: input should be a valid integer"),
        ("train", ["--set", "search.budget=3"], 3, "search.budget=3: fixed by the study"),
        ("export", ["--seed", "77"], 2, "is not trained yet with seed 77; first: aebnas-bo train"),
        ("export", ["--recipe", "abc"], 2, "is not trained yet; first: aebnas-bo train"),
    ],
)
def test_options_that_do_not_fit_a_stored_run_are_refused_without_pytorch(
    tiny_run, command: str, options: list[str], code: int, text: str
) -> None:
    path = tiny_run().path
    run = ["--out", str(path)] if command == "run" else [str(path)]
    found, heavy, printed = called(path.parent, command, *run, *options)
    assert (found, heavy) == (code, []), printed
    assert text in " ".join(printed.split())


@pytest.mark.slow
def test_extras_are_needed_and_imported_only_when_they_are_used() -> None:
    """An installed extra costs no time, and nothing else needs pymoo, which Ax would import."""
    using_extras = [f"aebnas_bo.{name}" for name in USING_EXTRAS]
    result = subprocess.run(
        [sys.executable, "-c", EVERY_MODULE, json.dumps(using_extras)], text=True, capture_output=True, check=True
    )
    imported = json.loads(result.stdout.splitlines()[-1])
    assert {"torch", "ax", "sqlalchemy"} <= {*imported}
    assert [name for name in EXTRAS if name in imported] == []
