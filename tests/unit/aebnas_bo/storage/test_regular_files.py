import os
import socket
from pathlib import Path

import pytest

from aebnas_bo.storage.regular_files import check_regular, read_regular, size_text


def test_contents_are_read_through_links_up_to_the_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "file", 5) == read_regular(tmp_path / "link", 5) == b"12345"
    check_regular(tmp_path / "link", 5)
    for refuse in (read_regular, check_regular):
        with pytest.raises(OSError, match="it holds 5 bytes, more than 4 bytes"):
            refuse(tmp_path / "file", 4)
        with pytest.raises(FileNotFoundError):
            refuse(tmp_path / "nowhere", 4)


def test_nothing_is_read_of_a_hole_beyond_the_limit(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(50 << 30)
    with pytest.raises(OSError, match="it holds 50 GiB, more than 512 MiB"):
        read_regular(tmp_path / "sparse", 512 << 20)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    os.mkfifo("pipe")
    Path("link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        places = {"pipe": "pipe", "link": "pipe", "/dev/zero": "device", ".": "folder"}
        for name, kind in places.items():
            for refuse in (read_regular, check_regular):
                with pytest.raises(OSError, match=f"it is a {kind}|Is a directory"):
                    refuse(Path(name), 100)
        with pytest.raises(OSError, match="it is a socket"):
            check_regular(Path("socket"), 100)
        with pytest.raises(OSError, match="No such device or address"):
            read_regular(Path("socket"), 100)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_file_that_states_no_size_is_refused() -> None:
    with pytest.raises(OSError, match="stated as 0 bytes"):
        read_regular(Path("/proc/self/status"), 100)


def test_sizes_are_shown_in_units() -> None:
    assert [size_text(size) for size in (5, 512 << 20, 3 << 29)] == ["5 bytes", "512 MiB", "1.5 GiB"]
