import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from aebnas_bo.config.loading import load_config
from aebnas_bo.config.schema import Config
from aebnas_bo.deploy import plain_baseline
from aebnas_bo.deploy.training_folders import plain_networks
from aebnas_bo.errors import ConfigError, UsageError
from aebnas_bo.experiments.comparison import comparison_study as study
from aebnas_bo.experiments.comparison.comparison_study import MethodRun, run_comparison
from aebnas_bo.experiments.comparison.comparison_tables import caption, comparison_rows, header, write_outputs
from aebnas_bo.experiments.comparison.method_files import PACKAGE_METHODS
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.study.running import run_study

CONFIGS = Path(__file__).resolve().parents[5] / "configs"
SMALL = [
    "supernet.epochs=1", "supernet.random_subnets=0", "data.max_train_images=500", "search.budget=6",
    "search.design_trials=4", "search.batch_size=2", "search.mc_samples=8", "search.pool_size=8", "search.rounds=0",
    "supernet.cache=false",
]  # fmt: skip


def configs(*methods: str) -> dict[str, Config]:
    return {m: load_config(CONFIGS / "digits.yaml", SMALL, PACKAGE_METHODS / f"{m}.yaml") for m in methods}


def silent() -> RunProgress:
    return RunProgress(Console(stderr=True), quiet=True)


def compare(folder: Path, *methods: str, seeds=(0,)) -> list[MethodRun]:
    return run_comparison(configs(*methods), seeds, folder, progress=silent())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[MethodRun]]:
    folder = tmp_path_factory.mktemp("comparison")
    return folder, compare(folder, "static", "edanas", "nachos", "aebnas", "aebnas-bo")


@pytest.mark.slow
def test_every_method_runs_and_is_judged_on_the_test_images(finished) -> None:
    _, runs = finished
    assert [run.method for run in runs] == ["static", "edanas", "nachos", "aebnas", "aebnas-bo"]
    for run in runs:
        network = run.network
        assert len(run.curve) == 6
        assert 0.0 <= network.test_accuracy <= 100.0
        assert network.average_macs_without_passed <= network.average_macs <= network.worst_case_macs
        assert len(network.exit_rates) == network.exits + 1
        assert sum(network.exit_rates) == pytest.approx(1.0)
        assert run.max_average_macs == runs[0].max_average_macs
    assert runs[0].network.exits == 0


@pytest.mark.slow
def test_plain_networks_are_trained_alone_and_stand_last(finished, tmp_path: Path, monkeypatch) -> None:
    _, searched = finished
    short = {"plain": load_config(CONFIGS / "digits.yaml", [*SMALL, "final_training.epochs=1"],
                                  PACKAGE_METHODS / "plain.yaml")}  # fmt: skip
    [plain] = run_comparison(short, [3], tmp_path, progress=silent())
    network = plain.network
    assert (plain.method, plain.seed, plain.curve, plain.seconds) == ("plain", 3, (), None)
    assert (network.weights, network.exits, network.exit_rates) == ("trained alone, 1 epoch", 0, (1.0,))
    assert network.average_macs == network.worst_case_macs <= plain.max_average_macs == searched[0].max_average_macs
    trained = [one.description for one in plain_networks(RunFolder(tmp_path / "plain-seed3"))]
    assert len(trained) == 5
    assert max(one.validation.accuracy for one in trained) == network.validation_accuracy
    monkeypatch.setattr(plain_baseline, "train_from_scratch", None)  # would fail if it were called
    assert run_comparison(short, [3], tmp_path, progress=silent()) == [plain]
    for runs in ([plain], [plain, *searched]):
        write_outputs(tmp_path, runs)
        last = comparison_rows(runs)[-1]
        assert dict(zip(header(runs), last, strict=True))["hypervolume"] == "–"
        assert last[:3] == ["plain", "1", "trained alone, 1 epoch"]
    assert comparison_rows(runs)[0][2] == "supernet"
    rows = list(csv.DictReader((tmp_path / "comparison.csv").open()))
    assert [(row["method"], row["weights"], row["hypervolume"] == "") for row in rows[:2]] == [
        ("plain", "trained alone, 1 epoch", True), ("static", "supernet", False)
    ]  # fmt: skip
    assert caption([plain]).endswith("average MACs, trained alone")
    assert caption(searched).endswith("with the supernet's weights")
    assert "do not compare" in caption(runs)


def test_a_plain_network_is_no_search(tmp_path: Path) -> None:
    config = configs("plain")["plain"]
    with pytest.raises(ConfigError, match="aebnas-bo compare CONFIG --methods plain"):
        run_study(Problem.load(config), RunFolder(tmp_path / "run"), silent())
    assert list(tmp_path.iterdir()) == []


