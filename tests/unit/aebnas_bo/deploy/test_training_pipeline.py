import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import torch
from rich.console import Console

from aebnas_bo.analysis.selection import Selection, parse_selection
from aebnas_bo.config.loading import load_config
from aebnas_bo.deploy import training_pipeline as finetune
from aebnas_bo.deploy.description import NetworkDescription, NetworkFileError
from aebnas_bo.deploy.network_file import load_network
from aebnas_bo.deploy.operating_points import parse_goal
from aebnas_bo.deploy.teacher import TeacherCheck
from aebnas_bo.deploy.training_folders import RECIPE_FILE, trained_networks, training_folder
from aebnas_bo.deploy.training_pipeline import choose_candidate, final_recipe, train_candidate, training_of
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import ConfigError, CorruptStateError, RunFolderInUseError, UsageError
from aebnas_bo.experiments.comparison.method_files import PACKAGE_METHODS
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.run_lock import RunLock
from aebnas_bo.training import training_loop as loop
from aebnas_bo.training.settings import FinalTrainingConfig, JointLossConfig

CONFIGS = Path(__file__).resolve().parents[4] / "configs"
KNEE = Selection("knee")


def progress() -> RunProgress:
    return RunProgress(Console(stderr=True), quiet=True)


def train(folder: RunFolder, *settings: str, seed: int = 0, is_again: bool = False) -> NetworkDescription:
    return train_candidate(choose_candidate(folder, KNEE, settings), seed, is_again=is_again, progress=progress())


def trained_folder(folder: RunFolder, key: str, seed: int) -> Path:
    """Return the folder of the first recipe a network is trained by."""
    return folder.trained / f"{key}-seed{seed}"


def weights(folder: RunFolder, key: str, seed: int = 0) -> dict[str, torch.Tensor]:
    return load_network(trained_folder(folder, key, seed) / "network.safetensors")[0].state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_trained_network_says_what_it_comes_to(own_run) -> None:
    candidate = choose_candidate(own_run, KNEE)
    network = train_candidate(candidate, 0, is_again=False, progress=progress())
    assert network.key == candidate.observed.key
    assert network.validation.average_macs <= candidate.observed.metrics["average_macs"] + 1e-9
    assert (network.test.images, network.validation.images) == (
        len(candidate.problem.splits.test),
        len(candidate.problem.for_final_training.splits.validation),
    )
    for figures in (network.validation, network.test):
        assert sum(output.exit_rate for output in figures.outputs) == pytest.approx(1.0)
        costs = [output.macs for output in network.outputs]
        mean = sum(o.exit_rate * macs for o, macs in zip(figures.outputs, costs, strict=True)) / 1e6
        assert figures.average_macs == pytest.approx(mean)
        assert figures.worst_case_macs == costs[-1] / 1e6
        assert figures.average_macs_without_passed <= figures.average_macs
        right = sum(o.exit_rate * (o.accuracy_of_leaving or 0.0) for o in figures.outputs)
        assert figures.accuracy == pytest.approx(right)
        assert figures.by_class is not None
        assert sum(figures.by_class.images) == figures.images
        assert 100.0 * sum(figures.by_class.correct) / figures.images == pytest.approx(figures.accuracy)
    assert network.test.by_class is not None
    assert list(network.test.by_class.images) == candidate.problem.splits.test.labels.bincount(minlength=10).tolist()


def test_training_is_taken_up_and_not_repeated(own_run, monkeypatch) -> None:
    first = train(own_run)
    before = weights(own_run, first.key)
    monkeypatch.setattr(finetune, "train_with_backbone", None)  # would fail if it were called
    assert train(own_run) == first
    assert same(before, weights(own_run, first.key))


def test_other_settings_have_a_folder_of_their_own(own_run) -> None:
    first = train(own_run)
    before = weights(own_run, first.key)
    other = train(own_run, "final_training.epochs=1")
    assert (first.origin.epochs, other.origin.epochs) == (2, 1)
    assert first.origin.recipe != other.origin.recipe
    assert same(before, weights(own_run, first.key))
    found = trained_networks(own_run)
    assert [one.folder.name for one in found] == [
        f"{first.key}-seed0", f"{first.key}-seed0-{other.origin.recipe}"
    ]  # fmt: skip
    assert [one.description.origin.epochs for one in found] == [2, 1]
    recipe = json.loads((found[1].folder / RECIPE_FILE).read_text())
    assert (recipe["recipe"], recipe["settings"]["epochs"]) == (other.origin.recipe, 1)


