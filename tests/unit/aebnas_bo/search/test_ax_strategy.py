import logging

import pytest
import torch
from ax.core.analysis_card import ErrorAnalysisCard
from ax.utils.sensitivity.sobol_measures import SobolSensitivityGPMean

from aebnas_bo.errors import MissingMetricError, SpaceExhaustedError, TooManyFailedTrialsError, UsageError
from aebnas_bo.search import ax_strategy
from aebnas_bo.search.ax_strategy import (
    StudyClient,
    ax_client,
    ax_parameters,
    generation_strategy,
    of_other_networks,
)
from aebnas_bo.search.objectives import constraint
from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.space.search_space import ChoiceParameter, ContinuousParameter, SearchSpace
from surrogates.pool_optimizer import Criterion


class GeneCosts:
    """Each gene costs 1 behind the exit; leaving there costs 1."""

    outcome, thresholds = "average_macs", (8,)

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        last = 1.0 + X[:, :6].sum(dim=-1)
        return torch.stack([torch.ones_like(last), last], dim=-1)


@pytest.fixture
def settings(settings: SearchConfig) -> SearchConfig:
    return settings.model_copy(update={"design_trials": 4})


def test_trials_completed_together_lead_to_the_same_proposals(estimator, objectives, settings) -> None:
    one_by_one, together = (ax_client(estimator.search_space, objectives, settings, seed=0) for _ in range(2))
    results = {}
    for index, parameters in one_by_one.get_next_trials(max_trials=6).items():
        assert together.attach_trial(parameters) == index
        results[index] = estimator.estimate(parameters).raw_data
        one_by_one.complete_trial(index, raw_data=results[index])
    together.complete_trials(results)
    assert together.get_next_trials(max_trials=2) == one_by_one.get_next_trials(max_trials=2)


def test_several_trials_at_once_are_distinct(estimator, objectives, settings) -> None:
    client = ax_client(estimator.search_space, objectives, settings, seed=0)
    for _ in range(settings.design_trials):
        for index, parameters in client.get_next_trials(max_trials=1).items():
            client.complete_trial(index, raw_data=estimator.estimate(parameters).raw_data)
    batch = list(client.get_next_trials(max_trials=3).values())
    assert len({estimator.search_space.key(parameters) for parameters in batch}) == 3


@pytest.mark.parametrize("is_one_trial", [False, True], ids=["trials", "one trial of several points"])
def test_points_of_a_batch_are_pending_while_the_next_ones_are_chosen(
    is_one_trial, estimator, objectives, settings, monkeypatch
) -> None:
    known, chosen = [], []
    maximize = ax_strategy.maximize_acquisition

    def spy(criterion, *rest, **rows):
        known.append({tuple(row) for row in criterion.acquisition.X_baseline.tolist()})  # pending points among them
        row, value = maximize(criterion, *rest, **rows)
        chosen.append(tuple(row[0].tolist()))
        return row, value

    monkeypatch.setattr(ax_strategy, "maximize_acquisition", spy)
    client = ax_client(estimator.search_space, objectives, settings, seed=0)
    for _ in range(settings.design_trials):
        for index, parameters in client.get_next_trials(max_trials=1).items():
            client.complete_trial(index, raw_data=estimator.estimate(parameters).raw_data)
    if is_one_trial:  # as `generation_strategy` serves an Ax experiment with batch trials
        client._generation_strategy.gen_single_trial(experiment=client._experiment, n=3)
    else:
        client.get_next_trials(max_trials=3)
    assert [len(set(chosen) & points) for points in known] == [0, 1, 2]


