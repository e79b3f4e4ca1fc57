import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aebnas_bo.errors import StorageError, UsageError
from aebnas_bo.storage.run_folder import RunFolder, choose_run_folder, remove_if_empty


def test_unnamed_folders_are_made_at_once_and_the_latest_that_is_used_is_resumed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for expected in ("runs/a-seed0", "runs/a-seed0-2", "runs/a-seed0-3"):
        folder = choose_run_folder(None, "a-seed0", resume=False)
        assert folder.path == Path(expected)
        assert folder.path.is_dir()
    RunFolder(Path("runs/a-seed0-2")).study.touch()
    assert choose_run_folder(None, "a-seed0", resume=True).path == Path("runs/a-seed0-2")
    remove_if_empty(folder)
    remove_if_empty(RunFolder(Path("runs/a-seed0-2")))
    assert {path.name for path in Path("runs").iterdir()} == {"a-seed0", "a-seed0-2"}
    assert choose_run_folder(None, "b-seed0", resume=True).path == Path("runs/b-seed0")


def test_the_latest_folder_that_holds_a_study_is_resumed_and_without_one_nothing_is_made(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UsageError, match=r"nothing to resume: runs/a-seed0: there is no such folder; name .* one with --resume-or"
    ):
        choose_run_folder(None, "a-seed0", resume=True, may_start=False)
    assert not Path("runs").exists()
    folders = [choose_run_folder(None, "a-seed0", resume=False) for _ in range(3)]
    (folders[2].path / "run.lock").touch()  # a run that ended before it began a study
    with pytest.raises(UsageError, match="nothing to resume: runs/a-seed0: holds no study"):
        choose_run_folder(None, "a-seed0", resume=True, may_start=False)
    folders[0].study.touch()
    folders[1].study.touch()
    assert choose_run_folder(None, "a-seed0", resume=True, may_start=False).path == folders[1].path
    assert len(list(Path("runs").iterdir())) == 3


def test_runs_that_start_together_get_folders_of_their_own(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        chosen = list(pool.map(lambda _: choose_run_folder(None, "a-seed0", resume=False).path, range(40)))
    assert len(set(chosen)) == 40


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("nowhere")])
def test_runs_that_is_no_folder_is_a_usage_error(make, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("runs"))
    with pytest.raises(UsageError, match=r"runs.*--out"):
        choose_run_folder(None, "a-seed0", resume=False)


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


@pytest.mark.parametrize("inside", ["x/run", "x/a/b", "nowhere/run"])
def test_a_folder_that_cannot_be_made_is_refused_before_the_work(tmp_path: Path, inside: str) -> None:
    (tmp_path / "x").touch()
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    with pytest.raises(UsageError, match=r"cannot be created \(.* is not a folder\); use another folder"):
        choose_run_folder(tmp_path / inside, "a", resume=False)
    assert choose_run_folder(tmp_path / "deep/run", "a", resume=False).path == tmp_path / "deep/run"
    assert not (tmp_path / "deep").exists()


def test_a_full_disk_is_no_wrong_use(tmp_path: Path, monkeypatch) -> None:
    def fail(*_, **__) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "mkdir", fail)
    for make in (RunFolder(tmp_path / "run").create, lambda: choose_run_folder(None, "a", resume=False)):
        with pytest.raises(StorageError, match="No space left on device; free some space there"):
            make()
