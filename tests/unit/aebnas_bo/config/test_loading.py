from pathlib import Path

import pytest

from aebnas_bo.config.effects import check_after_search
from aebnas_bo.config.loading import dump_config, is_declaration, load_config, parse_config
from aebnas_bo.errors import ConfigError

WITH_LATENCY = "search: {objectives: [accuracy, average_macs, latency_ms]}\n"
# The number of their epochs follows from that of their images, in an archive that takes seconds to list.
CIFAR10 = [pytest.param(name, marks=pytest.mark.slow) for name in ("cifar10-mini", "cifar10")]


def problems(settings: list[str], text: str | None = None, folder: Path | None = None) -> str:
    path = None
    if text is not None and folder is not None:
        path = folder / "config.yaml"
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path, settings)
    return str(caught.value)


def test_defaults_are_digits_on_the_tiny_space() -> None:
    config = load_config(None)
    assert config.data.dataset == "digits"
    assert config.space.resolutions == (6, 8)


def test_settings_override_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("search: {budget: 7, design_trials: 3}\n", encoding="utf-8")
    config = load_config(path, ["search.budget=9"])
    assert (config.search.budget, config.search.design_trials) == (9, 3)


def test_settings_accept_scientific_notation() -> None:
    assert load_config(None, ["supernet.weight_decay=1e-3"]).supernet.weight_decay == 0.001


def test_settings_reach_into_presets() -> None:
    config = load_config(None, ["space.stages.0.widths=[4,8]", "space.preset=tiny"])
    assert config.space.stages[0].widths == (4, 8)


@pytest.mark.parametrize(
    ("settings", "supernet", "final"),
    [
        (["data.dataset=cifar10"], 15, 60),
        (["data.dataset=cifar10", "data.max_train_images=10000"], 30, 80),
        (["data.dataset=cifar100", "data.max_train_images=1000"], 100, 200),
        (["data.dataset=cifar10", "supernet.epochs=3", "final_training.epochs=4"], 3, 4),
        (["data.dataset=digits"], 30, 80),
    ],
)
def test_epochs_that_nobody_set_suit_the_number_of_images(settings: list[str], supernet: int, final: int) -> None:
    config = load_config(None, [*settings, "data.root=."])
    assert (config.supernet.epochs, config.final_training.epochs) == (supernet, final)


def test_branches_on_a_given_backbone_are_trained_for_few_epochs_from_those_of_the_search() -> None:
    backbone = "space={backbone: {source: torchvision, name: resnet18}}"
    config = load_config(None, [backbone, "data.dataset=cifar10", "data.root=."])
    assert (config.supernet.epochs, config.final_training.epochs) == (2, 4)
    assert (config.final_training.start, config.final_training.muon_learning_rate) == ("supernet", None)
    assert config.final_training.batchnorm_bias_rate == 1.0
    settings = ["final_training.start=scratch", "final_training.epochs=9", "final_training.muon_learning_rate=0.1"]
    given = load_config(None, [backbone, *settings]).final_training
    assert (given.start, given.epochs, given.muon_learning_rate) == ("scratch", 9, 0.1)
    searched = load_config(None).final_training
    assert (searched.start, searched.muon_learning_rate, searched.batchnorm_bias_rate) == ("scratch", 0.03, 4.0)


def test_a_stored_configuration_of_a_given_backbone_from_before_muon_is_trained_by_sgd() -> None:
    config = load_config(None, ["space={backbone: {source: torchvision, name: resnet18}}"])
    later = ("muon_learning_rate", "batchnorm_bias_rate")
    lines = dump_config(config).splitlines(keepends=True)
    older = "".join(line for line in lines if not any(name in line for name in later))
    assert parse_config(older, "config.yaml") == config


@pytest.mark.slow
def test_images_of_a_folder_are_counted_for_the_epochs(tmp_path: Path) -> None:
    for name, count in (("a", 3000), ("b", 2000), ("c", 50)):
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in range(count):
            (tmp_path / "train" / name / f"{number}.png").touch()
    settings = ["data.dataset=imagefolder", f"data.root={tmp_path}", "data.image_size=16"]
    assert load_config(None, settings).supernet.epochs == round(300_000 / 5050)
    assert load_config(None, [*settings, "data.max_classes=2"]).final_training.epochs == 160
    nowhere = load_config(None, ["data.dataset=imagefolder", "data.root=nowhere", "data.image_size=16"])
    assert nowhere.supernet.epochs == 30  # reading the images reports that there are none


def test_relative_root_counts_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("data: {dataset: imagefolder, root: images, image_size: 8}\n", encoding="utf-8")
    assert load_config(path).data.root == str(tmp_path / "images")


