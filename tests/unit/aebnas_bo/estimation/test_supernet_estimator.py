from dataclasses import replace

import numpy as np
import pytest
import torch

from aebnas_bo.config.loading import load_config
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import ConfigError, EstimationError
from aebnas_bo.estimation.latency import LatencyPrices
from aebnas_bo.estimation.measuring import MeasuringImages, measure
from aebnas_bo.estimation.settings import EstimationConfig
from aebnas_bo.estimation.supernet_estimator import SupernetEstimator
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.supernet_preparation import make_estimator, tuning_goal
from aebnas_bo.space.macs import exit_costs, priced
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.supernet.supernet import Supernet
from aebnas_bo.testing.estimator_contract import EstimatorContract
from tests.fake_latencies import fake_table

CONFIG = load_config(None)


@pytest.fixture(scope="module")
def parts():
    splits = load_splits(CONFIG.data)
    space = NetworkSpace(CONFIG.space, 1, 10)
    return splits, space, Supernet(CONFIG.space, space.skeleton, 0)


def make(parts, folder: RunFolder | None = None, **changes) -> SupernetEstimator:
    splits, _, supernet = parts
    config = CONFIG.model_copy(update={"estimation": EstimationConfig(**changes)})
    return make_estimator(Problem.of(config, splits), supernet, folder)


def a_point(parts, **changes):
    return {**parts[1].search_space.sample(np.random.default_rng(3)), "exit1_depth": 2, "exit2_depth": 1, **changes}


def test_other_thresholds_cost_no_forward_pass(parts, monkeypatch) -> None:
    estimator = make(parts)
    first = estimator.estimate(a_point(parts, exit1_threshold=0.1))
    monkeypatch.setattr("aebnas_bo.estimation.supernet_estimator.extract", lambda *_: pytest.fail("network used again"))
    other = estimator.estimate(a_point(parts, exit1_threshold=0.9))
    assert first.key == other.key
    assert first.exit_rates["exit1"] >= other.exit_rates["exit1"]


def test_a_measured_network_is_not_measured_again_by_another_process(parts, tmp_path, monkeypatch) -> None:
    folder, point = RunFolder(tmp_path), a_point(parts)
    first = make(parts, folder).estimate(point)
    assert [path.name for path in folder.estimates.iterdir()] == [f"{first.key}.safetensors"]
    monkeypatch.setattr("aebnas_bo.estimation.supernet_estimator.extract", lambda *_: pytest.fail("network used again"))
    assert make(parts, folder).estimate(point) == first


def test_tables_of_another_confidence_measure_are_not_used(parts, tmp_path) -> None:
    folder, point = RunFolder(tmp_path), a_point(parts)
    make(parts, folder).estimate(point)
    other = make(parts, folder, confidence="max_softmax")
    assert other.estimate(point) == make(parts, confidence="max_softmax").estimate(point)


def test_calibrations_are_reported_for_every_exit_there_is(parts, tmp_path) -> None:
    folder, point = RunFolder(tmp_path), a_point(parts, exit1_depth=0)
    estimator = make(parts, folder, temperature_scaling=True)
    estimate = estimator.estimate(point)
    assert list(estimate.calibrations) == ["exit2", "final"]
    for one in estimate.calibrations.values():
        assert 0.05 <= one.temperature <= 20.0
        assert one.error_after <= one.error_before + 1.0
    assert make(parts, folder, temperature_scaling=True).estimate(point) == estimate  # read from the folder
    assert make(parts).estimate(point).calibrations == {}


def test_a_temperature_changes_confidences_and_no_answer(parts) -> None:
    architecture = parts[1].architecture(a_point(parts))
    plain, scaled = (make(parts, temperature_scaling=on).exit_table(architecture) for on in (False, True))
    assert torch.equal(plain.is_correct, scaled.is_correct)
    assert not torch.allclose(plain.confidence, scaled.confidence)


def test_the_cumulative_rule_reaches_the_table(parts, tmp_path) -> None:
    folder, architecture = RunFolder(tmp_path), parts[1].architecture(a_point(parts))
    assert make(parts, folder, exit_rule="cumulative").exit_table(architecture).rule == "cumulative"
    assert make(parts, folder, exit_rule="cumulative").exit_table(architecture).rule == "cumulative"
    assert make(parts, folder).exit_table(architecture).rule == "each"


