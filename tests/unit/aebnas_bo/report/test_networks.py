from dataclasses import replace

import pytest
import torch

from aebnas_bo.early_exit.policy import ExitTable
from aebnas_bo.report.networks import show_network, thresholds_of
from aebnas_bo.report.stored_run import read_run
from aebnas_bo.search.trial import Trial
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace


def make_space(folder) -> NetworkSpace:
    return NetworkSpace(read_run(folder).config.space, 1, 10)


def both_exits(space: NetworkSpace) -> dict[str, object]:
    point = {p.name: p.inactive_value for p in space.search_space.parameters}
    return space.search_space.canonical({**point, "exit1_depth": 1, "exit2_depth": 1})


def table_of(space: NetworkSpace, trial: Trial) -> ExitTable:
    """Four images: exit 1 is right on the first two, exit 2 on three, the end on all."""
    macs = exit_costs(space.architecture(trial.parameters), space.skeleton).cumulative
    confidence = torch.tensor([[0.9, 0.6, 0.4, 0.2], [0.9, 0.9, 0.9, 0.1], [1.0, 1.0, 1.0, 1.0]])
    is_correct = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]).bool()
    return ExitTable(confidence, is_correct, macs)


def test_outputs_and_sweeps_of_a_network_counted_by_hand(tiny_runs) -> None:
    space = make_space(tiny_runs())
    point = {**both_exits(space), "exit1_threshold": 0.5, "exit2_threshold": 0.5}
    rates = {"exit1_rate": 0.5, "exit2_rate": 0.25, "final_rate": 0.25}
    trial = Trial(3, "abc", "COMPLETED", point, metrics={"accuracy": 100.0, "average_macs": 1.0}, details=rates)
    shown = show_network("knee", trial, space, measured=table_of(space, trial))
    assert [output.name for output in shown.outputs] == ["Exit 1", "Exit 2", "Final classifier"]
    assert [output.threshold for output in shown.outputs] == [0.5, 0.5, None]
    assert [output.outcome.exit_rate for output in shown.outputs if output.outcome] == [0.5, 0.25, 0.25]
    assert [output.outcome.accuracy for output in shown.outputs if output.outcome] == [50.0, 75.0, 100.0]
    assert [output.macs for output in shown.outputs] == list(shown.costs.cumulative)

    first, second = shown.sweeps
    by_threshold = dict(zip(first.thresholds, first.accuracies, strict=True))
    # at 0 all leave at exit 1, two of them right; past all confidences nobody does, and all are right
    assert (by_threshold[0.0], by_threshold[0.5], by_threshold[1.0]) == (50.0, 100.0, 100.0)
    macs = dict(zip(second.thresholds, second.average_macs, strict=True))
    one, two, last = shown.costs.cumulative
    assert macs[0.0] == pytest.approx((2 * one + 2 * two) / 4e6)
    assert macs[1.0] == pytest.approx((2 * one + 2 * last) / 4e6)
    assert first.chosen in first.thresholds


def test_without_its_table_a_network_still_has_costs_and_rates(tiny_runs) -> None:
    space = make_space(tiny_runs())
    trial = next(trial for trial in read_run(tiny_runs()).trials if trial.status == "COMPLETED")
    shown = show_network("knee", trial, space, measured=None)
    assert (shown.has_table, shown.sweeps) == (False, ())
    assert sum(output.exit_rate for output in shown.outputs) == pytest.approx(1.0)
    assert all(output.outcome is None for output in shown.outputs)


def test_exits_that_tuning_switched_off_cost_nothing(tiny_runs) -> None:
    settings = ["space.thresholds=tuned", "estimation.tuning.may_switch_off=true"]
    space = make_space(tiny_runs(*settings))
    rates = {"exit1_rate": 0.0, "exit2_rate": 0.75, "final_rate": 0.25}
    trial = Trial(0, "abc", "COMPLETED", both_exits(space), details={**rates, "exit2_threshold": 0.5})
    assert thresholds_of(trial, space) == (None, 0.5)
    shown = show_network("knee", trial, space, measured=table_of(space, trial))
    assert shown.switched_off == ("exit 1",)
    assert [output.name for output in shown.outputs] == ["Exit 2", "Final classifier"]
    assert shown.outputs[0].outcome is not None
    assert shown.outputs[0].outcome.exit_rate == 0.75
    kept = exit_costs(replace(space.architecture(trial.parameters), exits=shown.architecture.exits), space.skeleton)
    assert [output.macs for output in shown.outputs] == list(kept.cumulative)
    assert len(shown.sweeps) == 1


def test_a_network_that_ends_at_an_exit_is_shown_without_its_tail(tiny_runs) -> None:
    settings = ["space.thresholds=tuned", "estimation.tuning.may_switch_off=true"]
    space = make_space(tiny_runs(*settings))
    rates = {"exit1_rate": 0.5, "exit2_rate": 0.5, "final_rate": 0.0}
    tuned = {"exit1_threshold": 0.5, "exit2_threshold": 0.0}
    trial = Trial(0, "abc", "COMPLETED", both_exits(space), details={**rates, **tuned})
    shown = show_network("knee", trial, space, measured=table_of(space, trial))
    assert [output.name for output in shown.outputs] == ["Exit 1", "Exit 2"]
    assert [output.threshold for output in shown.outputs] == [0.5, None]
    assert [output.macs for output in shown.outputs] == list(shown.costs.cumulative[:2])
    assert shown.outputs[1].outcome is not None
    assert shown.outputs[1].outcome.exit_rate == 0.5
    assert (shown.ends_at_exit, shown.switched_off, shown.last_stage) == (True, (), space.skeleton.exit_stages[1])
    assert [sweep.name for sweep in shown.sweeps] == ["Exit 1"]

    first = replace(trial, details={**rates, "exit1_rate": 1.0, "exit2_rate": 0.0, "exit1_threshold": 0.0})
    alone = show_network("knee", first, space, measured=table_of(space, trial))
    assert [(output.name, output.exit_rate) for output in alone.outputs] == [("Exit 1", 1.0)]
    assert alone.switched_off == ()  # exit 2 lies behind the end


def test_a_plain_network_has_one_output(tiny_runs) -> None:
    run = read_run(tiny_runs("space.exits=[]"))
    shown = show_network("knee", run.trials[0], NetworkSpace(run.config.space, 1, 10), measured=None)
    assert [(output.name, output.exit_rate) for output in shown.outputs] == [("Final classifier", 1.0)]