def test_again_trains_the_same_recipe_again(own_run, monkeypatch) -> None:
    first, other = train(own_run), train(own_run, "final_training.epochs=1")
    trained: list[int] = []
    real = finetune.train_with_backbone

    def counted(*arguments, **named):
        trained.append(arguments[2].epochs)
        return real(*arguments, **named)

    monkeypatch.setattr(finetune, "train_with_backbone", counted)
    assert train(own_run, "final_training.epochs=1") == other
    assert trained == []
    assert train(own_run, "final_training.epochs=1", is_again=True) == other
    assert trained == [1]
    assert [one.description for one in trained_networks(own_run)] == [first, other]


def test_a_network_of_an_earlier_version_is_known_by_its_fingerprint(own_run, monkeypatch) -> None:
    first = train(own_run)
    (trained_folder(own_run, first.key, 0) / RECIPE_FILE).unlink()
    assert train(own_run, "final_training.epochs=1").origin.epochs == 1
    monkeypatch.setattr(finetune, "train_with_backbone", None)  # would fail if it were called
    assert train(own_run).origin == first.origin


def test_a_file_copied_over_that_of_another_training_is_refused(own_run) -> None:
    first, other = train(own_run), train(own_run, seed=1)
    source, target = (trained_folder(own_run, first.key, seed) / "network.safetensors" for seed in (1, 0))
    target.write_bytes(source.read_bytes())
    with pytest.raises(NetworkFileError, match=f"holds network {first.key} with seed 1 from another training; delete"):
        train(own_run)
    with pytest.raises(NetworkFileError, match=f"unlike its folder; move it to a folder {first.key}-seed1, or"):
        trained_networks(own_run)
    target.unlink()  # as both say
    assert train(own_run) == first.model_copy(update={"earlier_test_looks": 1})
    assert [one.description.origin.seed for one in trained_networks(own_run)] == [0, other.origin.seed]


def test_a_recipe_is_the_same_for_all_seeds_and_networks(own_run) -> None:
    one, other = (choose_candidate(own_run, parse_selection(name)) for name in ("knee", "best-accuracy"))
    recipes = {training_of(candidate, seed).recipe for candidate in (one, other) for seed in (0, 1)}
    assert len(recipes) == 1
    assert len({training_of(candidate, seed).fingerprint for candidate in (one, other) for seed in (0, 1)}) >= 2


