import csv
import json
from pathlib import Path

import pytest
from rich.console import Console

from aebnas_bo.config.loading import load_config
from aebnas_bo.deploy import standalone
from aebnas_bo.errors import ConfigError, SearchSpaceError, UsageError
from aebnas_bo.experiments.rank_correlation.correlation_study import run_fidelity
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.storage.run_folder import RunFolder

pytestmark = pytest.mark.slow

SETTINGS = [
    "supernet.epochs=2", "final_training.epochs=2", "fidelity.num_architectures=5", "fidelity.bootstrap_samples=100",
    "data.max_train_images=600", "supernet.random_subnets=1",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("AEBNAS_BO_CACHE", str(tmp_path / "cache"))


def study(folder: Path, *changes: str, resume: bool = False):
    config = load_config(None, [*SETTINGS, *changes])
    return run_fidelity(
        config, RunFolder(folder), resume=resume, progress=RunProgress(Console(stderr=True), quiet=True)
    )


def without_times(path: Path) -> dict:
    document = json.loads(path.read_text())
    return {key: value for key, value in document.items() if key not in {"seconds", "peak_memory_mb", "supernet"}}


def test_a_study_leaves_rows_figures_and_a_picture(tmp_path: Path) -> None:
    report = study(tmp_path / "study")
    with (tmp_path / "study" / "fidelity.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(report.comparisons) == 5
    for row, comparison in zip(rows, report.comparisons, strict=True):
        assert float(row["accuracy_alone"]) == comparison.alone["accuracy"]
        assert float(row["final_estimate"]) == comparison.estimates["final"]
    document = json.loads((tmp_path / "study" / "fidelity.json").read_text())
    assert document["networks"] == 5
    assert {"supernet", "estimates", "networks"} == document["seconds"].keys()
    assert (tmp_path / "study" / "fidelity.png").stat().st_size > 10_000


def test_an_interrupted_study_goes_on_and_comes_to_the_same(tmp_path: Path, monkeypatch) -> None:
    study(tmp_path / "whole")
    trained, train = [], standalone.train_from_scratch

    def stop_at_the_third(architecture, *arguments, **named):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(architecture.key)
        return train(architecture, *arguments, **named)

    monkeypatch.setattr(standalone, "train_from_scratch", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        study(tmp_path / "parts")
    assert len(list((tmp_path / "parts" / "networks").iterdir())) == 2

    def noting(architecture, *arguments, **named):
        trained.append(architecture.key)
        return train(architecture, *arguments, **named)

    monkeypatch.setattr(standalone, "train_from_scratch", noting)
    study(tmp_path / "parts", resume=True)
    assert len(trained) == len(set(trained)) == 5
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert (whole / "fidelity.csv").read_text() == (parts / "fidelity.csv").read_text()
    assert without_times(whole / "fidelity.json") == without_times(parts / "fidelity.json")


def test_every_network_is_trained_again_with_another_seed(tmp_path: Path) -> None:
    report = study(tmp_path / "study", "fidelity.repeats=2")
    for comparison in report.comparisons:
        first, second = (training["accuracy"] for training in comparison.trainings)
        assert comparison.alone["accuracy"] == pytest.approx((first + second) / 2)
    assert any(len({one["final"] for one in c.trainings}) == 2 for c in report.comparisons)
    assert report.agreements[0].between_trainings is not None
    once = study(tmp_path / "once")
    assert [c.trainings[0] for c in report.comparisons] == [c.alone for c in once.comparisons]


def test_networks_of_a_band_stay_the_same_on_resuming(tmp_path: Path, monkeypatch) -> None:
    low, high = band = 0.06, 0.09
    change = f"fidelity.band=[{low},{high}]"
    monkeypatch.setattr(standalone, "train_from_scratch", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        study(tmp_path / "study", change)
    monkeypatch.undo()
    monkeypatch.setenv("AEBNAS_BO_CACHE", str(tmp_path / "cache"))
    estimated = len(list((tmp_path / "study").glob("**/*.safetensors")))
    report = study(tmp_path / "study", change, resume=True)
    assert all(low <= c.estimates["average_macs"] <= high for c in report.comparisons)
    assert len(list((tmp_path / "study").glob("**/*.safetensors"))) == estimated + 5  # the networks trained alone
    assert tuple(json.loads((tmp_path / "study" / "fidelity.json").read_text())["band"]) == band
    with pytest.raises(
        ConfigError,
        match=r"fidelity\.band: the study has \[0.06, 0.09\], --resume cannot (?:change it to|make it) null",
    ):
        study(tmp_path / "study", resume=True)


def test_a_band_without_networks_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(SearchSpaceError, match=r"fidelity\.band"):
        study(tmp_path / "study", "fidelity.band=[50,60]")
    assert not (tmp_path / "study").exists()


def test_a_folder_is_not_overwritten_and_not_mixed(tmp_path: Path) -> None:
    study(tmp_path / "study")
    with pytest.raises(UsageError, match="--resume"):
        study(tmp_path / "study")
    with pytest.raises(ConfigError, match=r"final_training\.epochs: the study has 2"):
        study(tmp_path / "study", "final_training.epochs=3", resume=True)
    study(tmp_path / "study", "fidelity.bootstrap_samples=150", "data.root=elsewhere", resume=True)
    (tmp_path / "study/config.yaml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"study/config\.yaml: cannot be read \(not UTF-8 text\)"):
        study(tmp_path / "study", resume=True)
    search = tmp_path / "search"
    search.mkdir()
    (search / "study.db").touch()
    with pytest.raises(UsageError, match="holds a search"):
        study(search, resume=True)


def test_too_few_networks_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"fidelity\.num_architectures"):
        study(tmp_path / "study", "fidelity.num_architectures=1")
    assert not (tmp_path / "study").exists()
