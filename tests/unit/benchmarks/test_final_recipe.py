"""Variants of the final recipe: trained once each, beside the run, and held against the default pair by pair."""

import math
from pathlib import Path

import numpy as np
import pytest

from aebnas_bo.config.loading import dump_config, load_config
from aebnas_bo.errors import UsageError
from aebnas_bo.preparation.fingerprints import supernet_fingerprint
from aebnas_bo.search.search_loop import evaluate_trial
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.study.running import prepare_study
from benchmarks import final_recipe
from benchmarks.final_recipe import DEFAULT, Row, Variant, paired_difference, table, variants
from benchmarks.records import read_rows

SMALL = ["supernet.epochs=1", "supernet.cache=false", "supernet.random_subnets=0", "data.max_train_images=300"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A study of one network."""
    folder = RunFolder(tmp_path_factory.mktemp("recipe"))
    config = load_config(None, SMALL)
    study = prepare_study(config)
    proposed = Trial(0, "", "RUNNING", study.space.search_space.sample(np.random.default_rng(0)))
    fingerprint = supernet_fingerprint(config, study.problem.splits.data_hash)
    record = StudyRecord(config.name, config.seed, fingerprint, dump_config(config), study.objectives)
    with TrialStore.create(folder.study, record) as store:
        store.add_running(proposed)
        store.finish(evaluate_trial(proposed, study.estimator, study.objectives))
    return folder


def row(variant: str, key: str, seed: int, validation: float, test: float = 90.0) -> Row:
    figures = {"validation_average_macs": "0.5", "test_average_macs": "0.5", "seconds": "2"}
    accuracies = {"validation_accuracy": str(validation), "test_accuracy": str(test)}
    return {"variant": variant, "key": key, "seed": str(seed), **accuracies, **figures}


ROWS = [
    row("old", "a", 0, 90.0), row("old", "a", 1, 92.0), row("old", "b", 0, 80.0), row("old", "b", 1, 99.0),
    row("new", "a", 0, 91.0), row("new", "b", 0, 83.0, 91.0), row("new", "a", 1, 94.0), row("new", "c", 1, 10.0),
    row("alone", "a", 0, 95.0), row("apart", "d", 0, 95.0),
]  # fmt: skip


def test_differences_are_paired_by_network_and_seed() -> None:
    found = paired_difference(ROWS, "new", "old", "validation_accuracy")  # +1, +2, +3; the rest has no partner
    assert found is not None
    assert (found.mean, found.num_pairs) == (pytest.approx(2.0), 3)
    assert found.error == pytest.approx(1.0 / math.sqrt(3.0))
    alone = paired_difference(ROWS, "alone", "old", "validation_accuracy")
    assert alone is not None
    assert math.isnan(alone.error)
    assert paired_difference(ROWS, "apart", "old", "validation_accuracy") is None


def test_the_table_has_a_line_per_variant() -> None:
    header, rule, *lines = table(ROWS, "old").splitlines()
    assert header.count("|") == rule.count("|")
    assert lines[0] == "| old | 4 | 90.25 | 0.5 | 90 | 0.5 | 2 | – | – |"
    assert lines[1] == "| new | 4 | 69.5 | 0.5 | 90.25 | 0.5 | 2 | +2.00 ± 0.58 | +0.33 ± 0.33 |"
    assert lines[3].endswith("| – | – |")
    assert len(table([]).splitlines()) == 2


def test_the_default_is_the_first_variant_and_none_occurs_twice() -> None:
    names = [str(variant) for variant in variants([0.99, 0.99])]
    assert names == [
        "scratch", "supernet", "supernet + teacher supernet", "supernet + teacher network",
        "scratch + teacher supernet", "scratch + teacher network", "scratch + average 0.99",
    ]  # fmt: skip
    assert variants([])[0] == DEFAULT


@pytest.mark.slow
def test_rows_that_stand_are_not_run_again_and_the_run_is_left_alone(run, tmp_path, monkeypatch, capsys) -> None:
    def call(*options: str) -> list[Row]:
        chosen = ["final_recipe", str(run.path), "--select", "best-accuracy", "--seeds", "0", "--out", str(out)]
        monkeypatch.setattr("sys.argv", [*chosen, *options])
        final_recipe.main()
        return read_rows(out)

    out = tmp_path / "recipe.csv"
    before = {file: file.stat().st_mtime_ns for file in run.path.rglob("*")}
    monkeypatch.setattr(final_recipe, "variants", lambda _: [DEFAULT, Variant("supernet", None, 0.0)])
    rows = call("--epochs", "1")
    assert [(one["variant"], one["epochs"]) for one in rows] == [("scratch", "1"), ("supernet", "1")]
    assert rows[0]["validation_accuracy"] != rows[1]["validation_accuracy"]
    assert before == {file: file.stat().st_mtime_ns for file in run.path.rglob("*")}
    train = final_recipe.train_candidate
    monkeypatch.setattr(final_recipe, "train_candidate", lambda *_, **__: pytest.fail("trained again"))
    assert call("--epochs", "1") == rows
    monkeypatch.setattr(final_recipe, "train_candidate", train)
    capsys.readouterr()
    assert len(call("--epochs", "1", "--set", "final_training.learning_rate=0.05")) == 4
    assert "| scratch | 1 |" in capsys.readouterr().out  # rows of other settings are not in the table


def test_a_network_chosen_twice_and_a_folder_without_a_search_are_refused(run: RunFolder, tmp_path: Path) -> None:
    selections = [final_recipe.parse_selection(text) for text in ("best-accuracy", "macs<=99")]
    with pytest.raises(UsageError, match=r"best-accuracy and macs<=99 mean the same network"):
        final_recipe.choose_networks(run, selections, [])
    with pytest.raises(UsageError, match="holds no study"):
        final_recipe.copy_of_run(RunFolder(tmp_path), tmp_path)