@pytest.mark.parametrize("known_costs", [(), (GeneCosts(),)], ids=["nothing known", "costs known"])
def test_of_candidates_with_equal_acquisition_values_the_cheapest_is_proposed(
    known_costs, estimator, objectives, settings, monkeypatch
) -> None:
    def flat(criterion, *rest, **rows):
        return maximize(Criterion(lambda X: 0.0 * X.sum((-1, -2)) - 1.0, criterion.cost), *rest, **rows)

    maximize = ax_strategy.maximize_acquisition
    monkeypatch.setattr(ax_strategy, "maximize_acquisition", flat)
    client = ax_client(estimator.search_space, objectives, settings, seed=0, known_costs=known_costs)
    for _ in range(settings.design_trials):
        for index, parameters in client.get_next_trials(max_trials=1).items():
            client.complete_trial(index, raw_data=estimator.estimate(parameters).raw_data)
    [parameters] = client.get_next_trials(max_trials=1).values()
    genes = sum(int(parameters[f"gene{i}"]) for i in range(6))
    assert (genes == 0) == bool(known_costs)


def test_points_of_a_batch_are_different_networks(estimator, objectives, settings, monkeypatch) -> None:
    def by_genes(criterion, *rest, **rows):  # the best network is the same for all points, at any threshold
        def genes(X):
            is_left_out = torch.isinf(criterion.acquisition(X))
            return torch.where(is_left_out, -torch.inf, X[..., :6].sum((-1, -2)))

        return maximize(Criterion(genes, criterion.cost), *rest, **rows)

    maximize = ax_strategy.maximize_acquisition
    monkeypatch.setattr(ax_strategy, "maximize_acquisition", by_genes)
    client = ax_client(estimator.search_space, objectives, settings, seed=0, known_costs=(GeneCosts(),))
    for _ in range(settings.design_trials):
        for index, parameters in client.get_next_trials(max_trials=1).items():
            client.complete_trial(index, raw_data=estimator.estimate(parameters).raw_data)
    batch = client.get_next_trials(max_trials=3).values()
    networks = {tuple((name, value) for name, value in one.items() if name != "exit1_threshold") for one in batch}
    assert len(networks) == 3


def test_rows_that_differ_in_thresholds_only_are_left_out() -> None:
    taken = torch.tensor([[1.0, 0.3], [2.0, 0.3]])
    acquisition = of_other_networks(lambda X: X[:, 0, 0], taken, thresholds=(1,))
    assert acquisition(torch.tensor([[[1.0, 0.8]], [[3.0, 0.3]]])).tolist() == [-float("inf"), 3.0]


def test_ax_parameters_mirror_the_space(estimator) -> None:
    configs = ax_parameters(estimator.search_space)
    assert [config.name for config in configs] == list(estimator.search_space.names)
    kinds = {config.name: config.parameter_type for config in configs}
    assert (kinds["gene0"], kinds["exit1_kind"], kinds["exit1_threshold"]) == ("int", "str", "float")


THREE = SearchSpace((ChoiceParameter("a", (1, 2, 3)),))


def loop(objectives, design_trials: int, tell) -> None:
    settings = SearchConfig(design_trials=design_trials, mc_samples=16, pool_size=16, rounds=1)
    client = ax_client(THREE, objectives, settings, seed=0)
    for _ in range(5):
        for index, point in client.get_next_trials(max_trials=1).items():
            tell(client, index, point)


def complete(client, index: int, point) -> None:
    client.complete_trial(index, raw_data={"accuracy": (50.0 + point["a"], 0.0), "average_macs": (point["a"], 0.0)})


@pytest.mark.parametrize("design_trials", [4, 2])
def test_a_space_that_is_used_up_ends_the_loop_with_a_clear_error(objectives, design_trials: int) -> None:
    with pytest.raises(SpaceExhaustedError, match="all points were proposed; end the loop"):
        loop(objectives, design_trials, complete)


def test_a_design_without_a_completed_trial_is_said(objectives) -> None:
    with pytest.raises(TooManyFailedTrialsError, match="none of 2 trials was completed"):
        loop(objectives, 2, lambda client, index, _: client.mark_trial_abandoned(index))


FEW = SearchSpace((ChoiceParameter("a", (1, 2, 3)), ChoiceParameter("b", (1, 2, 3))))
QUICK = SearchConfig(design_trials=2, mc_samples=16, pool_size=16, rounds=1)


