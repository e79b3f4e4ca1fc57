"""What users do by mistake, over whole commands with drawn pictures: each must end as it says here."""

import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aebnas_bo.storage.cache import cache_folder

TINY = (
    "--budget=5", "--set=search.design_trials=5", "--set=supernet.epochs=1", "--device=cpu",
    "--set=data.dataset=imagefolder", "--set=data.image_size=8",
)  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    """Two classes, told apart by the half that is bright; returns a path that counts from the current folder."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 6)):
        for label in range(2):
            folder = tmp_path / "pictures" / split / f"c{label}"
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 60, (8, 8, 3)).astype(np.uint8)
                pixels[:, 4 * label : 4 * label + 4] = 220
                Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return "--set=data.root=pictures"


@pytest.fixture
def small_files() -> Iterator[None]:
    """Lets no file grow beyond 60 kB, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60 * 1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_names_path_and_way_out_and_the_run_goes_on(call, pictures, small_files, tmp_path) -> None:
    arguments = ("run", *TINY, pictures, "--set=supernet.cache=false", "--out", "full", "--quiet")
    failed = call(*arguments)
    assert failed.returncode == 8, failed.stderr
    assert "error: full/supernet" in failed.stderr
    assert "File too large; allow larger files (ulimit -f), or use another folder." in failed.stderr
    assert "with `aebnas-bo run --out full --resume`." in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not list((tmp_path / "full").glob("*.tmp*"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    resumed = call("run", "--out", "full", "--resume", "--quiet")
    assert resumed.returncode == 0, resumed.stderr
    assert "after 5 trials" in resumed.stdout


def test_a_run_with_a_relative_root_goes_on_from_another_folder(call, pictures, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AEBNAS_BO_CACHE", "~/cache")
    assert call("run", *TINY, pictures, "--out", "rel", "--quiet").returncode == 0
    assert cache_folder() == tmp_path / "home/cache"
    assert (tmp_path / "home/cache").is_dir()
    assert not (tmp_path / "~").exists()
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "rel", tmp_path / "elsewhere/rel")
    monkeypatch.chdir(tmp_path / "elsewhere")
    resumed = call("run", "--resume", "--out", "rel", "--budget=6", "--quiet")
    assert resumed.returncode == 0, resumed.stderr
    assert "after 6 trials" in resumed.stdout


def test_resuming_nothing_begins_no_other_search(call, pictures, tmp_path) -> None:
    for arguments in ((*TINY, pictures), ("--budget=2",)):
        for out in (("--out", "slip"), ()):
            result = call("run", *arguments, "--resume", *out)
            assert result.returncode == 2
            assert "nothing to resume" in result.stderr
            assert "start one with --resume-or-start" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_a_folder_in_place_of_a_table_is_found_before_the_network_is_read(call, pictures, tmp_path) -> None:
    (tmp_path / "network.safetensors").write_text("never read")
    (tmp_path / "folder").mkdir()
    result = call("latency", "network.safetensors", "pictures/test", "--batches", "1", "--out", "folder")
    assert (result.returncode, result.stderr.strip()) == (2, "error: --out folder: is a folder; give a file")
    assert {path.name for path in tmp_path.iterdir()} == {"network.safetensors", "folder", "pictures"}
    assert list((tmp_path / "folder").iterdir()) == []
