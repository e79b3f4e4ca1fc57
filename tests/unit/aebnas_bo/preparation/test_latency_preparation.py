from pathlib import Path

import pytest
from rich.console import Console

from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import ConfigError, CorruptStateError, StorageError
from aebnas_bo.estimation.latency import LatencyPrices, LatencyTable
from aebnas_bo.preparation import latency_preparation
from aebnas_bo.preparation.latency_preparation import (
    check_latencies,
    known_costs_of,
    prepare_latencies,
    stored_latencies,
    write_table,
)
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.study.study_objectives import make_objectives
from tests.fake_latencies import fake_table

THREE = "search.objectives=[accuracy, average_macs, latency_ms]"
PROGRESS = RunProgress(Console(), quiet=True)


def problem_of(*settings: str) -> Problem:
    return Problem.load(load_config(None, [THREE, *settings]))


@pytest.fixture
def given(tmp_path: Path) -> Path:
    write_table(tmp_path / "phone.json", fake_table(problem_of().space))
    return tmp_path / "phone.json"


def test_a_given_table_is_copied_into_the_folder_and_nothing_is_measured(given, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(latency_preparation, "measure_table", lambda *_: pytest.fail("measured"))
    problem = problem_of(f"estimation.latency_table={given}")
    folder = RunFolder(tmp_path / "run")
    folder.create()
    found = prepare_latencies(problem, folder, PROGRESS)
    assert found is not None
    assert found.table == LatencyTable.read(given) == LatencyTable.read(folder.latencies)
    given.unlink()
    folder.study.touch()  # from now on the study's own table counts
    assert prepare_latencies(problem, folder, PROGRESS) == found
    assert stored_latencies(problem.config, problem.space, folder) == found
    folder.latencies.write_text("{}")
    with pytest.raises(CorruptStateError, match=r"latencies.json: is not a latency table .*; restore it from a copy"):
        prepare_latencies(problem, folder, PROGRESS)
    folder.latencies.unlink()
    with pytest.raises(CorruptStateError, match=r"latencies.json: cannot be read .*; restore it from a copy"):
        prepare_latencies(problem, folder, PROGRESS)


def test_the_table_of_a_study_is_known_by_its_key(given, tmp_path) -> None:
    table = LatencyTable.read(given)
    space = problem_of().space
    latencies = LatencyPrices(table, space.skeleton, "max_softmax")
    check_latencies(latencies, table.key, RunFolder(tmp_path))
    check_latencies(None, "", RunFolder(tmp_path))
    name = next(iter(table.nanoseconds))
    changed = table.model_copy(update={"nanoseconds": {**table.nanoseconds, name: table.nanoseconds[name] + 1}})
    for other in (LatencyPrices(changed, space.skeleton, "max_softmax"), None):
        with pytest.raises(CorruptStateError, match=r"latencies.json is not the table the study was created with"):
            check_latencies(other, table.key, RunFolder(tmp_path))


def test_a_table_of_other_networks_is_refused(given) -> None:
    problem = problem_of(f"estimation.latency_table={given}", "space.stem_channels=12")
    with pytest.raises(ConfigError, match=r"lacks \d+ parts"):
        prepare_latencies(problem, None, PROGRESS)


def test_without_the_objective_nothing_is_prepared(tmp_path) -> None:
    problem = Problem.load(load_config(None))
    assert prepare_latencies(problem, RunFolder(tmp_path), PROGRESS) is None
    assert not list(tmp_path.iterdir())
    assert [known.outcome for known in known_costs_of(problem.space, None)] == ["average_macs"]


def test_a_limit_without_the_objective_is_a_constraint(given) -> None:
    settings = [f"estimation.latency_table={given}", "search.max_latency_ms=2"]
    limited = Problem.load(load_config(None, settings))
    accuracy, macs, latency = make_objectives(limited, prepare_latencies(limited, None, PROGRESS))
    assert (accuracy.is_constraint, macs.is_constraint, latency.is_constraint) == (False, False, True)
    assert (latency.name, latency.limit, latency.maximize) == ("latency_ms", 2.0, False)


def test_the_slowest_plain_network_is_the_reference(given) -> None:
    problem = problem_of(f"estimation.latency_table={given}", "search.max_latency_ms=2")
    latencies = prepare_latencies(problem, None, PROGRESS)
    _, _, objective = make_objectives(problem, latencies)
    assert (objective.name, objective.limit, objective.maximize, objective.unit) == ("latency_ms", 2.0, False, "ms")
    parts = fake_table(problem.space).nanoseconds
    assert 0.0 < objective.reference < sum(parts.values()) / 1e6
    point = ["search.reference_point.accuracy=10", "search.reference_point.average_macs=5"]
    own = problem_of(*point, "search.reference_point.latency_ms=7")
    assert make_objectives(own, latencies)[2].reference == 7.0
    other = problem_of(*point)
    assert make_objectives(other, latencies)[2].reference == objective.reference
    assert [known.outcome for known in known_costs_of(problem.space, latencies)] == ["average_macs", "latency_ms"]


def test_a_table_that_cannot_be_written_is_said(tmp_path) -> None:
    with pytest.raises(StorageError, match=r"table.json: No such file or directory"):
        write_table(tmp_path / "no" / "table.json", fake_table(problem_of().space))
