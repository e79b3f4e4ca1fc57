import pwd
import sys
from pathlib import Path

import pytest

from aebnas_bo.storage.cache import cache_folder, cached_file, can_keep, keep


@pytest.mark.skipif(sys.platform != "linux", reason="the user's cache folder is another one there")
def test_the_cache_is_the_named_folder_or_the_users(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setenv("AEBNAS_BO_CACHE", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.setenv("AEBNAS_BO_CACHE", "~/kept")
    assert cache_folder() == tmp_path / "home/kept"
    monkeypatch.setenv("AEBNAS_BO_CACHE", "")
    assert cache_folder() == tmp_path / "caches/aebnas_bo"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / "home/.cache/aebnas_bo"
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("named", ["", "~/kept"])
def test_without_a_home_nothing_is_kept_and_no_folder_named_by_a_tilde_is_made(
    named: str, tmp_path: Path, monkeypatch, caplog
) -> None:
    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AEBNAS_BO_CACHE", named)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert cached_file("supernets", "a") is None
    assert "nothing is cached for other runs (there is no home folder, or set AEBNAS_BO_CACHE" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_files_can_keep_and_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "kind" / "a"
    assert can_keep(path)
    assert list(path.parent.iterdir()) == []
    keep(path, lambda: path.write_text("x"))
    assert path.read_text() == "x"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder that nobody can write to")
def test_a_folder_that_takes_none_is_a_warning(caplog) -> None:
    assert not can_keep(Path("/proc/self/kind/a"))
    keep(Path("/proc/self/kind/a"), lambda: None)
    assert caplog.text.count("nothing is cached for other runs (/proc/self/kind") == 2


def test_a_failing_write_is_a_warning(tmp_path: Path, caplog) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    keep(tmp_path / "a", fail)
    assert f"{tmp_path}/a: No space left on device; free some space there" in caplog.text