def test_a_damaged_table_is_measured_anew(parts, tmp_path) -> None:
    folder, point = RunFolder(tmp_path), a_point(parts)
    first = make(parts, folder).estimate(point)
    [path] = folder.estimates.iterdir()
    path.write_bytes(b"rubbish")
    assert make(parts, folder).estimate(point) == first
    assert path.stat().st_size > 1000


def test_results_do_not_depend_on_what_was_evaluated_before(parts) -> None:
    space = parts[1].search_space
    points = [space.sample(np.random.default_rng(seed)) for seed in range(6)]
    estimator, reverse = make(parts), make(parts)
    assert [estimator.estimate(p) for p in points] == [reverse.estimate(p) for p in points[::-1]][::-1]


@torch.no_grad()
def test_the_network_answers_as_it_was_measured(parts) -> None:
    splits, *_ = parts
    estimator, architecture = make(parts), parts[1].architecture(a_point(parts))
    table = estimator.exit_table(architecture)
    images = MeasuringImages.of(splits, "cpu")
    again, _ = measure(estimator.network(architecture), images, macs=table.macs, key="", config=EstimationConfig())
    torch.testing.assert_close(again.confidence, table.confidence, atol=1e-5, rtol=0)  # BatchNorm was merged there


def test_extreme_thresholds_give_the_costs_of_the_ends(parts) -> None:
    estimator = make(parts)
    point = a_point(parts, exit1_threshold=0.0)
    costs = exit_costs(parts[1].architecture(point), parts[1].skeleton).cumulative
    assert estimator.estimate(point).metrics["average_macs"].mean == costs[0] / 1e6
    never = a_point(parts, exit1_threshold=1.0, exit2_threshold=1.0)
    estimate = estimator.estimate(never)
    if estimate.exit_rates["final"] == 1.0:
        assert estimate.metrics["average_macs"].mean == costs[-1] / 1e6


def test_results_do_not_depend_on_the_batch_size(parts) -> None:
    tables = [make(parts, batch_size=size).exit_table(parts[1].architecture(a_point(parts))) for size in (32, 256)]
    assert torch.allclose(tables[0].confidence, tables[1].confidence, atol=1e-5)
    assert (tables[0].is_correct != tables[1].is_correct).sum() <= 1


def test_absent_exits_have_rate_zero(parts) -> None:
    rates = make(parts).estimate(a_point(parts, exit1_depth=0)).exit_rates
    assert rates["exit1"] == 0.0
    assert rates["exit2"] + rates["final"] == pytest.approx(1.0)


def test_non_finite_outputs_are_an_estimation_error(parts) -> None:
    splits, space, _ = parts
    broken = Supernet(CONFIG.space, space.skeleton, 0)
    with torch.no_grad():
        broken.classifier.bias.fill_(float("nan"))
    with pytest.raises(EstimationError, match="non-finite"):
        make_estimator(Problem.of(CONFIG, splits), broken, None).estimate(a_point(parts))


class TestContract(EstimatorContract):
    @pytest.fixture
    def estimator(self, parts) -> SupernetEstimator:
        return make(parts)


def test_further_settings_are_what_estimating_there_gives_and_none_is_dominated(parts) -> None:
    estimator, point = make(parts, further_settings=3), a_point(parts)
    estimate = estimator.estimate(point)
    assert 1 <= len(estimate.further) <= 3
    for further in estimate.further:
        again = estimator.estimate({**point, **further.thresholds})
        assert again.points[0] == further
        assert again.further == estimate.further  # a matter of the network, not of the thresholds asked for
    accuracies = [further.metrics["accuracy"] for further in estimate.further]
    costs = [further.metrics["average_macs"] for further in estimate.further]
    assert accuracies == sorted(accuracies)
    assert costs == sorted(costs)


def test_further_settings_can_be_switched_off_and_need_an_exit(parts) -> None:
    assert make(parts, further_settings=0).estimate(a_point(parts)).further == ()
    assert make(parts).estimate(a_point(parts, exit1_depth=0, exit2_depth=0)).further == ()


