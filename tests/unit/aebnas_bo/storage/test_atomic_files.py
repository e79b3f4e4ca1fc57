import os
import subprocess
import sys
from pathlib import Path

import pytest

from aebnas_bo.errors import StorageError, UsageError
from aebnas_bo.storage.atomic_files import filling, replacing, write_bytes, write_text
from aebnas_bo.storage.run_folder import make_folder_of


def test_replacing_shows_the_file_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_keeps_the_file_and_leaves_nothing_when_writing_fails(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"):
        fail(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_written_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.csv"
    synced = []

    def note(number: int) -> None:
        synced.append((os.fstat(number).st_size, path.exists()))

    monkeypatch.setattr(os, "fsync", note)
    write_text(path, "grün\n")
    assert synced == [(6, False)]
    assert path.read_bytes() == "grün\n".encode()


def test_a_file_is_written_over_another(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"1")
    write_bytes(tmp_path / "a", b"22")
    assert (tmp_path / "a").read_bytes() == b"22"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


DEAD = 999_999_999  # above any process number

KILLED = """
import os, signal, sys
from pathlib import Path
from aebnas_bo.storage.atomic_files import filling, replacing
with replacing(Path(sys.argv[1])) as temporary, filling(Path(sys.argv[2])) as folder:
    for suffix in ("", "-journal", "-wal", "-shm"):
        temporary.with_name(temporary.name + suffix).touch()
    (folder / "network").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_is_removed_by_the_next_of_the_same_name(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "a.csv", tmp_path / "exported"], check=False)
    assert len(list(tmp_path.iterdir())) == 5
    write_text(tmp_path / "b.csv", "")
    assert len(list(tmp_path.iterdir())) == 6
    write_text(tmp_path / "a.csv", "")
    with filling(tmp_path / "exported") as folder:
        (folder / "network").touch()
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "b.csv", "exported"}


def test_what_is_being_written_stays(tmp_path: Path) -> None:
    parent = os.getppid()
    with replacing(tmp_path / "a.csv") as temporary, filling(tmp_path / "exported") as folder:
        temporary.touch()
        names = {path.name.replace(str(os.getpid()), str(parent)) for path in (temporary, folder)}
    (tmp_path / min(names)).touch()
    (tmp_path / max(names)).mkdir()
    write_text(tmp_path / "a.csv", "")
    with filling(tmp_path / "exported"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "exported", *names}


def test_leftovers_of_earlier_versions_are_removed(tmp_path: Path) -> None:
    for name in (f"a.csv.{DEAD}.tmp", f"a.csv.{DEAD}.tmp-wal"):
        (tmp_path / name).touch()
    write_text(tmp_path / "a.csv", "")
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv"}


@pytest.mark.parametrize(
    "name",
    ["notes.tmp.txt", "x.tmp", "a.csv.tmp", "a.csv.12a.tmp", f"a.csv.{DEAD}.tmp.txt", f"b.csv.{DEAD}.tmp",
     f"my a.csv.{DEAD}.tmp", f"a.csv.{DEAD}.tmp-old", f"aXcsv.{DEAD}.tmp", f"a.csv.0000abcd-{DEAD}.tmp", "a.tmp.csv"],
)  # fmt: skip
def test_other_files_stay(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    write_text(tmp_path / "a.csv", "")
    assert (tmp_path / name).exists()


def test_folders_links_and_folders_with_folders_stay(tmp_path: Path) -> None:
    with filling(tmp_path / "out") as folder:
        names = [folder.name.replace(str(os.getpid()), str(DEAD - number)) for number in range(3)]
    (tmp_path / "out").rmdir()
    (tmp_path / f"a.csv.{DEAD}.tmp").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / f"a.csv.{DEAD - 1}.tmp").symlink_to(tmp_path / "target")
    (tmp_path / names[0]).touch()
    (tmp_path / names[1] / "of a user").mkdir(parents=True)
    (tmp_path / names[2]).symlink_to(tmp_path / "target")
    before = {path.name for path in tmp_path.iterdir()}
    write_text(tmp_path / "a.csv", "")
    with filling(tmp_path / "out"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == before | {"a.csv", "out"}


def test_a_device_or_a_pipe_is_never_replaced(tmp_path: Path) -> None:
    device, pipe = tmp_path / "device", tmp_path / "pipe"
    device.symlink_to("/dev/null")  # a link, which is all that a failing test could replace
    os.mkfifo(pipe)
    for path in (device, pipe):
        with pytest.raises(StorageError, match=f"{path}: is a {path.name}, not a regular file; use another file"):
            write_text(path, "text")
        with pytest.raises(UsageError, match=f"--out {path}: is a {path.name}, not a regular file; use another file"):
            make_folder_of(path)
    assert device.is_symlink()
    assert pipe.is_fifo()
    assert len(list(tmp_path.iterdir())) == 2
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "later")  # leads to nothing yet
    write_text(link, "text")
    assert link.read_text() == "text"
