from pathlib import Path

import pytest

from aebnas_bo.errors import UsageError
from aebnas_bo.storage.run_folder import RunFolder, choose_run_folder


def test_unnamed_folders_are_numbered_and_the_latest_is_resumed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert choose_run_folder(None, "a-seed0", resume=True).path == Path("runs/a-seed0")
    for expected in ("runs/a-seed0", "runs/a-seed0-2", "runs/a-seed0-3"):
        folder = choose_run_folder(None, "a-seed0", resume=False)
        assert folder.path == Path(expected)
        folder.path.mkdir(parents=True)
    assert choose_run_folder(None, "a-seed0", resume=True).path == Path("runs/a-seed0-3")


def test_a_named_folder_with_a_study_needs_resume(tmp_path: Path) -> None:
    RunFolder(tmp_path).study.touch()
    with pytest.raises(UsageError, match="--resume"):
        choose_run_folder(tmp_path, "a", resume=False)
    assert choose_run_folder(tmp_path, "a", resume=True).holds_study


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(UsageError, match="is a file"):
        choose_run_folder(tmp_path / "x", "a", resume=True)


def test_a_folder_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(UsageError, match="cannot be created"):
        RunFolder(tmp_path / "x" / "run").create()