def test_a_design_without_a_completed_trial_goes_on_with_a_point_of_the_user(objectives) -> None:
    client = ax_client(FEW, objectives, QUICK, seed=0)
    for _ in range(2):
        [index] = client.get_next_trials(max_trials=1)
        client.mark_trial_abandoned(index)
    with pytest.raises(TooManyFailedTrialsError, match=r"client\.attach_trial takes a point of your own"):
        client.get_next_trials(max_trials=1)
    complete(client, client.attach_trial({"a": 2, "b": 1}), {"a": 2})
    assert len(client.get_next_trials(max_trials=1)) == 1


@pytest.mark.slow
def test_points_that_are_left_are_proposed_one_by_one_as_the_error_says(objectives) -> None:
    client = ax_client(FEW, objectives, QUICK, seed=0)
    for _ in range(8):
        for index, point in client.get_next_trials(max_trials=1).items():
            complete(client, index, point)
    with pytest.raises(SpaceExhaustedError, match="if you requested several, request one"):
        client.get_next_trials(max_trials=2)
    [(index, point)] = client.get_next_trials(max_trials=1).items()
    complete(client, index, point)
    with pytest.raises(SpaceExhaustedError, match="all points were proposed"):
        client.get_next_trials(max_trials=1)


@pytest.mark.parametrize("accuracy", [None, float("nan")], ids=["no value", "not a number"])
def test_a_metric_that_never_arrives_is_named_and_can_be_added(accuracy, objectives) -> None:
    client = ax_client(FEW, objectives, QUICK, seed=0)
    for _ in range(2):
        for index, point in client.get_next_trials(max_trials=1).items():
            found = {} if accuracy is None else {"accuracy": (accuracy, 0.0)}
            client.complete_trial(index, raw_data={"average_macs": (point["a"], 0.0), **found})
    with pytest.raises(MissingMetricError, match="trial 0 was completed without a finite value of accuracy"):
        client.get_next_trials(max_trials=1)
    for index in range(2):
        client.attach_data(index, {"accuracy": (50.0 + index, 0.0)})
    assert len(client.get_next_trials(max_trials=1)) == 1


@pytest.mark.parametrize("is_abandoned", [False, True], ids=["running", "abandoned"])
def test_a_part_of_the_metrics_of_an_unfinished_trial_is_not_used(is_abandoned, objectives) -> None:
    client = ax_client(FEW, objectives, QUICK, seed=0)
    [(index, point)] = client.get_next_trials(max_trials=1).items()
    complete(client, index, point)
    [index] = client.get_next_trials(max_trials=1)
    client.attach_data(index, {"accuracy": (50.0, 0.0)})
    if is_abandoned:
        client.mark_trial_abandoned(index)
    assert len(client.get_next_trials(max_trials=1)) == 1


def test_a_snapshot_is_refused_and_an_earlier_one_stays(objectives, tmp_path) -> None:
    snapshot = tmp_path / "ax.json"
    snapshot.write_text("{}")
    with pytest.raises(UsageError, match=r"ax\.json: Ax cannot save this strategy"):
        ax_client(THREE, objectives, SearchConfig(), seed=0).save_to_json_file(str(snapshot))
    assert snapshot.read_text() == "{}"


