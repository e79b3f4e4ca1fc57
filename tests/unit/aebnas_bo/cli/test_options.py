from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from aebnas_bo.cli.app import app
from aebnas_bo.cli.options import LONGEST_NAME, LONGEST_PATH, read_path


def test_paths_are_read_as_shells_mean_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    for text, path in (
        ("~/run", "/home/someone/run"),
        (".", "."),
        ("a b", "a b"),
        ("a~", "a~"),
        ("é" * 127, "é" * 127),
    ):
        assert read_path(text) == Path(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("x" * (LONGEST_NAME + 1), "names of at most 255"),
        ("é" * 128, "names of at most 255"),
        ("x/" * (LONGEST_PATH // 2 + 1), "at most 4095 bytes"),
        ("a\0b", "without NUL"),
        ("~nobody-of-this-name/x", "give the full path"),
    ],
)
def test_paths_that_cannot_be_are_refused(text: str, problem: str) -> None:
    with pytest.raises(typer.BadParameter, match=problem):
        read_path(text)


@pytest.mark.parametrize(
    "arguments",
    [
        "run --config", "run --out", "train", "export", "export RUN --out", "predict", "predict FILE", "latency",
        "latency FILE", "latency FILE PICTURE --out", "latency-table", "latency-table CONFIG --out", "report",
        "report RUN --out", "status", "space", "fidelity", "fidelity --out", "compare", "compare CONFIG --out",
    ],
)  # fmt: skip
def test_no_path_may_be_empty(arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # what an unset variable in quotes would stand for
    result = CliRunner().invoke(app, [*arguments.split(), ""])
    assert result.exit_code == 2
    assert "is empty; give a path" in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == []
