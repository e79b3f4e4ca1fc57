import torch

from aebnas_bo.search.ax_strategy import ax_client, ax_parameters, one_thread


def test_several_trials_at_once_are_distinct(estimator, objectives, settings) -> None:
    client = ax_client(estimator.search_space, objectives, settings, seed=0)
    for _ in range(8):
        for index, parameters in client.get_next_trials(max_trials=1).items():
            client.complete_trial(index, raw_data=estimator.estimate(parameters).raw_data)
    batch = list(client.get_next_trials(max_trials=3).values())
    assert len({estimator.search_space.key(parameters) for parameters in batch}) == 3


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
