from pathlib import Path

import pytest

from aebnas_bo.config.loading import dump_config, load_config
from aebnas_bo.errors import ConfigError, UsageError
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.study.resuming import check_same_trials, given_config, resumed_config


@pytest.fixture
def study(tmp_path: Path) -> Path:
    config = load_config(None, ["search.budget=200", "search.mc_samples=16"])
    TrialStore.create(tmp_path / "s.db", StudyRecord("digits", 0, "f", dump_config(config), ())).close()
    return tmp_path / "s.db"


def resume(study: Path, *options: str, has_file: bool = False):
    return resumed_config(study, load_config(None, options), has_file=has_file, options=options)


def test_nothing_said_keeps_everything(study: Path) -> None:
    config = resume(study)
    assert (config.search.budget, config.search.mc_samples) == (200, 16)


def test_budget_and_device_may_change(study: Path) -> None:
    config = resume(study, "search.budget=300", "device=cpu")
    assert (config.search.budget, config.device, config.search.mc_samples) == (300, "cpu", 16)


def test_a_file_does_not_lower_the_budget(study: Path) -> None:
    assert resume(study, "search.mc_samples=16", has_file=True).search.budget == 200


def test_options_are_checked_against_the_study_and_not_against_the_default(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    stored = load_config(None, ["space.preset=cifar32", "search.budget=7"])
    TrialStore.create(folder.study, StudyRecord("digits", 0, "f", dump_config(stored), ())).close()
    options = ["final_training.exit_weights=[1,1,1,2]"]  # three exits, where digits has two
    config = resumed_config(folder.study, given_config(folder, None, options), has_file=False, options=options)
    assert config.final_training.exit_weights == (1.0, 1.0, 1.0, 2.0)
    assert config.search.budget == 7
    with pytest.raises(ConfigError, match="4 in all, got"):
        given_config(folder, None, ["final_training.exit_weights=[1,1,1]"])
    again = ["space.preset=cifar32"]  # the options that the study was begun with
    assert resumed_config(folder.study, given_config(folder, None, again), has_file=False, options=again) == stored
    assert given_config(RunFolder(tmp_path / "new"), None, ["seed=3"]) == load_config(None, ["seed=3"])


@pytest.mark.parametrize(
    "option", ["seed=1", "search.mc_samples=8", "space.preset=cifar", "space.stages.0.widths=[4,8]"]
)
def test_what_would_change_trials_is_refused(study: Path, option: str) -> None:
    with pytest.raises(ConfigError, match="start another run folder"):
        resume(study, option)


def test_a_file_that_differs_is_refused(study: Path) -> None:
    with pytest.raises(ConfigError, match=r"search\.mc_samples: the study has 16"):
        resume(study, has_file=True)


def test_a_refusal_names_values_as_a_file_would(study: Path) -> None:
    with pytest.raises(ConfigError, match=r"the study has null, --resume cannot change it to 1\.0; start"):
        resume(study, "search.max_average_macs=1")


def test_the_images_may_have_moved_and_the_final_recipe_may_change(study: Path) -> None:
    config = resume(study, "data.root=elsewhere", "final_training.epochs=7")
    assert (config.data.root, config.final_training.epochs, config.search.mc_samples) == (
        str(Path.cwd() / "elsewhere"),
        7,
        16,
    )
    config = resume(study, "search.mc_samples=16", "final_training.epochs=7", has_file=True)
    assert (config.final_training.epochs, config.search.budget) == (7, 200)


def test_only_what_has_no_effect_on_trials_may_differ(tmp_path: Path) -> None:
    stored = load_config(None)
    check_same_trials(stored, load_config(None, ["data.root=elsewhere", "fidelity.top_k=[2]", "device=cpu"]), tmp_path)
    with pytest.raises(UsageError, match=r"created with other settings \(data.split_seed, seed\)"):
        check_same_trials(stored, load_config(None, ["data.root=x", "data.split_seed=1", "seed=1"]), tmp_path)
