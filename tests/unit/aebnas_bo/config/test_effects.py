import pytest

from aebnas_bo.config.effects import (
    BY_OPTION,
    all_settings,
    check_after_search,
    effect_of,
    settings_with,
    values_with,
)
from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import ConfigError
from aebnas_bo.execution.settings import ExecutionConfig
from aebnas_bo.preparation.fingerprints import supernet_fingerprint

OTHER_VALUES = {"batch_size": 33, "learning_rate": 0.07, "gradient_clip": 2.5, "random_subnets": 3, "ema_decay": 0.5}


@pytest.mark.parametrize(
    ("path", "effect"),
    [
        ("seed", "supernet"),
        ("num_threads", "machine"),
        ("data.root", "nothing"),
        ("data.split_seed", "images"),
        ("space.stages.0.widths", "supernet"),  # the space counts as one setting
        ("supernet.cache", "nothing"),
        ("supernet.joint_loss.max_macs", "supernet"),
        ("final_training.joint_loss.max_macs", "trainings"),  # the same section within another one
        ("final_training.augmentation", "trainings"),
        ("augmentation.mixup_alpha", "supernet"),
        ("search.reference_point.accuracy", "trials"),
        ("search.budget", "budget"),
        ("final_training.exit_ensemble", "figures"),
        ("fidelity.top_k", "statistics"),
    ],
)
def test_a_setting_changes_what_its_field_its_section_or_the_section_around_it_says(path: str, effect: str) -> None:
    assert effect_of(path) == effect


def test_a_setting_that_does_not_exist_has_no_effect() -> None:
    with pytest.raises(KeyError):
        effect_of("search.budgets")


def test_every_setting_is_listed_once() -> None:
    paths = [path for path, _ in all_settings()]
    assert len(paths) == len(set(paths))
    assert settings_with(BY_OPTION) == [
        "device", "num_threads", "final_training.compile", "search.budget", "search.max_failed_trials",
        *(f"execution.{name}" for name in ExecutionConfig.model_fields),
    ]  # fmt: skip


def test_the_key_of_a_supernet_holds_what_changes_it_and_nothing_else() -> None:
    plain = supernet_fingerprint(load_config(None), "images")
    values = values_with(load_config(None).supernet, {"supernet"})
    assert OTHER_VALUES.keys() <= values.keys()
    assert "cache" not in values
    for name, value in OTHER_VALUES.items():
        assert supernet_fingerprint(load_config(None, [f"supernet.{name}={value}"]), "images") != plain, name
    for path, value in (("supernet.cache", "false"), ("num_threads", "2"), ("search.budget", "7")):
        assert supernet_fingerprint(load_config(None, [f"{path}={value}"]), "images") == plain, path


def test_after_a_search_only_trainings_and_the_machine_can_change() -> None:
    check_after_search(
        ["final_training.epochs=3", "shortlist.rungs=[[2,1]]", "data.root=x", "device=cpu", "num_threads=2"]
    )
    with pytest.raises(
        ConfigError, match=r"--set search\.budget=3: fixed by the study; settings that can change: final_training"
    ):
        check_after_search(["search.budget=3"])
    check_after_search(["search.budgets=3"])  # unknown: the configuration names the closest setting