def test_interrupted_training_ends_with_the_same_network(own_run, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    whole = train(own_run, seed=1)
    expected = weights(own_run, whole.key, seed=1)
    (trained_folder(own_run, whole.key, 1) / "network.safetensors").unlink()

    checkpoint = trained_folder(own_run, whole.key, 1) / "training.safetensors"

    def stop() -> None:
        if checkpoint.exists():  # the first epoch is over
            raise KeyboardInterrupt

    stopping = RunProgress(Console(stderr=True), quiet=True, check=stop)
    with pytest.raises(KeyboardInterrupt):
        train_candidate(choose_candidate(own_run, KNEE), 1, is_again=False, progress=stopping)
    assert checkpoint.exists()
    assert train(own_run, seed=1) == whole
    assert same(expected, weights(own_run, whole.key, seed=1))
    assert not checkpoint.exists()


def test_another_recipe_leaves_an_unfinished_training_alone(own_run, monkeypatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    candidate = choose_candidate(own_run, KNEE)

    begun = trained_folder(own_run, candidate.observed.key, 3) / "training.safetensors"

    def stop() -> None:
        if begun.exists():  # the first epoch is over
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_candidate(
            candidate, 3, is_again=False, progress=RunProgress(Console(stderr=True), quiet=True, check=stop)
        )
    before = begun.read_bytes()
    other = train(own_run, "final_training.epochs=1", seed=3)
    assert training_folder(own_run, training_of(candidate, 3)) == begun.parent
    assert other.origin.epochs == 1
    assert begun.read_bytes() == before
    (begun.parent / RECIPE_FILE).unlink()  # as an earlier version leaves it
    assert training_folder(own_run, training_of(candidate, 3)) == begun.parent


def test_a_supernet_of_the_joint_loss_is_no_teacher() -> None:
    nachos = load_config(
        None,
        ["final_training.joint_loss={}", "final_training.teacher={source: supernet}"],
        PACKAGE_METHODS / "nachos.yaml",
    )
    assert nachos.final_training.teacher is not None
    assert final_recipe(Problem.load(nachos)).teacher is None


def test_seed_start_and_teacher_matter(own_run) -> None:
    for settings in ([], ["final_training.start=supernet"], ["final_training.teacher={source: supernet}"]):
        train(own_run, *settings)
    train(own_run, seed=2)
    found = [load_network(one.folder / "network.safetensors")[0].state_dict() for one in trained_networks(own_run)]
    assert len(found) == 4
    assert not any(same(one, other) for k, one in enumerate(found) for other in found[k + 1 :])


def test_only_the_final_training_may_be_changed(own_run) -> None:
    with pytest.raises(
        ConfigError, match=r"--set search.budget=3: fixed by the study; settings that can change: final_training"
    ):
        choose_candidate(own_run, KNEE, ["search.budget=3"])
    with pytest.raises(ConfigError, match=r"final_training.epochs"):
        choose_candidate(own_run, KNEE, ["final_training.epochs=0"])


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no study"):
        choose_candidate(RunFolder(tmp_path), KNEE)


def test_choosing_a_network_leaves_the_study_as_it_is(own_run) -> None:
    with closing(sqlite3.connect(own_run.study)) as connection:  # as in a folder that was put together by copying
        assert connection.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    before = own_run.study.read_bytes()
    choose_candidate(own_run, KNEE)
    assert own_run.study.read_bytes() == before


def test_other_images_are_refused(own_run, monkeypatch) -> None:
    monkeypatch.setattr(finetune, "supernet_fingerprint", lambda *_: "another")
    with pytest.raises(CorruptStateError, match="the images or this program changed"):
        choose_candidate(own_run, KNEE)


def test_two_processes_do_not_train_the_same(own_run) -> None:
    key = choose_candidate(own_run, KNEE).observed.key
    folder = trained_folder(own_run, key, 0)
    folder.mkdir(parents=True)
    with RunLock(folder), pytest.raises(RunFolderInUseError, match="is in use by process"):
        train(own_run)
    assert train(own_run, seed=1).origin.seed == 1


def test_trained_networks_are_found_by_key_and_seed(own_run) -> None:
    assert trained_networks(own_run) == []
    one, other = train(own_run, seed=1), train(own_run)
    assert trained_networks(own_run) == trained_networks(own_run, one.key)
    assert [found.description for found in trained_networks(own_run)] == [other, one]
    assert trained_networks(own_run, "0" * 12) == []


def test_a_damaged_network_is_named(own_run) -> None:
    key = train(own_run).key
    path = trained_folder(own_run, key, 0) / "network.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(NetworkFileError, match=r"network\.safetensors"):
        train(own_run)


def test_learned_confidences_go_on_being_trained() -> None:
    config = load_config(
        None, ["space.learned_confidence=true", "supernet.joint_loss={}", "supernet.distillation=false"]
    )
    problem = Problem.load(config)
    assert final_recipe(problem).joint_loss is None
    learned = config.estimation.model_copy(update={"confidence": "learned"})
    joint = final_recipe(problem.with_config(config.model_copy(update={"estimation": learned}))).joint_loss
    assert joint == replace_max(config.supernet.joint_loss, problem.space)
    assert final_recipe(problem.with_config(load_config(None))) == FinalTrainingConfig()


def replace_max(joint: JointLossConfig | None, space: NetworkSpace) -> JointLossConfig:
    assert joint is not None
    return joint.model_copy(update={"max_macs": space.middle_macs / 1e6})


def test_thresholds_alone_change_where_another_goal_is_named(own_run) -> None:
    with TrialStore.open_read_only(own_run.study) as store:
        dearest = max(store.trials(), key=lambda trial: trial.metrics["average_macs"])
    wanted = Selection("key", key=dearest.key)

    def train(seed: int = 0) -> NetworkDescription:
        return train_candidate(choose_candidate(own_run, wanted), seed, is_again=False, progress=progress())

    first = train()
    before = weights(own_run, first.key)
    least = min(choose_candidate(own_run, wanted).costs.cumulative_without_earlier_branches)
    candidate = choose_candidate(own_run, wanted, goal=TuningGoal("max_macs", least))
    again = train_candidate(candidate, 0, is_again=False, progress=progress())
    assert again.validation.average_macs == pytest.approx(least / 1e6)
    assert again.validation.average_macs < first.validation.average_macs
    [only] = again.outputs  # the network ends at its cheapest exit
    assert not only.is_final
    assert again.test.worst_case_macs == pytest.approx(least / 1e6)
    assert same(weights(own_run, first.key), before)
    assert (first.earlier_test_looks, again.earlier_test_looks) == (0, 1)
    assert train(seed=1).earlier_test_looks == 2
    restored = train()
    assert restored.outputs == first.outputs  # with what lies behind that exit
    assert restored.earlier_test_looks == 2  # its own first look is no other


def test_a_price_of_macs_saves_some_without_another_training(own_run) -> None:
    with TrialStore.open_read_only(own_run.study) as store:
        dearest = max(store.trials(), key=lambda trial: trial.metrics["average_macs"])
    wanted = Selection("key", key=dearest.key)
    free, priced = (
        train_candidate(
            choose_candidate(own_run, wanted, [f"final_training.macs_price={price}"]),
            0,
            is_again=False,
            progress=progress(),
        )
        for price in (0, 100)
    )
    assert priced.validation.average_macs < free.validation.average_macs
    assert len(trained_networks(own_run)) == 1
    rows = list(csv.DictReader((trained_folder(own_run, priced.key, 0) / "operating_points.csv").open()))
    macs = [float(row["validation_average_macs"]) for row in rows]
    assert macs[-1] < 0.9 * float(rows[-1]["budget"])


def test_a_goal_no_thresholds_can_meet_is_refused_before_training_or_said_after_it(own_run, capsys) -> None:
    key = choose_candidate(own_run, KNEE).observed.key
    with pytest.raises(UsageError, match=rf"--tune-for macs<=1e-06: network {key} takes 0\.\d+ M even") as refused:
        choose_candidate(own_run, KNEE, goal=TuningGoal("max_macs", 1.0))
    least = str(refused.value).split("takes ")[1].split(" M")[0]
    assert choose_candidate(own_run, KNEE, goal=parse_goal(f"macs<={least}")).observed.key == key
    candidate = choose_candidate(own_run, KNEE, goal=TuningGoal("min_accuracy", 100.0))
    network = train_candidate(
        candidate, 0, is_again=False, progress=RunProgress(Console(stderr=True, width=200), quiet=False)
    )
    said = "no thresholds reach 100 % of the validation images; they are set for as many as they can, "
    assert f"{said}{network.validation.accuracy:.2f} %" in capsys.readouterr().err


def test_what_a_network_comes_to_at_other_budgets_lies_beside_it(own_run) -> None:
    network = train(own_run)
    rows = list(csv.DictReader((trained_folder(own_run, network.key, 0) / "operating_points.csv").open()))
    budgets, macs = ([float(row[name]) for row in rows] for name in ("budget", "validation_average_macs"))
    assert budgets == sorted(budgets)
    assert all(cost <= budget + 1e-9 for cost, budget in zip(macs, budgets, strict=True))
    best = max(float(row["validation_accuracy"]) for row in rows)
    assert best >= network.validation.accuracy - 1e-9


@pytest.mark.parametrize("is_useful", [True, False])
def test_teacher_is_measured_first_and_left_out_where_it_does_not_help(own_run, monkeypatch, is_useful: bool) -> None:
    alone = train(own_run)
    check = TeacherCheck(90.0 if is_useful else 40.0, 60.0, 1, 1.0)
    monkeypatch.setattr(finetune, "check_teacher", lambda *_, **__: check)
    taught = train(own_run, "final_training.teacher={source: supernet}")
    folder = next(
        one.folder for one in trained_networks(own_run) if one.description.origin.recipe == taught.origin.recipe
    )
    own, others = (load_network(path / "network.safetensors")[0].state_dict() for path in (
        folder, trained_folder(own_run, alone.key, 0)))  # fmt: skip
    assert same(own, others) != is_useful


def test_a_recipe_without_a_teacher_is_taught_by_none(own_run, monkeypatch) -> None:
    """The joint loss of a supernet takes the teacher out of the recipe, whatever the settings say."""
    monkeypatch.setattr(finetune, "taught_by_network", lambda *_, **__: pytest.fail("taught"))
    recipe = finetune.final_recipe
    monkeypatch.setattr(finetune, "final_recipe", lambda problem: recipe(problem).model_copy(update={"teacher": None}))
    assert train(own_run, "final_training.teacher={source: network}").origin.epochs == 2
