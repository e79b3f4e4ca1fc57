"""Every advice that a message gives about a run is followed here, and the command that failed then works.

A new message with a way out belongs into `ADVICE`.
"""

import re
import shlex
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
        (folder.path / name).write_bytes(data)

    return damage


def remove(name: str) -> Callable[[RunFolder], None]:
    def damage(folder: RunFolder) -> None:
        (folder.path / name).unlink()

    return damage


# What is damaged, the command that notices (RUN stands for the folder), and the advice in its message.
ADVICE = {
    "summary": (write("summary.json", b"{}"), "report RUN", "delete it, then `aebnas-bo run --out"),
    "no supernet": (remove("supernet.safetensors"), "report RUN", "`aebnas-bo run --out .* trains it again"),
    "half a supernet": (write("supernet.safetensors", b"half"), "report RUN", "delete .* to train again"),
    "configuration": (write("config.yaml", b"\xff"), "status RUN", "`aebnas-bo run --out .* writes it again"),
    "holds a study": (lambda folder: None, "run --out RUN", "add --resume to resume it"),
    "not trained": (lambda folder: None, "export RUN", "first: aebnas-bo train"),
}


def follow(message: str, failed: list[str]) -> None:
    """Do what a message says, in its order."""
    text = " ".join(message.split())
    folder = next(Path(word) for word in failed if Path(word).is_absolute())
    if "delete" in text:
        path = re.search(r"(/\S+\.(json|safetensors))", text)
        assert path is not None
        Path(path[1]).unlink()
        if "`" not in text:
            assert call("run", "--out", str(folder), "--resume", "--quiet").exit_code == 0
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
