from pathlib import Path

import numpy as np
import pytest
import torch

from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import ConfigError, EstimationError
from aebnas_bo.estimation import latency_timing
from aebnas_bo.estimation.exit_prices import exit_latencies
from aebnas_bo.estimation.latency import LatencyPrices, LatencyTable, parts_of
from aebnas_bo.estimation.latency_timing import measure_space
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.supernet_preparation import make_estimator
from aebnas_bo.space.macs import priced
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.supernet.supernet import Supernet
from tests.fake_latencies import fake_table


def space_of(*settings: str) -> NetworkSpace:
    return NetworkSpace(load_config(None, settings).space, 3, 10)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["tiny", "cifar", "cifar32", "aebnas"])
def test_every_network_of_a_space_is_made_of_its_parts(preset: str) -> None:
    space = space_of(f"space.preset={preset}", "space.learned_confidence=true", "space.squeeze_excitation=[2]")
    table = fake_table(space)
    prices, generator = LatencyPrices(table, space.skeleton, "score_margin"), np.random.default_rng(0)
    known = exit_latencies(space, prices)
    for _ in range(50):
        point = space.search_space.sample(generator)
        architecture = space.architecture(point)
        costs = priced(architecture, space.skeleton, prices)
        assert costs.cumulative[-1] == sum(costs.breakdown()[-1].values()) > 0
        row = known(torch.tensor(space.search_space.encode(point))[None])[0]
        at = [known.thresholds.index(space.search_space.names.index(f"exit{k + 1}_threshold")) for k in costs.exits]
        assert row[[*at, -1]].tolist() == pytest.approx([cost / 1e6 for cost in costs.cumulative])
    assert len(table.nanoseconds) == len(parts_of(space, "score_margin"))  # no part twice


def test_a_branch_costs_its_layers_its_classifier_and_the_decision() -> None:
    space = space_of()
    table = fake_table(space)
    prices = LatencyPrices(table, space.skeleton, "score_margin")
    point = {**space.search_space.sample(np.random.default_rng(0)), "exit1_depth": 1, "exit2_depth": 0}
    costs = priced(space.architecture(point), space.skeleton, prices)
    decision = table.nanoseconds["decision score_margin of 10"]
    width, side = space.width(space.search_space.canonical(point), 1), 8
    assert costs.branches == (table.nanoseconds[f"classifier {width} of {side} to 10"] + decision,)


def test_parts_run_on_their_examples_and_are_timed(monkeypatch) -> None:
    monkeypatch.setattr(latency_timing, "TURNS", 2)
    monkeypatch.setattr(latency_timing, "RUNS", 1)
    space, done = space_of("space.stages.0.widths=[8]", "space.stages.1.widths=[16]"), []
    table = measure_space(
        space, "max_softmax", device="cpu", num_threads=1, on_part=lambda number, total: done.append((number, total))
    )
    parts = parts_of(space, "max_softmax")
    assert list(table.nanoseconds) == [part.name for part in parts]
    assert min(table.nanoseconds.values()) > 0
    total = 2 * (len(parts) + latency_timing.WHOLE_NETWORKS)
    assert done == [(number, total) for number in range(1, total + 1)]
    assert (table.device, table.num_threads, table.torch) == ("cpu", 1, torch.__version__)
    assert table.factor > 0.0


def test_the_factor_is_what_whole_networks_take_over_their_parts(monkeypatch) -> None:
    space = space_of()
    monkeypatch.setattr(latency_timing, "time_parts", lambda parts, **_: times_of(parts))

    def times_of(parts) -> dict[str, int]:
        known = fake_table(space).nanoseconds
        prices = LatencyPrices(fake_table(space), space.skeleton, "score_margin")
        generator = np.random.default_rng(0)
        drawn = [space.architecture(space.search_space.sample(generator)) for _ in range(latency_timing.WHOLE_NETWORKS)]
        wholes = {a.key: 3 * priced(a, space.skeleton, prices).cumulative[-1] for a in drawn}
        return {part.name: {**known, **wholes}[part.name] for part in parts}

    table = measure_space(space, "score_margin", device="cpu", num_threads=1)
    assert table.factor == pytest.approx(3.0)
    plain = LatencyPrices(fake_table(space), space.skeleton, "score_margin")
    largest = space.largest_without_exits
    found = priced(largest, space.skeleton, LatencyPrices(table, space.skeleton, "score_margin")).cumulative[-1]
    assert found == pytest.approx(3 * priced(largest, space.skeleton, plain).cumulative[-1], rel=1e-6)


