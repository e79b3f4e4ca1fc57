"""Preparation of the latency table: read from the run folder or a file, or measured."""

from __future__ import annotations

from pathlib import Path

from aebnas_bo.config.schema import Config
from aebnas_bo.errors import ConfigError, CorruptStateError
from aebnas_bo.estimation.exit_prices import ExitPrices, exit_latencies, exit_macs
from aebnas_bo.estimation.latency import LatencyPrices, LatencyTable, parts_of
from aebnas_bo.estimation.latency_timing import measure_space
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.storage.atomic_files import write_text
from aebnas_bo.storage.run_folder import RunFolder

STORED_WAY_OUT = "restore it from a copy, or start another run folder"


def prepare_latencies(problem: Problem, folder: RunFolder | None, progress: RunProgress) -> LatencyPrices | None:
    """Return the latencies of a space's parts, or `None` if latency is not an objective.

    A study keeps its latency table in its folder, so that a resumed run uses the same figures.

    Args:
        problem: The space and the device.
        folder: Run folder to read from and write to; `None` for none.
        progress: Shows the measurement.

    Raises:
        ConfigError: If the table cannot be read or lacks parts of the space.
        CorruptStateError: If the stored table of a study is missing or damaged.
    """
    config, space = problem.config, problem.space
    if not config.search.has_latency:
        return None
    if folder is not None and folder.holds_study:
        return stored_latencies(config, space, folder)
    table = given_table(config, space) or measure_table(problem, progress)
    if folder is not None:
        write_table(folder.latencies, table)
    return LatencyPrices(table, space.skeleton, config.estimation.confidence)


def given_table(config: Config, space: NetworkSpace) -> LatencyTable | None:
    """Read the latency table that the configuration names.

    Returns:
        The table, or `None` if the configuration names none or latency is not an objective.

    Raises:
        ConfigError: If it cannot be read or lacks parts of the space.
    """
    if not config.search.has_latency or config.estimation.latency_table is None:
        return None
    table = LatencyTable.read(Path(config.estimation.latency_table))
    table.check_covers(parts_of(space, config.estimation.confidence))
    return table


def stored_latencies(config: Config, space: NetworkSpace, folder: RunFolder) -> LatencyPrices | None:
    """Read the latencies that a study was created with; return `None` if latency is not an objective.

    Raises:
        CorruptStateError: If the table is missing or damaged.
        ConfigError: If it lacks parts of the space.
    """
    if not config.search.has_latency:
        return None
    try:
        table = LatencyTable.read(folder.latencies)
    except ConfigError as error:
        raise CorruptStateError(f"{error.problems[0].partition(';')[0]}; {STORED_WAY_OUT}") from error
    table.check_covers(parts_of(space, config.estimation.confidence))
    return LatencyPrices(table, space.skeleton, config.estimation.confidence)


def check_latencies(latencies: LatencyPrices | None, key: str, folder: RunFolder) -> None:
    """Check that the latencies in a run folder are those that its study was created with.

    Args:
        latencies: The latencies read; `None` if latency is not an objective.
        key: Key of the table that the study was created with; empty without one.
        folder: The run folder.

    Raises:
        CorruptStateError: If they differ.
    """
    if key_of(latencies) != key:
        raise CorruptStateError(f"{folder.latencies} is not the table the study was created with; {STORED_WAY_OUT}")


def key_of(latencies: LatencyPrices | None) -> str:
    """Return the key of a latency table; empty without one."""
    return "" if latencies is None else latencies.table.key


def measure_table(problem: Problem, progress: RunProgress) -> LatencyTable:
    """Time every part of a space's networks on this machine."""
    is_begun = False

    def show(done: int, total: int) -> None:
        nonlocal is_begun
        if not is_begun:
            progress.start("latencies of parts", total)
            is_begun = True
        progress.update(done, "")

    config = problem.config
    return measure_space(
        problem.space, config.estimation.confidence, device=problem.device, num_threads=config.num_threads, on_part=show
    )


def write_table(path: Path, table: LatencyTable) -> None:
    """Write a latency table as JSON, atomically.

    Raises:
        StorageError: If it cannot be written.
    """
    write_text(path, table.model_dump_json(indent=1) + "\n")


def known_costs_of(space: NetworkSpace, latencies: LatencyPrices | None) -> tuple[ExitPrices, ...]:
    """Return the costs that can be computed for every point, MACs first; empty without continuous thresholds."""
    if not space.has_free_thresholds:
        return ()
    return (exit_macs(space), *([] if latencies is None else [exit_latencies(space, latencies)]))
