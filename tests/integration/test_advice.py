"""Every advice that a message gives about a run is followed here, and the command that failed then works.

A new message with a way out belongs into `ADVICE`.
"""

import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from aebnas_bo.cli.app import app
from aebnas_bo.storage.run_folder import RunFolder

SMALL = ("supernet.epochs=1", "supernet.random_subnets=0", "data.max_train_images=300", "final_training.epochs=1")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def write(name: str, data: bytes) -> Callable[[RunFolder], None]:
    def damage(folder: RunFolder) -> None:
        (folder.path / name).parent.mkdir(exist_ok=True)
        (folder.path / name).write_bytes(data)

    return damage


def remove(name: str) -> Callable[[RunFolder], None]:
    def damage(folder: RunFolder) -> None:
        (folder.path / name).unlink()

    return damage


def change_last_trial(folder: RunFolder) -> None:
    with sqlite3.connect(folder.study) as connection:
        connection.execute("UPDATE trials SET generation_s = generation_s + 1 WHERE number = 13")
    connection.close()


def halve_training(folder: RunFolder) -> None:
    folder.supernet.unlink()
    folder.checkpoint.write_bytes(b"half")


# What is damaged, the command that notices (RUN stands for the folder), and the advice in its message.
ADVICE = {
    "a trial": (change_last_trial, "status RUN", "delete this trial and "),
    "half a training": (halve_training, "run --out RUN --resume --quiet", "delete .* to train again"),
    "short list": (write("shortlist/shortlist.csv", b"half"), "report RUN", "delete it, and the command"),
    "looks": (write("trained/test_looks.csv", b"half"), "report RUN", r"test_looks\.csv .*delete it"),
    "no folder": (
        lambda folder: shutil.rmtree(folder.path),
        "run --out RUN --resume --quiet --budget 2 --set search.design_trials=2 --set supernet.epochs=1",
        "one with --resume-or-start",
    ),
    "summary": (write("summary.json", b"{}"), "report RUN", "delete it, then `aebnas-bo run --out"),
    "no supernet": (remove("supernet.safetensors"), "report RUN", "`aebnas-bo run --out .* trains it again"),
    "half a supernet": (write("supernet.safetensors", b"half"), "report RUN", "delete .* to train again"),
    "holds a study": (lambda folder: None, "run --out RUN", "add --resume to resume it"),
    "not trained": (lambda folder: None, "export RUN", "first: aebnas-bo train"),
}


def follow(message: str, failed: list[str]) -> None:
    """Do what a message says, in its order."""
    text = " ".join(message.split())
    folder = next(Path(word) for word in failed if Path(word).is_absolute())
    if program := re.search(r"python -c .*", text):
        subprocess.run([sys.executable, *shlex.split(program[0])[1:]], check=True)
    elif "delete" in text:
        path = re.search(r"(/\S+\.(json|safetensors|csv))", text)
        assert path is not None
        Path(path[1]).unlink()
    if "delete" in text and "`" not in text:
        resumed = call("run", "--out", str(folder), "--resume", "--quiet")
        assert resumed.exit_code == 0, resumed.output
    if "--resume-or-start" in text:
        failed[failed.index("--resume")] = "--resume-or-start"
    if "add --resume" in text:
        failed.append("--resume")
    commands = re.findall(r"`aebnas-bo ([^`]*)`|first: aebnas-bo (.*)$", text)
    for quoted, last in commands:
        result = call(*shlex.split(quoted or last), "--quiet")
        assert result.exit_code == 0, result.output


@pytest.mark.slow
@pytest.mark.parametrize("name", ADVICE)
def test_advice_helps(name: str, tiny_run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("AEBNAS_BO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.setattr("aebnas_bo.cli.reporting.StopSignals.install", lambda self: None)
    folder = tiny_run(*SMALL)
    damage, line, advice = ADVICE[name]
    damage(folder)
    command = [str(folder.path) if word == "RUN" else word for word in line.split()]
    failed = call(*command)
    assert failed.exit_code > 1, failed.output
    assert re.search(advice, failed.output), failed.output
    follow(failed.output, command)
    again = call(*command)
    assert again.exit_code == 0, again.output
