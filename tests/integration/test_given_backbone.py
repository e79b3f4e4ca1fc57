"""A study of exits for a given backbone, from the configuration to the report."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from aebnas_bo.analysis.pareto import pareto_front
from aebnas_bo.analysis.selection import Selection
from aebnas_bo.config.loading import load_config
from aebnas_bo.deploy.export import export_network
from aebnas_bo.deploy.network_file import load_network
from aebnas_bo.deploy.runtime import load
from aebnas_bo.deploy.training_folders import trained_networks
from aebnas_bo.deploy.training_pipeline import choose_candidate, train_candidate
from aebnas_bo.errors import ConfigError, UsageError
from aebnas_bo.preparation.backbone_loading import traced_backbone
from aebnas_bo.preparation.consoles import PlainConsole
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.report.contents import gather
from aebnas_bo.report.page import write_report
from aebnas_bo.report.stored_run import read_run
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.study.resuming import resumed_config
from aebnas_bo.study.running import run_study
from tests import given_networks
from tests.given_networks import save_random_weights

SETTINGS = (
    "supernet.epochs=2", "supernet.random_subnets=0", "supernet.cache=false", "search.strategy=random",
    "search.budget=5", "data.max_train_images=300",
)  # fmt: skip


def settings(make: str, weights: Path, *more: str) -> list[str]:
    backbone = {"source": "module", "name": f"tests.given_networks:{make}", "weights": str(weights)}
    return [*SETTINGS, f"space={json.dumps({'backbone': backbone})}", *more]


def quiet() -> RunProgress:
    return RunProgress(PlainConsole(stderr=True), quiet=True)


@pytest.mark.slow
@pytest.mark.parametrize("make", ["TinyResNet", "TinyViT"])
def test_a_study_searches_exits_and_resumes_without_training_again(make: str, tmp_path: Path) -> None:
    weights = save_random_weights(make, tmp_path / "w.safetensors", num_classes=10, in_channels=1)
    folder = RunFolder(tmp_path / "run")
    config = load_config(None, settings(make, weights))
    problem = Problem.load(config)
    run_study(problem, folder, quiet())
    with TrialStore.open_read_only(folder.study) as store:
        trials, objectives = store.trials(), store.study.objectives
    assert [trial.status for trial in trials] == ["COMPLETED"] * 5
    # the first trial is the backbone itself, exactly
    given = problem.space.skeleton.given
    assert given is not None
    original = trials[0].points[0]
    assert original.metrics["average_macs"] == pytest.approx(given.macs / 1e6)
    network = getattr(given_networks, make)(num_classes=10, in_channels=1).eval()
    network.load_state_dict(load_file(weights), strict=False)
    images = problem.splits.validation.images.float() / 255.0
    mean, std = (torch.tensor(one).view(1, -1, 1, 1) for one in (problem.splits.mean, problem.splits.std))
    with torch.no_grad():
        right = network((images - mean) / std).argmax(dim=1) == problem.splits.validation.labels
    # features are float16, which may decide a close call otherwise
    assert original.metrics["accuracy"] == pytest.approx(100.0 * float(right.float().mean()), abs=1.0)
    assert pareto_front(trials, objectives)

    longer = load_config(None, settings(make, weights, "search.budget=6"))
    resumed = resumed_config(folder.study, longer, has_file=False, options=["search.budget=6"])
    lines: list[str] = []
    progress = quiet()
    progress.message = lines.append  # type: ignore[method-assign]
    run_study(Problem.load(resumed), folder, progress, resume=True)
    with TrialStore.open_read_only(folder.study) as store:
        assert len(store.trials()) == 6
    assert "supernet: run folder" in lines
    write_report(gather(read_run(folder), ()), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "of the original accuracy" in page
    assert f"networks:{make} up to" in page  # its diagram
    assert not [path for path in folder.path.iterdir() if path.name.startswith("tmp")]


@pytest.mark.slow
def test_weights_that_changed_since_the_study_began_are_an_error(tmp_path: Path) -> None:
    weights = save_random_weights("TinyResNet", tmp_path / "w.safetensors", num_classes=10, in_channels=1)
    problem = Problem.load(load_config(None, settings("TinyResNet", weights)))
    save_random_weights("TinyResNet", weights, num_classes=10, in_channels=1)
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    declared = problem.space.declaration.backbone
    assert declared is not None
    with pytest.raises(ConfigError, match="changed since the study was created"):
        traced_backbone(declared, "cpu")
    missing = declared.model_copy(update={"weights": None})
    with pytest.raises(ConfigError, match=r"space.backbone.weights: is missing"):
        traced_backbone(missing, "cpu")


@pytest.mark.slow
@pytest.mark.parametrize("make", ["TinyResNet", "TinyViT"])
def test_a_network_is_trained_exported_and_predicts_the_same_everywhere(make: str, tmp_path: Path) -> None:
    weights = save_random_weights(make, tmp_path / "w.safetensors", num_classes=10, in_channels=1)
    folder = RunFolder(tmp_path / "run")
    recipe = ("final_training.epochs=1", "final_training.start=supernet", "final_training.learning_rate=0.1")
    run_study(Problem.load(load_config(None, settings(make, weights, *recipe))), folder, quiet())
    with TrialStore.open_read_only(folder.study) as store:
        with_exits = store.trials()[1]  # a linear classifier at every exit
    candidate = choose_candidate(folder, Selection("key", key=with_exits.key))
    described = train_candidate(candidate, 0, is_again=False, progress=quiet())
    path = trained_networks(folder, described.key)[0].folder / "network.safetensors"
    # the backbone is as it was given
    trained, given = load_file(path), load_file(weights)
    assert {name.partition(".")[2].partition(".")[2] for name in trained if name.startswith("stages.0")} <= given.keys()
    for name, one in trained.items():
        if name.startswith("stages."):
            assert one.equal(given[name.partition(".")[2].partition(".")[2]])
    with pytest.raises(UsageError, match="names the Python module of its backbone"):
        load(path)
    with pytest.raises(UsageError, match="names the Python module of its backbone"):
        load_network(path)
    images = candidate.problem.splits.test.images[:40]
    expected = load(path, trust=True).predict(images)
    assert len(set(expected.exit_indices.tolist())) > 1 or len(described.outputs) == 1
    for format_ in ("torch", "onnx", "onnx-segments"):
        exported = export_network(path, format_, tmp_path / format_)
        found = load(exported, trust=True).predict(images)
        assert found.exit_indices.equal(expected.exit_indices)
        assert found.labels.equal(expected.labels)
        torch.testing.assert_close(found.logits, expected.logits, rtol=1e-4, atol=1e-4)