def test_a_relative_table_of_latencies_counts_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(WITH_LATENCY + "estimation: {latency_table: phone.json}\n", encoding="utf-8")
    assert load_config(path).estimation.latency_table == str(tmp_path / "phone.json")


def test_a_table_of_latencies_that_are_not_measured_is_refused_and_all_ways_out_help() -> None:
    table = "estimation.latency_table=phone.json"
    for text in (problems([table]), problems([table, "seed=a"])):  # the latter skips rules between sections
        assert "estimation.latency_table: has no effect if latency is not measured; set search.objectives: " in text
    objectives, limit, none = text.splitlines()[-1].partition("; set ")[2].split(", or ")
    assert limit == "a limit search.max_latency_ms"
    for advised in (objectives, "search.max_latency_ms: 2", none):
        load_config(None, [table, advised.replace(": ", "=", 1)])


def test_dump_and_parse_are_inverse() -> None:
    config = load_config(None, ["space.preset=aebnas", "search.reference_point.accuracy=10",
                                "search.reference_point.average_macs=5"])  # fmt: skip
    assert parse_config(dump_config(config), "test") == config


def test_all_problems_are_reported_at_once() -> None:
    text = problems(["search.budgt=3", "seed=a", "search.mc_samples=2", "supernet.learning_rate=.nan", "nonsense"])
    for part in ("did you mean budget?", "seed:", "search.mc_samples:", "supernet.learning_rate: must be a finite",
                 "--set nonsense: expected section.key=value"):  # fmt: skip
        assert part in text


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("supernet.exit_weights=[1.0]", "one weight per exit position and a positive one for the final classifier"),
        ("final_training.exit_weights=[1.0, 1.0, 0.0]", "final_training.exit_weights"),
        ("supernet.sandwich=false", "distillation needs the sandwich rule"),
        (
            "final_training.teacher=supernet",
            "expected {source: network}, {source: supernet}, {source: original} or null, got 'supernet'",
        ),
        (
            "final_training.teacher={source: original}",
            "final_training.teacher: the source original needs a given backbone",
        ),
        ("final_training.backbone_rate=0.1", "final_training.backbone_rate: has no effect on a searched backbone"),
        ("supernet={joint_loss: {}, distillation: false}", "supernet.joint_loss trains confidences"),
        ("supernet.joint_loss={}", "because the final exit then learns hard images only; set distillation: false"),
        ("final_training.joint_loss={max_macs: 0.1}", "final_training.joint_loss trains confidences"),
        ("estimation.confidence=learned", "set space.learned_confidence: true"),
        (
            "search.objectives=[average_macs, accuracy]",
            "expected [accuracy, average_macs] or [accuracy, average_macs, lat",
        ),
        ("search.objectives=[accuracy]", "got [accuracy]"),
        ("search.constraints=[accuracy >= 2]", "constraints: set search.min_accuracy instead"),
    ],
)
def test_training_settings_that_contradict_each_other_are_refused(setting: str, expected: str) -> None:
    assert expected in problems([setting])


@pytest.mark.parametrize(
    "value", ["[1.8]", "[2.6,1.8]", "[2,2]", "1.8", "[0,1]", "[1,2,3]", "abc", "[a,2]", "[true,2]"]
)
def test_a_malformed_band_is_refused(value: str) -> None:
    text = problems([f"fidelity.band={value}"])
    assert "fidelity.band: expected [low, high] in millions of average MACs" in text
    assert text.count("got") == 1


@pytest.mark.parametrize(("value", "band"), [("[1,2.5]", (1.0, 2.5)), ("null", None)])
def test_a_band_is_read(value: str, band: tuple[float, float] | None) -> None:
    config = load_config(None, [f"fidelity.band={value}"])
    assert config.fidelity.band == parse_config(dump_config(config), "file").fidelity.band == band


def test_learned_confidences_need_a_loss_that_trains_them() -> None:
    settings = ["space.learned_confidence=true", "estimation.confidence=learned"]
    assert "set supernet.joint_loss: {}" in problems(settings)
    assert (
        load_config(None, [*settings, "supernet={joint_loss: {}, distillation: false}"]).estimation.confidence
        == "learned"
    )


def test_the_joint_loss_weighs_outputs_itself() -> None:
    learned = ["space.learned_confidence=true", "supernet.joint_loss={max_macs: 0.1}", "supernet.distillation=false"]
    assert load_config(None, learned).supernet.joint_loss is not None
    assert "supernet.joint_loss determines the weights of outputs" in problems(
        [*learned, "supernet.exit_distillation=true"]
    )


