"""What can be done with a given backbone behind a search: fine-tuning, short lists, ends at exits; and runs in time."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from aebnas_bo.analysis.selection import Selection
from aebnas_bo.config.loading import load_config
from aebnas_bo.deploy.export import export_network
from aebnas_bo.deploy.network_file import load_network
from aebnas_bo.deploy.operating_points import parse_goal
from aebnas_bo.deploy.runtime import load
from aebnas_bo.deploy.training_folders import trained_networks
from aebnas_bo.deploy.training_pipeline import Candidate, choose_candidate, train_candidate
from aebnas_bo.estimation import latency_timing
from aebnas_bo.preparation.consoles import PlainConsole
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.report.contents import gather
from aebnas_bo.report.first_sentences import opening
from aebnas_bo.report.stored_run import read_run
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.shortlist.shortlist_study import shortlisted
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.study.running import run_study
from aebnas_bo.study.timed_run import run_in_time
from tests.given_networks import save_random_weights

pytestmark = pytest.mark.slow

SETTINGS = (
    "supernet.epochs=2", "supernet.random_subnets=0", "supernet.cache=false", "search.strategy=random",
    "search.budget=3", "data.max_train_images=300", "final_training.epochs=1", "final_training.learning_rate=0.1",
)  # fmt: skip


def settings(weights: Path, *more: str) -> list[str]:
    backbone = {"source": "module", "name": "tests.given_networks:TinyResNet", "weights": str(weights)}
    return [*SETTINGS, f"space={json.dumps({'backbone': backbone})}", *more]


def quiet(lines: list[str] | None = None) -> RunProgress:
    progress = RunProgress(PlainConsole(stderr=True), quiet=True)
    if lines is not None:
        progress.message = lines.append  # type: ignore[method-assign]
    return progress


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_weights(
        "TinyResNet", tmp_path_factory.mktemp("weights") / "w.safetensors", num_classes=10, in_channels=1
    )


@pytest.fixture(scope="module")
def run(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("run") / "run")
    run_study(Problem.load(load_config(None, settings(weights))), folder, quiet())
    return folder


def with_exits(run: RunFolder, *options: str, goal: str | None = None) -> Candidate:
    """The network with a linear classifier at every exit, the second trial."""
    with TrialStore.open_read_only(run.study) as store:
        key = store.trials()[1].key
    return choose_candidate(run, Selection("key", key=key), options, goal=None if goal is None else parse_goal(goal))


def test_everything_is_trained_with_the_original_network_as_teacher(run: RunFolder, weights: Path) -> None:
    lines: list[str] = []
    candidate = with_exits(run, "final_training.backbone_rate=0.1", "final_training.teacher={source: original}")
    described = train_candidate(candidate, 0, is_again=False, progress=quiet(lines))
    assert any("the original network" in line and "of the validation images" in line for line in lines)
    [trained] = [one for one in trained_networks(run) if one.description.origin == described.origin]
    given, found = load_file(weights), load_file(trained.folder / "network.safetensors")
    statistics = {name for name in given if "running" in name}
    changed = {
        name for name, one in found.items()
        if name.startswith(("stages.", "head.")) and not one.equal(given[name.split(".", 2)[2]])
    }  # fmt: skip
    assert changed
    assert not {name for name in changed if name.split(".", 2)[2] in statistics}  # they stay as they were given
    # the original accuracy is that of the given weights, which the other training of this network keeps
    frozen = train_candidate(with_exits(run), 0, is_again=False, progress=quiet())
    assert described.original == frozen.original
    assert frozen.original is not None
    assert "% of the original accuracy" in described.kept_text
    sentences = opening(gather(read_run(run)))
    assert "of the original accuracy" in sentences[0]
    assert "test images" in sentences[0]


def test_a_short_list_trains_branches_on_the_backbone(run: RunFolder) -> None:
    options = ("shortlist.rungs=[[2,1],[1,2]]",)
    _, rung_results = shortlisted(with_exits(run, *options), 2, quiet())
    assert [one.epochs for one in rung_results] == [1, 1, 2]


def test_nothing_behind_the_exit_at_which_a_network_ends_is_exported(run: RunFolder, tmp_path: Path) -> None:
    described = train_candidate(with_exits(run, goal="macs<=0.01156"), 0, is_again=False, progress=quiet())
    assert [one.name for one in described.outputs] == ["exit1"]
    path = next(
        one.folder / "network.safetensors"
        for one in trained_networks(run) if one.description.key == described.key and not one.description.outputs[1:]
    )  # fmt: skip
    exported = export_network(path, "torch", tmp_path / "torch")
    names = set(load_file(exported))
    assert any(name.startswith("stages.0.") for name in names)
    assert not any(name.startswith(("stages.1.", "stages.2.", "head.", "branches.1")) for name in names)
    subnet, _ = load_network(exported, trusts_code=True)
    assert len(subnet.stages) == 1
    images = torch.zeros(2, 1, 8, 8)
    assert load(exported, trust=True).predict(images).labels.equal(load(path, trust=True).predict(images).labels)


def test_a_run_in_time_trains_a_network_for_each_budget(weights: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    folder = RunFolder(tmp_path / "run")
    config = load_config(None, settings(weights, "time_budget=0.4", "shortlist.budgets=2"))
    result = run_in_time(Problem.load(config), folder, quiet(lines), resume=False)
    assert any("features and branches" in line for line in lines)
    assert 1 <= len(result.networks) <= 2
    assert result.rung_results == []
    assert all(one.original is not None for one in result.networks)


def test_latency_is_predicted_from_the_pieces(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("TURNS", 1), ("RUNS", 1), ("WARM_UP", 1), ("WHOLE_NETWORKS", 2)):
        monkeypatch.setattr(latency_timing, name, value)
    folder = RunFolder(tmp_path / "run")
    objectives = "search.objectives=[accuracy, average_macs, latency_ms]"
    run_study(Problem.load(load_config(None, settings(weights, objectives))), folder, quiet())
    with TrialStore.open_read_only(folder.study) as store:
        trials = store.trials()
    assert all(trial.points[0].metrics["latency_ms"] > 0 for trial in trials)
    assert "of its time on this machine" in opening(gather(read_run(folder)))[0]
