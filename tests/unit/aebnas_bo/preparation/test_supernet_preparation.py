from pathlib import Path

import pytest
import torch
from rich.console import Console

from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.preparation import supernet_preparation
from aebnas_bo.preparation.fingerprints import recipe_identity, supernet_fingerprint
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.preparation.supernet_preparation import prepare_supernet, training_data
from aebnas_bo.storage.cache import cache_folder
from aebnas_bo.storage.run_folder import RunFolder

SETTINGS = ["supernet.epochs=1", "data.max_train_images=300"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("AEBNAS_BO_CACHE", str(tmp_path / "cache"))


def prepare(folder: RunFolder | None = None, settings: tuple[str, ...] = ()):
    config = load_config(None, [*SETTINGS, *settings])
    return prepare_supernet(Problem.load(config), folder, RunProgress(Console(stderr=True), quiet=True))


@pytest.mark.slow
def test_equal_runs_share_a_supernet_and_others_do_not() -> None:
    first, source = prepare()
    again, again_source = prepare()
    assert (source, again_source) == ("trained", "cache")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert prepare(settings=("seed=1",))[1] == "trained"
    assert prepare(settings=("supernet.cache=false",))[1] == "trained"


@pytest.mark.slow
def test_a_damaged_cache_is_trained_anew() -> None:
    prepare()
    [cached] = (cache_folder() / "supernets").iterdir()
    cached.write_bytes(b"rubbish")
    assert prepare()[1] == "trained"
    assert prepare()[1] == "cache"


def test_without_a_usable_cache_a_run_warns_before_its_training_and_keeps_its_own_supernet(
    tmp_path: Path, monkeypatch, caplog
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AEBNAS_BO_CACHE", str(tmp_path / "file"))
    warned: list[int] = []
    monkeypatch.setattr(supernet_preparation, "_train", lambda *_, **__: warned.append(len(caplog.records)))
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    assert prepare(folder)[1] == "trained"
    assert (warned, len(caplog.records)) == ([1], 1)
    assert f"nothing is cached for other runs ({tmp_path}/file" in caplog.text
    assert folder.supernet.exists()


def test_a_cache_that_fails_after_the_training_loses_nothing(tmp_path: Path, monkeypatch, caplog) -> None:
    def fill(*_, **__) -> None:
        monkeypatch.setattr(cache_folder().__class__, "mkdir", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "")))

    monkeypatch.setattr(supernet_preparation, "_train", fill)
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    assert prepare(folder)[1] == "trained"
    assert folder.supernet.exists()
    assert "No space left on device; free some space there, or set AEBNAS_BO_CACHE" in caplog.text


@pytest.mark.slow
def test_a_damaged_run_folder_is_an_error(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    assert prepare(folder)[1] == "trained"
    assert prepare(folder)[1] == "run folder"
    folder.supernet.write_bytes(b"rubbish")
    with pytest.raises(CorruptStateError, match="supernet"):
        prepare(folder)


@pytest.mark.parametrize(
    "setting",
    [
        "seed=7",
        "supernet.learning_rate=0.07",
        "supernet.ema_decay=0.9",
        "augmentation.cutmix_alpha=1",
        "augmentation.horizontal_flip=true",
        "space.stem_channels=12",
        "space.squeeze_excitation=[1]",
    ],
)
def test_the_fingerprint_depends_on_what_shapes_the_weights(setting: str) -> None:
    assert supernet_fingerprint(load_config(None), "h") != supernet_fingerprint(load_config(None, [setting]), "h")


def test_the_fingerprint_does_not_depend_on_the_search() -> None:
    other = load_config(
        None, ["search.budget=7", "name=other", "supernet.cache=false", "final_training.augmentation.mixup_alpha=1"]
    )
    assert supernet_fingerprint(load_config(None), "h") == supernet_fingerprint(other, "h")
    assert supernet_fingerprint(other, "h") != supernet_fingerprint(other, "other images")


def test_the_final_recipe_may_have_transforms_of_its_own() -> None:
    config = load_config(
        None,
        [
            "augmentation.crop_padding=2",
            "augmentation.cutmix_alpha=1",
            "final_training.augmentation.cutmix_alpha=0",
            *SETTINGS,
        ],
    )
    problem = Problem.load(config)
    train = problem.splits.train
    images, labels, generator = train.images[:8], train.labels[:8], torch.Generator().manual_seed(0)
    for training, dimensions in ((config.supernet, 2), (config.final_training, 1)):
        augment = training_data(problem, training).augment
        pixels, targets = augment(images, labels, generator)
        assert targets.dim() == dimensions  # probabilities of mixed images, or labels
        assert not torch.equal(pixels, augment(images, labels, generator)[0])  # shifted in both


def test_a_recipe_is_what_it_is_wherever_its_transforms_are_set() -> None:
    def identity(*settings: str) -> dict[str, object]:
        config = load_config(None, settings)
        return recipe_identity(config.final_training, config, "start")

    plain = identity()
    assert (
        identity("final_training.augmentation.trivial_augment=true")
        == identity("augmentation.trivial_augment=true")
        != plain
    )
    assert identity("augmentation.mixup_alpha=1", "final_training.augmentation.mixup_alpha=0") == plain
    assert identity("final_training.start=scratch", "final_training.compile=false") == plain
    assert identity("final_training.teacher={source: supernet}") != plain
    assert "teacher_version" in identity("final_training.teacher={source: supernet}").keys() - plain.keys()
    taught = load_config(None, ["final_training.teacher={source: supernet}"])
    assert "teacher_version" not in recipe_identity(taught.final_training, taught, "teacher")


@pytest.mark.slow
def test_training_says_once_how_long_it_takes_and_loading_does_not() -> None:
    config = load_config(None, [*SETTINGS, "supernet.epochs=3"])
    problem = Problem.load(config)

    def shown() -> str:
        console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
        prepare_supernet(problem, None, RunProgress(console, quiet=False))
        return console.export_text()

    text = shown()
    assert text.startswith("supernet: 3 epochs on 165 training images of 10 classes at 8x8\n")
    assert text.count("epoch 1 of 3 took ") == 1  # a slow machine shows its progress before
    assert text.count("the supernet takes about") == 1
    assert shown() == ""  # it comes from the cache


def test_class_weights_that_are_off_leave_fingerprints_as_they_were() -> None:
    config = load_config(None)
    assert "class_weights" not in recipe_identity(config.final_training, config)
    balanced = load_config(None, ["supernet.class_weights=balanced", "final_training.class_weights=balanced"])
    assert recipe_identity(balanced.final_training, balanced)["class_weights"] == "balanced"
    assert supernet_fingerprint(config, "h") != supernet_fingerprint(balanced, "h")


def test_trainings_by_sgd_alone_are_those_from_before_muon() -> None:
    assert recipe_identity(load_config(None).final_training, load_config(None))["muon_learning_rate"] == 0.03
    sgd = ["final_training.muon_learning_rate=null", "final_training.batchnorm_bias_rate=1"]
    config = load_config(None, sgd)
    assert not {"muon_learning_rate", "batchnorm_bias_rate"} & set(recipe_identity(config.final_training, config))


def test_balanced_training_data_carry_the_weights_of_classes() -> None:
    problem = Problem.load(load_config(None, ["supernet.class_weights=balanced"]))
    weights = training_data(problem, problem.config.supernet).class_weights
    assert weights is not None
    counts = problem.splits.train.labels.bincount()
    torch.testing.assert_close(weights * counts, torch.full((10,), len(problem.splits.train) / 10))
    assert training_data(problem, problem.config.final_training).class_weights is None
