import os
from pathlib import Path

import pytest

from aebnas_bo.storage.atomic_files import remove_leftovers, replacing, write_bytes, write_text


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


def test_remove_leftovers_knows_the_names_that_replacing_gives(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.csv") as temporary:
        name = temporary.name
        temporary.touch()
    for leftover in (name, "a.csv.1234.tmp", "study.1234.tmp", "study.1234.tmp-wal", "study.1234.tmp-shm"):
        (tmp_path / leftover).touch()
    remove_leftovers(tmp_path, {"a.csv", "study"})
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv"}


@pytest.mark.parametrize(
    "name",
    ["notes.tmp.txt", "x.tmp", "a.csv", "a.csv.tmp", "a.csv.12a.tmp", "a.csv.1234.tmp.txt", "b.csv.1234.tmp",
     "my a.csv.1234.tmp", "a.csv.1234.tmp-old", "a.tmp.csv"],
)  # fmt: skip
def test_remove_leftovers_leaves_other_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    remove_leftovers(tmp_path, {"a.csv"})
    assert (tmp_path / name).exists()


def test_remove_leftovers_leaves_folders_and_links(tmp_path: Path) -> None:
    (tmp_path / "a.csv.1.tmp").mkdir()
    (tmp_path / "target").touch()
    (tmp_path / "a.csv.2.tmp").symlink_to(tmp_path / "target")
    remove_leftovers(tmp_path, {"a.csv"})
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv.1.tmp", "a.csv.2.tmp", "target"}