@pytest.mark.slow
def test_every_analysis_of_ax_can_be_computed(objectives, caplog, monkeypatch) -> None:
    samples, *others = SobolSensitivityGPMean.__init__.__defaults__  # of thousands, as many blocks of rows
    monkeypatch.setattr(SobolSensitivityGPMean.__init__, "__defaults__", (samples // 20, *others))
    space = SearchSpace((ChoiceParameter("a", (1, 2, 3)), ChoiceParameter("b", (1, 2, 3))))
    client = ax_client(space, objectives, SearchConfig(design_trials=3, mc_samples=16, pool_size=16, rounds=1), seed=0)
    for _ in range(4):
        for index, point in client.get_next_trials(max_trials=1).items():
            metrics = {"accuracy": (50.0 + point["a"] * point["b"], 0.5), "average_macs": (point["a"], 0.1)}
            client.complete_trial(index, raw_data=metrics)
    with caplog.at_level(logging.ERROR, logger="ax"):
        [overview] = client.compute_analyses(display=False)
    cards = overview.flatten()
    assert [card.title for card in cards if isinstance(card, ErrorAnalysisCard)] == []
    assert any(card.name == "SensitivityAnalysisPlot" for card in cards)
    assert not caplog.records


LINE = SearchSpace((ContinuousParameter("x"), ContinuousParameter("y")))
CAREFUL = SearchConfig(design_trials=4, mc_samples=32, pool_size=32, rounds=2)


def circle(point) -> dict[str, tuple[float, float]]:
    """The front of accuracy and cost would be at y = 0; the slack allows y >= 0.5 only, in a far corner of x."""
    x, y = float(point["x"]), float(point["y"])
    metrics = {"accuracy": 60.0 + 30.0 * x - 20.0 * y, "average_macs": 1.0 + 10.0 * x + y, "slack": x + y - 1.6}
    return {name: (value, 0.0) for name, value in metrics.items()}


def by_hand(objectives) -> StudyClient:
    """An Ax client as a user would make it of Ax; the cost is the first objective."""
    client = StudyClient(random_seed=0)
    client.configure_experiment(parameters=ax_parameters(LINE))
    client.configure_optimization(
        objective="-average_macs, accuracy",
        outcome_constraints=["slack >= 0", "accuracy >= 10", "average_macs <= 15"],
    )
    client.set_generation_strategy(generation_strategy(LINE, CAREFUL, seed=0, objectives=objectives))
    return client


@pytest.mark.slow
@pytest.mark.parametrize("is_by_hand", [False, True], ids=["our client", "by hand"])
def test_points_keep_a_constraint_on_a_metric_that_is_no_objective(is_by_hand, objectives) -> None:
    limited = (*objectives, constraint("slack >= 0"))
    client = by_hand(objectives) if is_by_hand else ax_client(LINE, limited, CAREFUL, seed=0)
    slacks = []
    for _ in range(14):
        for index, point in client.get_next_trials(max_trials=1).items():
            slacks.append(circle(point)["slack"][0])
            client.complete_trial(index, raw_data=circle(point))
    assert sum(slack >= 0.0 for slack in slacks[:4]) <= 1  # of a uniform design, 8 % of the points
    assert sum(slack >= 0.0 for slack in slacks[-6:]) >= 4  # 5 on some processors
    front = client.get_pareto_frontier(use_model_predictions=False)
    assert front
    assert all(metrics["slack"][0] >= 0.0 for _, metrics, *_ in front)


def test_a_constraint_on_several_metrics_is_refused(objectives) -> None:
    client = StudyClient(random_seed=0)
    client.configure_experiment(parameters=ax_parameters(LINE))
    client.configure_optimization(
        objective="accuracy, -average_macs",
        outcome_constraints=["accuracy >= 10", "average_macs <= 15", "2*slack + memory >= 0"],
    )
    client.set_generation_strategy(generation_strategy(LINE, QUICK, seed=0, objectives=objectives))
    for _ in range(QUICK.design_trials):
        for index, point in client.get_next_trials(max_trials=1).items():
            client.complete_trial(index, raw_data={**circle(point), "memory": (1.0, 0.0)})
    with pytest.raises(UsageError, match="report their sum as a metric of its own"):
        client.get_next_trials(max_trials=1)


def test_a_metric_that_is_reported_only_changes_nothing(objectives) -> None:
    client = ax_client(LINE, objectives, QUICK, seed=0)
    for _ in range(QUICK.design_trials + 2):
        for index, point in client.get_next_trials(max_trials=1).items():
            client.complete_trial(index, raw_data=circle(point))
