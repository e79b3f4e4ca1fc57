"""What the command line does, in Python; images, strategies, objectives and estimators of a user's own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from typer.testing import CliRunner

import aebnas_bo as ab
from aebnas_bo.cli.app import app
from aebnas_bo.testing.cost_objective_contract import CostObjectiveContract
from aebnas_bo.testing.estimator_contract import EstimatorContract
from aebnas_bo.testing.image_dataset_contract import ImageDatasetContract
from aebnas_bo.testing.strategy_contract import StrategyContract

QUICK = (
    "supernet.epochs=1", "supernet.random_subnets=1", "supernet.cache=false", "search.design_trials=3",
    "search.mc_samples=8", "search.pool_size=8", "search.rounds=0", "search.budget=4", "final_training.epochs=1",
)  # fmt: skip


class Squares:
    """A data set of a user: a bright square on the left or on the right."""

    class_names = ("left", "right")

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        label = index % 2
        image = np.random.default_rng(index).integers(0, 90, (12, 12, 3), dtype=np.uint8)
        image[3:9, 6 * label : 6 * label + 6] += 120
        return image, label


class Shrinking:
    """A strategy of a user: random points, of nine new ones the one with the narrowest first stage."""

    def __init__(self, space: ab.SearchSpace, objectives: Sequence[ab.Objective]) -> None:
        self.space, self.objectives = space, objectives

    def propose(self, trials: Sequence[ab.Trial], count: int) -> list[ab.Proposal]:
        generator = np.random.default_rng(len(trials))
        tried = {self.space.key(trial.parameters) for trial in trials}
        drawn = {self.space.key(point): point for point in (self.space.sample(generator) for _ in range(9 * count))}
        points = [point for key, point in drawn.items() if key not in tried]
        points.sort(key=lambda point: int(point["stage1_width"]))
        return [ab.Proposal(point) for point in points[:count]]


class TestSquares(ImageDatasetContract):
    @pytest.fixture
    def dataset(self) -> Squares:
        return Squares(6)


class TestShrinking(StrategyContract):
    @pytest.fixture
    def make_strategy(self) -> type[Shrinking]:
        return Shrinking


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ab.Study:
    folder = tmp_path_factory.mktemp("front") / "digits"
    made = ab.Study.create(folder=folder, overrides=[*QUICK, "data.max_train_images=300"])
    assert not folder.exists()
    assert len(made.front) == len(made) == 0
    return made.run(quiet=True)


def test_five_lines_lead_from_images_to_predictions(study: ab.Study, tmp_path: Path) -> None:
    epochs: list[tuple[str, ab.EpochReport]] = []
    network = study.train("knee", quiet=True, on_epoch=lambda *epoch: epochs.append(epoch))
    assert [(report.epoch, report.epochs) for _, report in epochs] == [(1, 1)]
    assert epochs[0][0] == f"epochs of {network.description.key}, seed 0"
    exported = network.export("torch", tmp_path / "exported")
    images = load_digits().images[:5] / 16.0
    found = ab.load(exported).predict(torch.tensor(images, dtype=torch.float32)[:, None])
    assert torch.equal(found.labels, network.predict(torch.tensor(images, dtype=torch.float32)[:, None]).labels)
    assert [one.description.key for one in study.networks] == [network.description.key]


def test_the_front_is_a_table_and_a_figure(study: ab.Study) -> None:
    front = study.front
    assert {"key", "accuracy", "average_macs", "accuracy_sem"} <= set(front.columns)
    assert list(front["average_macs"]) == sorted(front["average_macs"])
    assert front["key"][0] in study._repr_html_()
    assert "Pareto front" in [trace.name for trace in study.plot_front().data]
    assert [trial.number for trial in study] == [0, 1, 2, 3]
    assert repr(study) == f"Study('{study.folder}', 4 trials)"
    assert study.report().read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_study_is_opened_and_gone_on_with(study: ab.Study) -> None:
    opened = ab.Study.open(study.folder)
    assert opened.config == study.config
    before = [(one.key, one.parameters) for one in study]
    ended: list[ab.Trial] = []
    opened.run(budget=5, quiet=True, on_trial=ended.append)
    assert [one.number for one in ended] == [4]
    assert [(one.key, one.parameters) for one in opened][:4] == before
    assert len(opened) == 5
    assert len(ab.Study.open(study.folder, overrides=["search.budget=6"]).run(quiet=True)) == 6
    with pytest.raises(ab.ConfigError, match=r"search\.budget: .* greater than or equal to 1"):
        opened.run(budget=0)
    with pytest.raises(ab.ConfigError, match="time_budget: the study has null"):
        opened.run(time_budget="1m")
    with pytest.raises(ab.ConfigError, match="the study has 1, --resume cannot change it to 7"):
        ab.Study.open(study.folder, overrides=["supernet.epochs=7"])
    with pytest.raises(ab.UsageError, match="already holds a study"):
        ab.Study.create(folder=study.folder)
    with pytest.raises(ab.UsageError, match=r"holds no study; create one with Study\.create"):
        ab.Study.open(study.folder / "nowhere")


def test_own_images_and_an_own_strategy_take_one_class_each(tmp_path: Path) -> None:
    train, test = Squares(160), Squares(40)
    study = ab.Study.create(folder=tmp_path / "own", overrides=QUICK, strategy=Shrinking, train=train, test=test)
    study.run(quiet=True)
    assert study.config.data.image_size == 12
    assert len(study) == 4
    network = study.train("best-accuracy", quiet=True)
    assert network.description.class_names == ("left", "right")
    assert network.description.test.images == 40
    with pytest.raises(ab.DataError, match=r"Study.open\(folder, train=..., test=...\)"):
        ab.Study.open(tmp_path / "own")
    with pytest.raises(ab.ConfigError, match=r"Study.open\(folder, strategy=...\)"):
        ab.Study.open(tmp_path / "own", train=train, test=test).run(budget=5, quiet=True)
    again = ab.Study.open(tmp_path / "own", strategy=Shrinking, train=train, test=test)
    assert len(again.run(budget=5, quiet=True)) == 5
    with pytest.raises(ab.CorruptStateError, match="the images or this program changed"):
        ab.Study.open(tmp_path / "own", strategy=Shrinking, train=Squares(158), test=test).run(budget=6, quiet=True)


def test_every_name_of_the_front_door_is_there() -> None:
    assert all(getattr(ab, name) is not None for name in ab.__all__)
    assert set(ab.__all__) <= set(dir(ab))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = ab.Nothing  # type: ignore[attr-defined]


class Weights:
    """An objective of a user: thousands of parameters, whichever exit an image takes."""

    name, unit, limit = "weights", "k", 40.0
    reference: float | None = 60.0

    def costs(self, architecture: ab.Architecture, skeleton: ab.Skeleton) -> list[float]:
        count = sum(one.numel() for one in ab.Subnet(architecture, skeleton).parameters())
        return [count / 1000] * (len(architecture.active_exits) + 1)


class TestWeights(CostObjectiveContract):
    @pytest.fixture
    def objective(self) -> ab.CostObjective:
        return Weights()


def test_an_own_objective_takes_one_class(tmp_path: Path) -> None:
    study = ab.Study.create(folder=tmp_path / "own", overrides=QUICK, objective=Weights()).run(quiet=True)
    assert [trial.metrics["weights"] > 0 for trial in study] == [True] * 4
    assert set(study.front["weights"]) <= {
        trial.metrics["weights"] for trial in study if trial.metrics["weights"] <= 40
    }
    assert "weights" in study.report().read_text(encoding="utf-8")
    assert study.train("best-accuracy", quiet=True).description.test.accuracy > 0
    with pytest.raises(ab.ConfigError, match=r"Study\.open\(folder, objective=\.\.\.\)"):
        ab.Study.open(study.folder).run(budget=5, quiet=True)
    other = Weights()
    other.name = "numbers"
    with pytest.raises(ab.ConfigError, match="has accuracy, average_macs, weights, which cannot be changed to"):
        ab.Study.open(study.folder, objective=other).run(budget=5, quiet=True)
    assert len(ab.Study.open(study.folder, objective=Weights()).run(budget=5, quiet=True)) == 5


def test_a_cost_without_a_reference_is_limited_only(tmp_path: Path) -> None:
    limited = Weights()
    limited.reference, limited.limit = None, 2.0
    study = ab.Study.create(folder=tmp_path / "own", overrides=QUICK, objective=limited).run(quiet=True)
    weights = [trial.metrics["weights"] for trial in study]
    assert 0 < sum(one <= 2.0 for one in weights) < 4
    assert max(study.front["weights"]) <= 2.0
    page = study.report().read_text(encoding="utf-8")
    assert "<dt>weights</dt><dd>at most 2.0 k</dd>" in page
    assert 'id="plot-front-average_macs"' in page
    assert 'id="plot-front-weights"' not in page
    status = CliRunner().invoke(app, ["status", str(study.folder)], env={"COLUMNS": "400"}).output
    assert "observations have weights <= 2" in status
    with pytest.raises(
        ab.ConfigError, match=r"weights \(limited only\), which cannot be changed to accuracy, average_macs"
    ):
        ab.Study.open(study.folder, objective=Weights()).run(budget=5, quiet=True)


def test_an_objective_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    bad = Weights()
    bad.name = "average_macs"
    with pytest.raises(ab.ConfigError, match="must be a Python identifier other than accuracy"):
        ab.Study.create(folder=tmp_path, objective=bad)


class Brightness:
    """An estimator of a user: no training; deeper networks count as more accurate."""

    def __init__(self, space: ab.NetworkSpace) -> None:
        self.space, self.search_space = space, space.search_space

    def estimate(self, point: ab.Point) -> ab.Estimate:
        network = self.space.architecture(point)
        macs = ab.exit_costs(network, self.space.skeleton).cumulative[-1] / 1e6
        depth = sum(len(stage.blocks) for stage in network.stages)
        accuracy = ab.Measurement(100.0 - 60.0 / depth - 3.0 / network.stages[0].width, 0.5)
        return ab.Estimate("mine", {"accuracy": accuracy, "average_macs": ab.Measurement(macs)})


class TestBrightness(EstimatorContract):
    @pytest.fixture
    def estimator(self, tmp_path: Path) -> Brightness:
        return Brightness(ab.Study.create(folder=tmp_path).space)


def test_an_own_estimator_takes_one_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aebnas_bo.study.running.prepare_supernet", None)  # none is trained
    whole = ab.Study.create(folder=tmp_path / "whole", overrides=[*QUICK, "search.budget=6"], estimator=Brightness)
    whole.run(quiet=True)
    ab.Study.create(folder=tmp_path / "own", overrides=QUICK, estimator=Brightness).run(quiet=True)
    study = ab.Study.open(tmp_path / "own", estimator=Brightness).run(budget=6, quiet=True)
    assert [(one.key, one.parameters, one.metrics) for one in study] == [
        (one.key, one.parameters, one.metrics) for one in whole
    ]
    assert {one.key for one in study} == {study.space.architecture(one.parameters).key for one in study}
    assert study.config.estimation.estimator == "Brightness"


def test_what_needs_no_estimator_works_without_it(tmp_path: Path, study: ab.Study) -> None:
    folder, settings = tmp_path / "own", [*QUICK, "search.budget=3", "data.max_train_images=300"]
    ab.Study.create(folder=folder, overrides=settings, estimator=Brightness).run(quiet=True)
    opened = ab.Study.open(folder)
    key = opened.train("knee", quiet=True).description.key
    assert key in set(opened.front["key"])
    with pytest.raises(ab.ConfigError, match=r"Brightness is an estimator .*\.Study\.open\(folder, estimator=\.\.\.\)"):
        opened.run(budget=4, quiet=True)
    other = type("Other", (Brightness,), {})
    with pytest.raises(ab.ConfigError, match="the estimator Brightness, which cannot be changed to Other"):
        ab.Study.open(folder, estimator=other).run(budget=4, quiet=True)
    with pytest.raises(ab.ConfigError, match="a supernet, which cannot be changed to Brightness"):
        ab.Study.open(study.folder, estimator=Brightness).run(budget=7, quiet=True)
    with pytest.raises(ab.ConfigError, match="has no supernet"):
        ab.prepare_study(opened.config)
    for arguments, code, text in (
        (["status"], 0, "Brightness, passed from Python"),
        (["report"], 0, "report.html"),
        (["train", "--epochs", "1", "--no-plain"], 0, "trained networks are in"),
        (["train", "--set", "final_training.start=supernet"], 3, "has no supernet"),
    ):
        result = CliRunner().invoke(app, [arguments[0], str(folder), *arguments[1:]], env={"COLUMNS": "400"})
        assert (result.exit_code, text in result.output) == (code, True), result.output
    result = CliRunner().invoke(app, ["run", "--out", str(folder), "--resume"])
    assert (result.exit_code, "Study.open(folder, estimator=...)" in result.output) == (3, True)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "all remaining images leave here" in page  # exit rates are not known
    assert "with the estimator Brightness, passed from Python" in page
    assert f"Study.open(&#39;{folder}&#39;, estimator=...).run(budget=6)" in page
    assert not list(folder.glob("supernet*"))


class Bounding(Brightness):
    """The same with a further metric, the number of blocks."""

    def estimate(self, point: ab.Point) -> ab.Estimate:
        found, network = super().estimate(point), self.space.architecture(point)
        blocks = ab.Measurement(float(sum(len(stage.blocks) for stage in network.stages)))
        return replace(found, metrics={**found.metrics, "blocks": blocks})


def test_a_metric_of_an_own_estimator_can_be_limited(tmp_path: Path) -> None:
    settings = [*QUICK, "search.constraints=[blocks >= 5]", "search.plain_first=false"]
    with pytest.raises(ab.ConfigError, match=r"search.constraints: a supernet reports no blocks; pass an estimator"):
        ab.Study.create(folder=tmp_path / "other", overrides=settings).run(quiet=True)
    study = ab.Study.create(folder=tmp_path / "own", overrides=settings, estimator=Bounding).run(budget=8, quiet=True)
    blocks = [trial.metrics["blocks"] for trial in study]
    assert min(blocks) < 5.0 <= min(study.front["blocks"])
    assert min(blocks[-3:]) >= 5.0  # the model's proposals
    assert ab.Study.open(study.folder).front["blocks"].tolist() == study.front["blocks"].tolist()
    with pytest.raises(ab.ConfigError, match=r"search\.constraints"):
        ab.Study.open(study.folder, overrides=["search.constraints=[]"], estimator=Bounding)
    unmeasured = ab.Study.create(folder=tmp_path / "none", overrides=settings, estimator=Brightness)
    with pytest.raises(ab.AebnasError, match="blocks was not measured"):
        unmeasured.run(budget=12, quiet=True)


class Weighing(Brightness):
    """The same for a study with an objective of the user's."""

    def estimate(self, point: ab.Point) -> ab.Estimate:
        found, network = super().estimate(point), self.space.architecture(point)
        weights = Weights().costs(network, self.space.skeleton)[0]
        return replace(found, metrics={**found.metrics, "weights": ab.Measurement(weights)})


def test_all_that_can_be_given_goes_together(tmp_path: Path) -> None:
    study = ab.Study.create(
        folder=tmp_path / "own", overrides=[*QUICK, "search.budget=20"], train=Squares(160), test=Squares(40),
        strategy=Shrinking, objective=Weights(), estimator=Weighing,
    )  # fmt: skip
    assert [trial.status for trial in study.run(quiet=True)] == ["COMPLETED"] * 20
    page = study.report().read_text(encoding="utf-8")
    assert "of the variance of accuracy" in page
    assert "that of weights" in page
    assert "train=..., strategy=..., objective=..., estimator=...).run(budget=40)" in page
    again = ab.Study.create(
        study.config, tmp_path / "again", overrides=["search.budget=4"], train=Squares(160), test=Squares(40),
        strategy=Shrinking, objective=Weights(), estimator=Weighing,
    )  # fmt: skip
    assert [trial.key for trial in again.run(quiet=True)] == [trial.key for trial in study][:4]
