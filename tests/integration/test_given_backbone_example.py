"""The commands of the page on given backbones run as they stand, but for the size of search and training."""

import re
import runpy
import shlex
import shutil
from pathlib import Path

import pytest

from .conftest import SMALL

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "backbones.md").read_text(encoding="utf-8")
SHORTER = {"run": [*SMALL, "--budget=6"], "train": ["--epochs", "1"]}


@pytest.mark.slow
def test_the_walk_from_a_network_to_one_with_exits(call, tmp_path: Path) -> None:
    commands = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)[0]
    script, *lines = commands.splitlines()
    assert script == "python given_backbone.py"
    shutil.copy(ROOT / "docs" / "examples" / "given_backbone.py", tmp_path)
    runpy.run_path(str(tmp_path / "given_backbone.py"), run_name="__main__")
    found = {}
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "aebnas-bo"
        shown = call(*arguments, *SHORTER.get(arguments[0], []))
        assert shown.returncode == 0, shown.stderr
        found[arguments[0]] = shown.stdout
    assert list(found) == ["space", "run", "train", "report", "export", "predict"]
    assert "module given_backbone:SmallResNet" in found["space"]
    assert "of the original accuracy" in found["train"]
    assert "digits/test/3" in found["predict"]
