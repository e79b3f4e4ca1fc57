"""Settings of the final recipe, each held against the configuration's own."""

import sys
from pathlib import Path

import pytest

from aebnas_bo.errors import UsageError
from aebnas_bo.space.macs import exit_costs
from benchmarks import recipe_settings
from benchmarks.final_recipe import Row
from benchmarks.recipe_settings import OWN, job_of, table


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "digits.yaml"
    path.write_text("name: digits8\nspace:\n  preset: auto\ndata:\n  max_train_images: 200\n")
    return path


def test_the_network_is_the_plain_one_of_so_many_macs(config: Path) -> None:
    job = job_of(config, OWN, seed=0, macs=0.02, epochs=1)
    assert 0.014 < exit_costs(job.architecture, job.problem.space.skeleton).cumulative[-1] / 1e6 < 0.028
    assert {block.kind for stage in job.architecture.stages for block in stage.blocks} == {"depthwise_separable"}


def test_rows_are_told_apart_by_what_changes_them(config: Path) -> None:
    own, rate, seed = (
        job_of(config, variant, seed=seed, macs=0.02, epochs=1)
        for variant, seed in ((OWN, 0), ("final_training.learning_rate=0.1,final_training.batch_size=32", 0), (OWN, 1))
    )
    assert len({job.identity for job in (own, rate, seed)}) == 3
    assert (rate.problem.config.final_training.learning_rate, rate.problem.config.final_training.batch_size) == (
        0.1,
        32,
    )


def test_a_setting_may_be_a_list(config: Path) -> None:
    variant = "final_training.exit_weights=[0.5,1,1],final_training.learning_rate=0.1"
    recipe = job_of(config, variant, seed=0, macs=0.02, epochs=1).problem.config.final_training
    assert (recipe.exit_weights, recipe.learning_rate) == ((0.5, 1.0, 1.0), 0.1)


def test_a_variant_may_have_other_exits(config: Path) -> None:
    config.write_text(config.read_text().replace("auto", "tiny"))
    variants = ("exits=1+2", "exits=2,final_training.learning_rate=0.1")
    both, second = (job_of(config, variant, seed=0, macs=0.02, epochs=1) for variant in variants)
    own, none = (job_of(config, variant, seed=0, macs=0.02, epochs=1).architecture for variant in (OWN, "exits=none"))
    assert (none.stages, none.active_exits) == (own.stages, ())
    assert both.architecture.stages == second.architecture.stages == own.stages
    assert (both.architecture.active_exits, second.architecture.active_exits) == ((0, 1), (1,))
    assert second.problem.config.final_training.learning_rate == 0.1
    with pytest.raises(UsageError, match=r"exits=1\+9: expected stages out of 1, 2"):
        job_of(config, "exits=1+9", seed=0, macs=0.02, epochs=1)


def test_a_space_without_plain_networks_is_refused(config: Path) -> None:
    config.write_text("space:\n  preset: aebnas\n")
    with pytest.raises(UsageError, match="no plain networks"):
        job_of(config, OWN, seed=0, macs=0.5, epochs=1)


def test_what_stands_in_the_file_is_not_run_again(config: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    out = tmp_path / "rows.csv"
    command = ["prog", str(config), "--macs", "0.02", "--epochs", "1", "--vary", "final_training.learning_rate=0.1"]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(out)])
    recipe_settings.main()
    first, rows = capsys.readouterr().out, out.read_text()
    assert len(rows.splitlines()) == 3
    monkeypatch.setattr(recipe_settings, "run_job", None)
    recipe_settings.main()
    assert capsys.readouterr().out == first
    assert out.read_text() == rows


def test_differences_are_paired_by_seed() -> None:
    def row(variant: str, seed: int, accuracy: float) -> Row:
        figures = {"final_accuracy": str(accuracy), "accuracy": "50", "average_macs": "0.1", "seconds": "1"}
        return {"variant": variant, "key": "a", "seed": str(seed), **figures}

    lines = table([row(OWN, 0, 60), row("x=1", 0, 61), row(OWN, 1, 50), row("x=1", 1, 53)]).splitlines()
    assert lines[2].endswith("| – | – |")
    assert lines[3] == "| x=1 | 2 | 57 | 50 | 0.1 | 1 | +2.00 ± 1.00 | +0.00 ± 0.00 |"
