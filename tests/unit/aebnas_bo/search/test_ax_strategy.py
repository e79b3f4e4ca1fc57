from dataclasses import replace

import pytest
import torch

from aebnas_bo.analysis.hypervolume import hypervolume
from aebnas_bo.search.ax_strategy import AxStrategy, ax_client, ax_parameters, column_layout, one_thread
from aebnas_bo.search.trial import Trial


def run(estimator, objectives, settings, count, trials=(), strategy=None, seed=0) -> list[Trial]:
    strategy = strategy or AxStrategy(estimator.search_space, objectives, settings, seed)
    trials = list(trials)
    while len(trials) < count:
        proposal = strategy.propose(trials, len(trials))
        assert not proposal.is_fallback, proposal.reason
        estimate = estimator.estimate(proposal.parameters)
        metrics = {name: m.mean for name, m in estimate.metrics.items()}
        sems = {name: m.sem for name, m in estimate.metrics.items()}
        number = len(trials)
        trials.append(
            Trial(
                number, estimate.key, "COMPLETED", proposal.parameters, metrics=metrics, sems=sems,
                further=estimate.further,
            )
        )  # fmt: skip
    return trials


def points(trials) -> list:
    return [trial.parameters for trial in trials]


@pytest.mark.parametrize("told", [3, 8, 11])
def test_a_resumed_search_proposes_the_same(told, estimator, objectives, settings) -> None:
    whole = run(estimator, objectives, settings, 14)
    resumed = run(estimator, objectives, settings, 14, whole[:told])
    assert points(resumed) == points(whole)


@pytest.mark.parametrize("told", [3, 8, 9, 11])
def test_a_resumed_search_with_further_settings_proposes_the_same(told, estimator, objectives, settings) -> None:
    estimator.has_further = True
    whole = run(estimator, objectives, settings, 14)
    assert any(trial.further for trial in whole)
    assert points(run(estimator, objectives, settings, 14, whole[:told])) == points(whole)


def test_further_settings_are_told_once_the_design_is_complete(estimator, objectives, settings) -> None:
    estimator.has_further = True
    plain = run(estimator, objectives, settings, 8)
    strategy = AxStrategy(estimator.search_space, objectives, settings, 0)
    run(estimator, objectives, settings, 9, plain, strategy)
    told = [trial.arm.parameters for trial in strategy._client._experiment.trials.values()]
    expected = [trial.parameters for trial in plain]
    expected += [{**t.parameters, **setting.thresholds} for t in plain for setting in t.further]
    assert told[:-1] == expected  # the last one is the proposal


def test_a_failed_trial_does_not_break_resuming(estimator, objectives, settings) -> None:
    whole = run(estimator, objectives, settings, 6)
    whole[4] = replace(whole[4], status="FAILED", metrics={}, sems={})
    strategy = AxStrategy(estimator.search_space, objectives, settings, 0)
    one = run(estimator, objectives, settings, 13, whole, strategy)
    again = run(estimator, objectives, settings, 13, one[:10])
    assert points(one) == points(again)


def test_proposals_are_canonical_and_distinct(estimator, objectives, settings) -> None:
    trials = run(estimator, objectives, settings, 14)
    space = estimator.search_space
    assert all(space.canonical(trial.parameters) == trial.parameters for trial in trials)
    assert len({space.key(trial.parameters) for trial in trials}) == 14


def test_seeds_differ(estimator, objectives, settings) -> None:
    assert points(run(estimator, objectives, settings, 3, seed=1)) != points(
        run(estimator, objectives, settings, 3, seed=2)
    )


def test_surrogates_beat_the_design(estimator, objectives, settings) -> None:
    guided = run(estimator, objectives, settings, 24)
    settings = settings.model_copy(update={"design_trials": 24})
    design = run(estimator, objectives, settings, 24)
    assert hypervolume(guided, objectives) > hypervolume(design, objectives)


def test_a_failing_model_falls_back_to_a_new_random_point(estimator, objectives, settings, monkeypatch) -> None:
    trials = run(estimator, objectives, settings, 9)

    def broken(*arguments, **options):
        raise torch.linalg.LinAlgError("not positive definite")

    monkeypatch.setattr("aebnas_bo.search.ax_strategy.maximize_acquisition", broken)
    proposals = [AxStrategy(estimator.search_space, objectives, settings, 0).propose(trials, 9) for _ in range(2)]
    assert proposals[0].is_fallback
    assert "not positive definite" in proposals[0].reason
    assert proposals[0] == proposals[1]  # even a fallback is a pure function of what was told
    assert proposals[0].parameters not in points(trials)


def test_all_metrics_equal_does_not_stop_a_search(estimator, objectives, settings) -> None:
    trials = [
        replace(trial, metrics={"accuracy": 50.0, "average_macs": 2.0})
        for trial in run(estimator, objectives, settings, 9)
    ]
    proposal = AxStrategy(estimator.search_space, objectives, settings, 0).propose(trials, 9)
    estimator.search_space.validate(proposal.parameters)


def test_several_trials_at_once_are_distinct(estimator, objectives, settings) -> None:
    client = ax_client(estimator.search_space, objectives, settings, seed=0)
    for _ in range(8):
        for index, parameters in client.get_next_trials(max_trials=1).items():
            client.complete_trial(index, raw_data=estimator.estimate(parameters).raw_data)
    batch = list(client.get_next_trials(max_trials=3).values())
    assert len({estimator.search_space.key(parameters) for parameters in batch}) == 3


def test_plain_qnehvi_by_configuration(estimator, objectives, settings) -> None:
    settings = settings.model_copy(update={"acquisition": "qnehvi"})
    assert len(run(estimator, objectives, settings, 11)) == 11


def test_ax_parameters_mirror_the_space(estimator) -> None:
    configs = ax_parameters(estimator.search_space)
    assert [config.name for config in configs] == list(estimator.search_space.names)
    kinds = {config.name: config.parameter_type for config in configs}
    assert (kinds["gene0"], kinds["exit1_kind"], kinds["exit1_threshold"]) == ("int", "str", "float")


def test_layout_agrees_with_the_spaces_encoding(estimator) -> None:
    import numpy as np

    space, layout = estimator.search_space, column_layout(estimator.search_space)
    rows = torch.stack(
        [torch.from_numpy(space.encode(space.sample(np.random.default_rng(seed)))) for seed in range(50)]
    )
    assert torch.equal(layout.canonical(rows), rows)


def test_one_thread_restores_the_number_of_threads() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