def test_yaml_traps_are_explained(tmp_path: Path) -> None:
    text = problems([], "name: no\nsupernet: {weight_decay: '1e-3'}\n", tmp_path)
    assert "write 0.001" in text
    assert "put quotes around it" in text


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "1e400"])
def test_non_finite_numbers_are_refused(value: str) -> None:
    assert "supernet.gradient_clip: must be a finite number, got" in problems([f"supernet.gradient_clip={value}"])


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("search.budget=.nan", "search.budget: input should be a valid integer, got nan"),
        ("supernet.exit_weights=[1.0,.inf,1.0]", "supernet.exit_weights.1: must be a finite number, got inf"),
        ("space.thresholds=[0.1,.nan]", "space.exits.0.threshold_values.1: must be a finite number, got nan"),
        ("name=.nan", "name: input should be a valid string, got nan"),
    ],
)
def test_non_finite_numbers_are_reported_once_and_as_given(setting: str, expected: str) -> None:
    text = problems([setting])
    assert expected in text
    assert "1.0" not in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "expected sections"),
        ("a: [", "not valid YAML"),
        ("search: 3\n", "search"),
        ("data: {dataset: cifar10}\n", "data.root"),
        ("data: {dataset: imagefolder, root: x}\n", "image_size"),
        ("data: {calibration_fraction: 0.5, validation_fraction: 0.5}\n", "must be below 0.9, got 0.5 + 0.5"),
        ("space: 3\n", "space: expected"),
        ("search: {budget: true}\n", "search.budget"),
        ("search: {budget: 1.5}\n", "search.budget"),
        ("search: {2020-01-01: 3}\n", "search.2020-01-01: no such setting"),
        ("search: {budget: 2020-01-01}\n", "search.budget: input should be a valid integer, got '2020-01-01'"),
    ],
)
def test_bad_files_are_refused(text: str, message: str, tmp_path: Path) -> None:
    assert message in problems([], text, tmp_path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        load_config(tmp_path / "nowhere.yaml")


def test_setting_below_a_value_is_refused() -> None:
    assert "seed: input should be a valid integer" in problems(["seed.deep.er=1"])


@pytest.mark.parametrize("name", ["digits", *CIFAR10])
@pytest.mark.slow
def test_shipped_configurations_are_valid(name: str) -> None:
    root = Path(__file__).resolve().parents[4]
    assert load_config(root / "configs" / f"{name}.yaml").name == name


def test_the_augmentation_of_a_training_takes_what_it_leaves_out_from_the_study() -> None:
    settings = ["augmentation={crop_padding: 2, horizontal_flip: true}", "final_training.augmentation.mixup_alpha=0.2"]
    config = load_config(None, settings)
    own = config.augmentation_of(config.final_training)
    assert (own.crop_padding, own.horizontal_flip, own.mixup_alpha) == (2, True, 0.2)
    assert config.augmentation_of(config.supernet) == config.augmentation
    again = parse_config(dump_config(load_config(None, settings[:1])), "stored", settings[1:])
    assert again == config  # where the stored section is null


@pytest.mark.parametrize("section", ["data", "final_training"])
def test_a_transform_in_another_section_is_told_where_it_belongs(section: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"{section}\.crop_padding: no such setting; did you mean augmentation\.crop"
    ):
        load_config(None, [f"{section}.crop_padding=2"])


def test_a_space_can_stand_in_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spaces").mkdir()
    (tmp_path / "spaces" / "mine.yml").write_text("preset: tiny\nresolutions: [8]\nthresholds: tuned\n")
    (tmp_path / "run.yaml").write_text("space: spaces/mine.yml\n")
    config = load_config(tmp_path / "run.yaml", ["space.stages.0.widths=[8]"])
    assert (config.space.resolutions, config.space.stages[0].widths) == ((8,), (8,))
    assert [exit_.threshold for exit_ in config.space.exits] == [None, None]
    monkeypatch.chdir(tmp_path / "spaces")
    assert load_config(None, ["space=mine.yml"]).space.resolutions == (8,)


def test_a_file_of_a_space_is_not_completed_by_a_preset(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("resolutions: [8]\n")
    (tmp_path / "run.yaml").write_text("space: mine.yaml\n")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "run.yaml")
    assert "space.stem_channels: is missing" in caught.value.problems
    assert "space.stages: must have at least 2 entries, got 0" in caught.value.problems
    (tmp_path / "run.yaml").write_text("space: other.yaml\n")
    with pytest.raises(ConfigError, match=r"other\.yaml: cannot be read"):
        load_config(tmp_path / "run.yaml")


def test_wrong_entries_are_not_missing_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["space.stages.0.kinds=[conv]", "space.stages.1.stride=5"])
    assert [problem.split(": ")[0] for problem in caught.value.problems] == [
        "space.stages.0.kinds.0",
        "space.stages.1.stride",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resolutions: [8]\n", True),
        ("preset: tiny\n", True),
        ("thresholds: tuned\nstages: []\n", True),
        ("space: tiny\n", False),
        ("resolutions: [8]\nseed: 1\n", False),
        ("", False),
    ],
)
def test_a_declaration_is_told_from_a_configuration(text: str, expected: bool, tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text(text)
    assert is_declaration(tmp_path / "file.yaml") == expected


def test_paths_of_options_count_from_the_current_folder_for_good(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    objectives = "search.objectives=[accuracy, average_macs, latency_ms]"
    config = load_config(None, ["data.root=pictures", "estimation.latency_table=~/table.json", objectives])
    assert config.data.root == str(tmp_path / "pictures")
    assert config.estimation.latency_table == "/home/someone/table.json"
    moved = parse_config(dump_config(config), "study", ["data.root=../moved"])
    assert moved.data.root == str(tmp_path.parent / "moved")


def test_a_name_that_leaves_the_folder_of_runs_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^name: holds / or .*; it names the run folder"):
        load_config(None, ["name=../../escape"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {dataset: imagefolder, root: ~nobody-of-this-name/x, image_size: 8}\n", "data.root: ~ in "),
        ("estimation: {latency_table: ~nobody-of-this-name/x}\n", "estimation.latency_table: ~ in "),
        ("space: ~nobody-of-this-name/mine.yaml\n", "space: ~ in "),
        (f"data: {{root: {'x' * 300}}}\n", "data.root: expected file names of at most 255 bytes"),
        ('data: {root: "a\\0b"}\n', "line 1, column 14: text must not contain the character NUL"),
        (
            f"data: {{group_pattern: '{'(' * 900}', dataset: imagefolder, root: x, image_size: 8}}\n",
            "regular expression",
        ),
        ("data: {group_pattern: 'a{99999999999}(x)'}\n", "data.group_pattern: expected a regular expression"),
        ("data: {dataset: [digits]}\n", "data.dataset: input should be"),
    ],
)
def test_paths_and_patterns_that_cannot_be_are_refused(text: str, message: str, tmp_path: Path) -> None:
    assert message in problems([], text, tmp_path)


@pytest.mark.parametrize("name", ["data.root", "estimation.latency_table"])
def test_a_path_in_an_option_is_checked_too(name: str) -> None:
    assert f"{name}: ~ in '~nobody-of-this-name/x' cannot be expanded" in problems([f"{name}=~nobody-of-this-name/x"])
    with pytest.raises(ConfigError, match="without a home folder"):
        parse_config(dump_config(load_config(None)), "stored", [f"{name}=~nobody-of-this-name/x"])


def test_a_space_that_cannot_be_read_does_not_hide_other_mistakes(tmp_path: Path) -> None:
    text = problems(["seed=x"], "space: nowhere.yaml\nsearch: {budget: a}\n", tmp_path)
    assert [line.split(":")[0] for line in text.splitlines()] == [
        str(tmp_path / "nowhere.yaml"),
        "seed",
        "search.budget",
    ]


def test_rules_between_sections_are_checked_where_another_section_is_wrong() -> None:
    wrong = ["estimation.confidence=learned", "supernet.exit_weights=[1.0]", "final_training.joint_loss={}"]
    alone = problems(wrong).splitlines()
    assert len(alone) == 4
    assert problems([*wrong, "search.budget=x"]).splitlines()[1:] == alone
    # those that a wrong section has a part in are left out
    assert "exit_weights" not in problems([*wrong, "space.stem_stride=x"])


def test_images_are_not_listed_for_a_configuration_with_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> int:
        raise AssertionError("listed")

    monkeypatch.setattr("aebnas_bo.config.loading.num_training_images", fail)
    assert problems(["data.dataset=cifar10", "data.root=.", "search.budget=x"]).startswith("search.budget")
    with pytest.raises(AssertionError, match="listed"):
        load_config(None, ["data.dataset=cifar10", "data.root=."])


def test_options_after_a_search_are_echoed_short() -> None:
    with pytest.raises(ConfigError) as caught:
        check_after_search([f"search.budget={'9' * 200_000}"] * 3)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("value", ["true", "yes", "on", "false"])
def test_a_boolean_is_no_number_of_channels(value: str) -> None:
    word = {"false": "false"}.get(value, "true")
    with pytest.raises(ConfigError, match=rf"data.channels: input should be 'auto', 1 or 3, got '{word}'"):
        load_config(None, [f"data.channels={value}"])
    assert load_config(None, ["data.channels=1"]).data.channels == 1