def test_what_is_finished_is_read_and_not_run_again(finished, monkeypatch) -> None:
    folder, runs = finished
    monkeypatch.setattr(study, "run_study", lambda *_: pytest.fail("run again"))
    assert compare(folder, "static", "edanas", "nachos", "aebnas", "aebnas-bo") == runs


def test_a_result_of_other_settings_is_not_taken(finished) -> None:
    folder, _ = finished
    other = {"static": load_config(CONFIGS / "digits.yaml", [*SMALL, "search.budget=7"])}
    with pytest.raises(UsageError, match=r"created with other settings \(.*search.budget"):
        run_comparison(other, [0], folder, progress=silent())


def test_what_has_no_effect_on_trials_may_be_new(finished, tmp_path: Path, monkeypatch) -> None:
    folder, runs = finished
    shutil.copytree(folder / "static-seed0", tmp_path / "static-seed0")
    file, method = CONFIGS / "digits.yaml", PACKAGE_METHODS / "static.yaml"
    moved = {"static": load_config(file, [*SMALL, "data.root=elsewhere", "final_training.epochs=3"], method)}
    assert run_comparison(moved, [0], tmp_path, progress=silent()) == [runs[0]]
    with TrialStore.open_read_only(tmp_path / "static-seed0" / "study.db") as store:
        assert f"root: {Path.cwd() / 'elsewhere'}" in store.study.config
        assert store.study.config == (tmp_path / "static-seed0" / "config.yaml").read_text()
    monkeypatch.setattr(study, "supernet_fingerprint", lambda *_: "of other images")
    back = {"static": load_config(file, [*SMALL], method)}
    for given in (back, moved):  # other settings, and the very same
        with pytest.raises(UsageError, match="created with other images"):
            run_comparison(given, [0], tmp_path, progress=silent())


def test_an_unfinished_study_of_other_settings_is_not_continued(finished, tmp_path: Path) -> None:
    folder, _ = finished
    shutil.copytree(folder / "aebnas-seed0", tmp_path / "aebnas-seed0")
    (tmp_path / "aebnas-seed0" / study.RESULT_FILE).unlink()
    other = {"aebnas": load_config(CONFIGS / "digits.yaml", [*SMALL, "search.max_average_macs=0.1"],
                                   PACKAGE_METHODS / "aebnas.yaml")}  # fmt: skip
    with pytest.raises(UsageError, match=r"created with other settings \(search.max_average_macs\)"):
        run_comparison(other, [0], tmp_path, progress=silent())


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        compare(tmp_path / "file", "static")


def test_methods_that_do_not_share_their_ground_are_refused(tmp_path: Path) -> None:
    given = configs("static", "aebnas")
    search = given["aebnas"].search.model_copy(update={"budget": 9})
    given["aebnas"] = given["aebnas"].model_copy(update={"search": search})
    with pytest.raises(ConfigError, match=r"search.budget: aebnas and static differ"):
        run_comparison(given, [0], tmp_path, progress=silent())


def test_methods_compared_by_latency_need_one_table(tmp_path: Path) -> None:
    given = configs("aebnas-bo", "static")
    timed = {
        name: config.model_copy(
            update={
                "search": config.search.model_copy(update={"objectives": ("accuracy", "average_macs", "latency_ms")})
            }
        )
        for name, config in given.items()
    }
    with pytest.raises(ConfigError, match=r"search.objectives: static and aebnas-bo differ"):
        run_comparison({**given, "aebnas-bo": timed["aebnas-bo"]}, [0], tmp_path, progress=silent())
    with pytest.raises(ConfigError, match=r"estimation.latency_table: methods are compared by one table"):
        run_comparison(timed, [0], tmp_path, progress=silent())


def test_outputs_hold_every_run_and_means_over_seeds(finished, tmp_path: Path) -> None:
    _, runs = finished
    more = [*runs, *(replace(run, seed=1, curve=tuple(v + 1.0 for v in run.curve)) for run in runs)]
    write_outputs(tmp_path, more)
    assert len((tmp_path / "comparison.csv").read_text().splitlines()) == 11
    assert (tmp_path / "comparison.png").stat().st_size > 10_000
    rows = comparison_rows(more)
    assert {len(row) for row in rows} == {len(header(more))}
    means = [float(row[header(more).index("hypervolume")].split(" ")[0]) for row in rows]
    assert means == sorted(means, reverse=True)
    assert all("± 0.707" in row[header(more).index("hypervolume")] for row in rows)
