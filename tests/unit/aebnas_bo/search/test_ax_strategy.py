import pytest
import torch

from aebnas_bo.search import ax_strategy
from aebnas_bo.search.ax_strategy import ax_client, ax_parameters, one_thread


class GeneCosts:
    """Each gene costs 1 behind the exit; leaving there costs 1."""

    outcome, thresholds = "average_macs", (8,)

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        last = 1.0 + X[:, :6].sum(dim=-1)
        return torch.stack([torch.ones_like(last), last], dim=-1)


def test_several_trials_at_once_are_distinct(estimator, objectives, settings) -> None:
    client = ax_client(estimator.search_space, objectives, settings, seed=0)
    for _ in range(8):
        for index, parameters in client.get_next_trials(max_trials=1).items():
            client.complete_trial(index, raw_data=estimator.estimate(parameters).raw_data)
    batch = list(client.get_next_trials(max_trials=3).values())
    assert len({estimator.search_space.key(parameters) for parameters in batch}) == 3


@pytest.mark.parametrize("known_costs", [(), (GeneCosts(),)], ids=["nothing known", "costs known"])
def test_of_candidates_with_equal_acquisition_values_the_cheapest_is_proposed(
    known_costs, estimator, objectives, settings, monkeypatch
) -> None:
    def flat(acquisition, *rest, cost):
        return maximize(lambda X: 0.0 * X.sum((-1, -2)) - 1.0, *rest, cost=cost)

    maximize = ax_strategy.maximize_acquisition
    monkeypatch.setattr(ax_strategy, "maximize_acquisition", flat)
    client = ax_client(estimator.search_space, objectives, settings, seed=0, known_costs=known_costs)
    for _ in range(8):
        for index, parameters in client.get_next_trials(max_trials=1).items():
            client.complete_trial(index, raw_data=estimator.estimate(parameters).raw_data)
    [parameters] = client.get_next_trials(max_trials=1).values()
    genes = sum(int(parameters[f"gene{i}"]) for i in range(6))
    assert (genes == 0) == bool(known_costs)


def test_ax_parameters_mirror_the_space(estimator) -> None:
    configs = ax_parameters(estimator.search_space)
    assert [config.name for config in configs] == list(estimator.search_space.names)
    kinds = {config.name: config.parameter_type for config in configs}
    assert (kinds["gene0"], kinds["exit1_kind"], kinds["exit1_threshold"]) == ("int", "str", "float")


def test_one_thread_restores_the_number_of_threads() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
