"""What the README shows runs as it stands."""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from aebnas_bo import load
from aebnas_bo.config.loading import load_config

from .conftest import SMALL

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON, RUNNING = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("python.md", "running.md"))
SPACES = (ROOT / "docs" / "spaces.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README + PYTHON, flags=re.DOTALL)
SHORTER = {"run": SMALL, "train": ["--epochs", "2"]}


@pytest.fixture
def run_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Callable[[str], str]:
    """Runs a script as the main program of this process and returns what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AEBNAS_BO_CACHE", str(tmp_path / "cache"))
    (tmp_path / "docs").symlink_to(ROOT / "docs")

    def run(script: str) -> str:
        (tmp_path / "block.py").write_text(script, encoding="utf-8")
        capsys.readouterr()
        runpy.run_path(str(tmp_path / "block.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_python_blocks_run_verbatim(number: int, run_script) -> None:
    shown = run_script(BLOCKS[number])
    if "print(" in BLOCKS[number]:
        assert shown.strip()


def test_no_block_is_left_out() -> None:
    assert len(BLOCKS) == 9


def test_the_readme_can_be_read_in_a_minute() -> None:
    assert README.count("\n") <= 150


def test_the_walk_from_a_search_to_a_prediction(call, tmp_path: Path, environment) -> None:
    """The commands of the README as they stand, but for the size of search and training."""
    section = README.split("## From the search to a network that runs")[1]
    [commands] = re.findall(r"```sh\n(.*?)```", section.split("\n## ")[0], flags=re.DOTALL)
    [script] = re.findall(r"```py\n(.*?)```", section.split("\n## ")[0], flags=re.DOTALL)
    pixels = (load_digits().images[7] * 255.0 / 16.0).round().astype("uint8")
    Image.fromarray(pixels).resize((120, 120)).save(tmp_path / "picture.png")
    lines = commands.splitlines()
    assert [line.split()[1] for line in lines] == ["run", "report", "train", "export", "predict"]
    for line in lines:
        program, *arguments = line.replace("--budget 200", "--budget 8").split()
        assert program == "aebnas-bo"
        shown = call(*arguments, *SHORTER.get(arguments[0], []))
        assert shown.returncode == 0, shown.stderr
    assert "picture.png" in shown.stdout
    (tmp_path / "block.py").write_text(script, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "block.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[0] in [str(digit) for digit in range(10)]


def test_the_network_in_the_repository_predicts(tmp_path: Path) -> None:
    [file] = re.findall(r"`aebnas-bo predict (benchmarks/\S+) picture\.png`", README)
    picture = tmp_path / "picture.png"
    Image.new("RGB", (120, 90), "navy").save(picture)
    network = load(ROOT / file)
    assert network.description.class_names[int(network.predict([picture]).labels[0])] in {"airplane", "bird", "ship"}


def test_the_page_on_own_spaces_shows_what_its_commands_print(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "aebnas-bo"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m aebnas_bo.cli "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    commands = re.findall(r"```sh\n(.*?)```", SPACES, flags=re.DOTALL)[0]  # the others measure for many minutes
    [configuration] = re.findall(r"```yaml\n(.*?)```", SPACES, flags=re.DOTALL)[:1]
    shown, mistakes = re.findall(r"```text\n(.*?)```", SPACES, flags=re.DOTALL)
    (tmp_path / "digits.yaml").write_text(configuration, encoding="utf-8")

    def call(script: str) -> "subprocess.CompletedProcess[str]":
        path = f"{program.parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", "-e", "-c", script], cwd=tmp_path, env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    result = call(commands)
    assert result.returncode == 0, result.stderr
    assert [line.rstrip() for line in result.stdout.splitlines()] == shown.splitlines()
    assert load_config(tmp_path / "digits.yaml").space.stages[3].kinds[1:] == ("inverted_residual", "convnext")
    text = (tmp_path / "mine.yaml").read_text(encoding="utf-8")
    wrong = text.replace("kernels: [3, 5]\n", "kernels: [2, 3]\n", 1).replace("after_stage: 3", "after_stage: 4")
    (tmp_path / "mine.yaml").write_text(wrong, encoding="utf-8")
    result = call("aebnas-bo space mine.yaml")
    assert (result.returncode, result.stderr) == (3, mistakes)


def test_every_exit_code_is_documented() -> None:
    for code in (0, 2, 3, 4, 5, 6, 7, 8, 130, 141):
        assert re.search(rf"^\| {code}\b", RUNNING, flags=re.MULTILINE), code


def anchors(page: Path) -> set[str]:
    """Return the names under which the headings of a page can be linked."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere() -> None:
    for file in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks" / "results" / "README.md"):
        for target in re.findall(r"\]\((?!http)([^)]+)\)", file.read_text(encoding="utf-8")):
            path, _, anchor = target.partition("#")
            page = file.parent / path if path else file
            assert page.exists(), f"{file.name}: {target}"
            assert not anchor or anchor in anchors(page), f"{file.name}: {target}"
