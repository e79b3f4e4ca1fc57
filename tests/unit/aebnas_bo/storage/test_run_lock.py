import errno
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from aebnas_bo.errors import RunFolderInUseError, StorageError, UsageError
from aebnas_bo.storage.run_lock import RunLock, process_at_work

HOLDER = """
import sys, time
from pathlib import Path
from aebnas_bo.storage.run_lock import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_second_process_is_told_of_the_first_and_death_frees_the_folder(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "held"
    with pytest.raises(RunFolderInUseError, match=f"process {process.pid} on .*, started "), RunLock(tmp_path):
        pass
    assert (process_at_work(tmp_path) or "").startswith(f"process {process.pid} on ")
    process.kill()
    process.wait()
    assert str(process.pid) in (tmp_path / "run.lock").read_text()
    assert process_at_work(tmp_path) is None
    with RunLock(tmp_path):
        pass


def test_unreadable_holder_is_still_a_refusal(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        (tmp_path / "run.lock").write_text("?")
        with pytest.raises(RunFolderInUseError, match="another process"), RunLock(tmp_path):
            pass


def test_the_folder_can_be_taken_again(tmp_path: Path) -> None:
    for lock in (RunLock(tmp_path), RunLock(tmp_path)):  # both kept, so that no garbage collector lets go of the folder
        with lock:
            assert process_at_work(tmp_path) is not None
        assert (tmp_path / "run.lock").read_text() == ""


def test_nobody_is_at_work_where_the_lock_is_free_missing_or_names_another_process_of_the_same_number(tmp_path) -> None:
    assert process_at_work(tmp_path) is None
    with RunLock(tmp_path):
        assert (process_at_work(tmp_path) or "").startswith(f"process {os.getpid()} on ")
        left_behind = (tmp_path / "run.lock").read_text()
    assert process_at_work(tmp_path) is None
    (tmp_path / "run.lock").write_text(left_behind)  # this process lives, but has not opened the file
    assert process_at_work(tmp_path) is None
    (tmp_path / "run.lock").write_text(left_behind.replace('"host": "', '"host": "not-'))
    assert "on not-" in (process_at_work(tmp_path) or "")
    numbers = [left_behind.replace(f": {os.getpid()},", f": {number},") for number in ("1e30", "-1")]
    for damaged in ("?", "[]", '{"pid": []}', *numbers):
        (tmp_path / "run.lock").write_text(damaged)
        assert process_at_work(tmp_path) is None


def test_a_process_of_somebody_else_is_taken_at_its_word(tmp_path: Path, monkeypatch) -> None:
    def refuse(_: psutil.Process) -> None:
        raise psutil.AccessDenied

    holder = {"pid": os.getpid(), "host": socket.gethostname(), "started": "x"}
    (tmp_path / "run.lock").write_text(json.dumps(holder))
    assert process_at_work(tmp_path) is None
    monkeypatch.setattr(psutil.Process, "open_files", refuse)
    assert process_at_work(tmp_path) == f"process {os.getpid()} on {socket.gethostname()}, started x"


def test_a_refused_attempt_leaves_the_name_of_the_holder(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        for _ in range(2):
            with pytest.raises(RunFolderInUseError, match=f"process {os.getpid()} on .*, started "), RunLock(tmp_path):
                pass


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UsageError, match=r"cannot be locked \(.*\); use another --out"), RunLock(tmp_path):
        pass


def test_a_removed_folder_is_no_error_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with RunLock(folder):
        shutil.rmtree(folder)
    assert not folder.exists()


def test_a_lock_whose_holder_cannot_be_written_down_is_freed(tmp_path: Path, monkeypatch) -> None:
    def fail(*_, **__) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", fail)
        with pytest.raises(StorageError, match=r"run.lock: No space left on device; free some space there"):
            RunLock(tmp_path).__enter__()
    with RunLock(tmp_path):
        pass