def test_a_part_is_timed_as_a_deployed_network_runs_it() -> None:
    [block] = [part for part in parts_of(space_of(), "score_margin") if part.name.startswith("block")][:1]
    module, example = latency_timing._ready(block, "cpu")
    assert not module.training
    assert not any(isinstance(child, torch.nn.BatchNorm2d) for child in module.modules())
    assert example.shape[0] == 1
    assert example.is_contiguous(memory_format=torch.channels_last)


def test_tables_survive_a_file_and_refuse_damage(tmp_path: Path) -> None:
    path, table = tmp_path / "table.json", fake_table(space_of())
    path.write_text(table.model_dump_json())
    assert LatencyTable.read(path) == table
    for text in ("", "{}", path.read_text().replace('"format":1', '"format":2'), path.read_text()[:200]):
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"is not a latency table of this version"):
            LatencyTable.read(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        LatencyTable.read(tmp_path / "missing.json")


def test_a_table_of_another_space_is_refused() -> None:
    table, other = fake_table(space_of()), space_of("space.stem_channels=12")
    with pytest.raises(ConfigError, match=r"lacks \d+ parts of this space \(conv 3-12 3x3"):
        table.check_covers(parts_of(other, "score_margin"))
    table.check_covers(parts_of(space_of(), "score_margin"))
    prices = LatencyPrices(table, other.skeleton, "score_margin")
    with pytest.raises(EstimationError, match="lacks conv 3-12"):
        priced(other.largest_without_exits, other.skeleton, prices)


@pytest.mark.parametrize("tunes", [False, True])
def test_average_latency_is_that_of_the_outputs_where_images_leave(tunes: bool) -> None:
    fixed = ["space.thresholds=tuned", "estimation.tuning.may_switch_off=true"] if tunes else []
    config = load_config(None, fixed)
    problem = Problem.load(config)
    space = problem.space
    prices, supernet = (
        LatencyPrices(fake_table(space), space.skeleton, "score_margin"),
        Supernet(config.space, space.skeleton, 0),
    )
    estimator = make_estimator(problem, supernet, None, latencies=prices)
    generator, num_off = np.random.default_rng(1), 0
    for _ in range(8):
        point = {**space.search_space.sample(generator), "exit1_depth": 2, "exit2_depth": 1}
        architecture, estimate = space.architecture(point), estimator.estimate(point)
        rates = [estimate.exit_rates[output] for output in ("exit1", "exit2", "final")]
        exits = tuple(
            branch if f"exit{k + 1}_threshold" in estimate.thresholds else None
            for k, branch in enumerate(architecture.exits)
        )
        num_off += exits.count(None)
        costs = priced(type(architecture)(architecture.resolution, architecture.stages, exits), space.skeleton, prices)
        leaving = zip([*(rates[k] for k in costs.exits), rates[-1]], costs.cumulative, strict=True)
        expected = sum(rate * cost for rate, cost in leaving) / 1e6
        assert estimate.metrics["latency_ms"].mean == pytest.approx(expected)
        assert estimate.metrics["latency_ms"].sem >= 0.0
        for further in estimate.further:
            assert further.metrics["latency_ms"] > 0.0
    assert num_off > 0 or not tunes


def test_without_a_table_there_is_no_latency() -> None:
    config = load_config(None)
    problem = Problem.load(config)
    space = problem.space
    estimator = make_estimator(problem, Supernet(config.space, space.skeleton, 0), None)
    assert set(estimator.estimate(space.search_space.sample(np.random.default_rng(0))).metrics) == {
        "accuracy", "average_macs",
    }  # fmt: skip