def tuned(parts, **tuning):
    """An estimator over a space whose thresholds are tuned, with the same networks and weights."""
    splits, _, supernet = parts
    config = load_config(None, ["space.thresholds=tuned", *(f"estimation.tuning.{k}={v}" for k, v in tuning.items())])
    space = NetworkSpace(config.space, 1, 10)
    latencies = LatencyPrices(fake_table(space), space.skeleton, "score_margin")
    return space, make_estimator(Problem.of(config, splits), supernet, None, latencies=latencies)


def test_tuned_thresholds_are_reported_and_yield_what_they_promise(parts) -> None:
    _, estimator = tuned(parts, goal="max_macs", value=0.05)
    point = {k: v for k, v in a_point(parts).items() if not k.endswith("_threshold")}
    estimate = estimator.estimate(point)
    assert set(estimate.thresholds) == {"exit1_threshold", "exit2_threshold"}
    plain = make(parts).estimate({**point, **estimate.thresholds})
    assert plain.metrics == {name: one for name, one in estimate.metrics.items() if name != "latency_ms"}
    assert estimate.further == ()
    assert estimator.estimate(point) == estimate


def test_a_threshold_with_a_single_value_is_reported(parts) -> None:
    splits, _, supernet = parts
    config = load_config(None, ["space.thresholds=[0.4]"])
    estimator = make_estimator(Problem.of(config, splits), supernet, None)
    point = {name: value for name, value in a_point(parts, exit2_depth=0).items() if not name.endswith("_threshold")}
    assert estimator.estimate(point).thresholds == {"exit1_threshold": 0.4}  # the other exit is off


def test_tuning_may_switch_an_exit_off_which_saves_its_branch(parts) -> None:
    point = {k: v for k, v in a_point(parts).items() if not k.endswith("_threshold")}
    space, estimator = tuned(parts, goal="min_accuracy", value=99.9, may_switch_off="true")
    estimate = estimator.estimate(point)  # untrained: no setting is so accurate, the most accurate one is taken
    off = [n for n in (1, 2) if f"exit{n}_threshold" not in estimate.thresholds]
    costs = exit_costs(space.architecture(point), space.skeleton)
    highest = costs.cumulative[-1] - sum(costs.branches[n - 1] for n in off)
    assert estimate.metrics["average_macs"].mean <= highest / 1e6
    for n in off:
        assert estimate.exit_rates[f"exit{n}"] == 0.0


def test_tuning_may_end_a_network_at_an_exit(parts, monkeypatch) -> None:
    point = {k: v for k, v in a_point(parts).items() if not k.endswith("_threshold")}
    space, estimator = tuned(parts, goal="max_macs", value=100.0, may_switch_off="true")
    architecture = space.architecture(point)
    measured = estimator.exit_table(architecture)
    is_correct = measured.is_correct.clone()
    is_correct[2] = is_correct[1]  # the final classifier is right where exit 2 is
    monkeypatch.setattr(estimator, "exit_table", lambda _: replace(measured, is_correct=is_correct))
    estimate = estimator.estimate(point)
    assert 0.0 in estimate.thresholds.values()
    assert estimate.exit_rates["final"] == 0.0
    assert sum(estimate.exit_rates.values()) == pytest.approx(1.0)
    costs = exit_costs(architecture, space.skeleton)
    assert estimate.metrics["average_macs"].mean * 1e6 <= costs.cumulative[1]
    latencies = priced(architecture, space.skeleton, LatencyPrices(fake_table(space), space.skeleton, "score_margin"))
    assert estimate.metrics["latency_ms"].mean * 1e6 <= latencies.cumulative[1]


def test_the_goal_comes_from_the_limits_or_the_middle_of_the_space(parts) -> None:
    space, _ = tuned(parts)

    def goal(*settings: str):
        return tuning_goal(load_config(None, ["space.thresholds=tuned", *settings]), space)

    assert goal() == TuningGoal("target_macs", space.middle_macs)
    assert goal("search.max_average_macs=0.2").value == pytest.approx(0.2e6)
    assert goal("search.max_average_macs=0.2", "estimation.tuning.value=0.1").value == pytest.approx(0.1e6)
    assert goal("estimation.tuning.goal=min_accuracy", "search.min_accuracy=90").value == 90.0
    with pytest.raises(ConfigError, match="set an accuracy"):
        goal("estimation.tuning.goal=min_accuracy")
