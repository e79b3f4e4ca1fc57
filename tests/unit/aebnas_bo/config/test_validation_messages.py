"""Advice in messages is followed: what it says to write is accepted."""

import re
from pathlib import Path

import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import ConfigError


def refusal(*settings: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(None, settings)
    [problem] = caught.value.problems
    assert len(problem) < 700
    return problem


@pytest.mark.parametrize(
    "setting",
    [
        "supernet.epochs='3'", "supernet.epochs=3.0", "supernet.epochs=030", "supernet.epochs=' 3 '",
        "supernet.epochs=3e1", "supernet.epochs='3.0'", "supernet.epochs='1_000'",
        "supernet.learning_rate='1e-3'", "supernet.learning_rate='0.00001'", "supernet.learning_rate='1e-5'",
        "supernet.gradient_clip='1e300'", "supernet.momentum='0'", "data.download='yes'", "data.download=0",
        "data.download='Off'", "search.max_average_macs='2'",
    ],
)  # fmt: skip
def test_the_number_or_truth_value_that_is_advised_is_accepted(setting: str) -> None:
    [advised] = re.findall(r" \(write (\S+?)(?:, without quotes)?\)$", refusal(setting))
    load_config(None, [f"{setting.partition('=')[0]}={advised}"])


@pytest.mark.parametrize(
    "setting",
    ["supernet.epochs='3.5'", "supernet.epochs=three", "supernet.learning_rate='nan'", "supernet.learning_rate='1e400'",
     "supernet.learning_rate=[1]", "data.download=2", "supernet.epochs=true"],
)  # fmt: skip
def test_no_spelling_is_advised_where_none_helps(setting: str) -> None:
    assert "write" not in refusal(setting)


@pytest.mark.parametrize("word", ["no", "yes", "3", "1e3", "0x1F", "On"])
def test_quotes_make_text_of_what_yaml_reads_otherwise(word: str, tmp_path: Path) -> None:
    assert "put quotes around it" in refusal(f"name={word}")
    path = tmp_path / "c.yaml"
    path.write_text(f"name: '{word}'\n")
    assert load_config(path).name == load_config(None, [f'name="{word}"']).name == word


@pytest.mark.parametrize(
    ("setting", "meant"),
    [
        ("search.budgt=3", ["budget"]),
        ("budget=3", ["search.budget"]),
        ("epochs=3", ["supernet.epochs", "final_training.epochs"]),
        ("final_training.crop_padding=3", ["augmentation.crop_padding"]),
        ("augmentation.crop_pading=3", ["crop_padding"]),
        ("final_training.teacher.sorce=supernet", ["source"]),
        ("final_training.sandwich=true", ["supernet.sandwich"]),
    ],
)
def test_a_setting_that_may_be_meant_is_accepted(setting: str, meant: list[str]) -> None:
    path, _, value = setting.partition("=")
    [named] = re.findall(r"did you mean (.*)\?$", refusal(setting))
    assert named.split(" or ") == meant
    for name in meant:
        advised = name if "." in name else f"{path.rpartition('.')[0]}.{name}"
        load_config(None, [f"{advised}={value}"])


def test_a_setting_that_was_replaced_is_followed_to_its_place() -> None:
    text = refusal("final_training.distillation=true")
    assert (
        text == "final_training.distillation: no such setting; write final_training.teacher: {source: network} or null"
    )
    for value in ("{source: network}", "null"):
        load_config(None, [f"final_training.teacher={value}"])


def test_nothing_is_suggested_for_what_resembles_nothing() -> None:
    assert "its settings are epochs, batch_size" in refusal("final_training.teaching=3")
    assert "did you mean" not in refusal(f"final_training.{'epoch' * 20_000}=3")
    assert refusal("space.preset=huge") == "space.preset: must be one of auto, tiny, cifar, cifar32, aebnas, got 'huge'"
    assert refusal("space.preset=cifar23").endswith("; did you mean cifar32?")


@pytest.mark.parametrize("value", ["3", "null", "[a]", "x"])
def test_a_section_that_is_a_value_says_what_belongs_there(value: str) -> None:
    assert re.match(
        r"search: must be a section, .*; its settings are objectives, strategy, budget", refusal(f"search={value}")
    )


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("space.stages.0.widths=[16, 8, 8]", "[8, 16]"),
        ("space.stages.0.kernels=[5, 3, 4]", "[3, 5]"),
        ("space.resolutions=[8, 6]", "[6, 8]"),
        ("space.exits.0.layers.0.pools=[true, false]", "[False, True]"),
        ("space.stages.0.kinds=[dense, convnext, dense]", "['dense', 'convnext']"),
    ],
)
def test_choices_that_are_expected_are_accepted(setting: str, expected: str) -> None:
    [advised] = re.findall(r"expected (\[.*?\])", refusal(setting))
    assert advised == expected
    load_config(None, [f"{setting.partition('=')[0]}={advised}"])


IMAGES = ("data.root=.", "data.image_size=8")
JOINT = ("supernet.joint_loss={}", "supernet.distillation=false", "space.learned_confidence=true")


@pytest.mark.parametrize(
    ("mistake", "ways"),
    [
        (["supernet.sandwich=false"], [["supernet.sandwich: true"], ["supernet.distillation: false"]]),
        (
            ["supernet.max_macs=0.1", "supernet.stratified=false"],
            [["supernet.stratified: true"], ["supernet.max_macs: null"]],
        ),
        ([JOINT[0], JOINT[2]], [["supernet.distillation: false"]]),
        (JOINT[:2], [["space.learned_confidence: true"]]),
        (
            [*JOINT, "supernet.exit_distillation=true"],
            [["supernet.exit_weights: null", "supernet.exit_distillation: false"]],
        ),
        (
            ["estimation.confidence=learned", JOINT[1]],
            [["space.learned_confidence: true", "supernet.joint_loss: {}"]],
        ),
        (["data.max_classes=2", *IMAGES], [["data.dataset: imagefolder"], ["data.max_classes: null"]]),
        (["final_training.teacher={source: supernet, macs: 1}"], [["final_training.teacher.source: network"]]),
    ],
)
def test_each_way_out_of_settings_that_contradict_each_other_helps(mistake: list[str], ways: list[list[str]]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, mistake)
    for way in ways:
        for advised in way:
            name, _, value = advised.partition(": ")
            assert any(f"{part}: {value}" in str(caught.value) for part in (name, name.rpartition(".")[2]))
        load_config(None, [*mistake, *(advised.replace(": ", "=", 1) for advised in way)])


def test_advice_on_whole_files_helps(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes("name: caf\xe9\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="save it as UTF-8"):
        load_config(path)
    path.write_text("name: caf\xe9\n", encoding="utf-8")
    assert load_config(path).name == "caf\xe9"
    path.write_text("search: {budget: 3}\nseed: 1\nsearch: {batch_size: 2}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="write it once"):
        load_config(path)
    path.write_text("search: {budget: 3, batch_size: 2}\nseed: 1\n", encoding="utf-8")
    assert (load_config(path).search.budget, load_config(path).search.batch_size) == (3, 2)


def test_settings_that_a_data_set_needs_are_named_one_after_the_other(tmp_path: Path) -> None:
    given = ["data.dataset=imagefolder"]
    assert "(--set data.root=FOLDER)" in refusal(*given)
    given.append(f"data.root={tmp_path}")
    assert "data.image_size: the side in pixels" in refusal(*given)
    load_config(None, [*given, "data.image_size=8"])
