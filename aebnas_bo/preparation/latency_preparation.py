"""Getting the latencies of a space's parts: from the run folder, from a file, or by measuring."""

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
    """Return the latencies of a space's parts where latency is an objective.

    A study keeps the table it began with in its folder, so that a resumed run goes on with the same figures.

    Args:
        problem: The space, and where its parts are timed.
        folder: Run folder to read from and write to; `None` for none.
        progress: Shows the measurement.

    Raises:
        ConfigError: If the table cannot be read or lacks parts of the space.
        CorruptStateError: If a study's own is missing or damaged.
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
    """Return the table the configuration names; `None` where it names none, or latency is no objective.

    Raises:
        ConfigError: If it cannot be read or lacks parts of the space.
    """
    if not config.search.has_latency or config.estimation.latency_table is None:
        return None
    table = LatencyTable.read(Path(config.estimation.latency_table))
    table.check_covers(parts_of(space, config.estimation.confidence))
    return table


def stored_latencies(config: Config, space: NetworkSpace, folder: RunFolder) -> LatencyPrices | None:
    """Return the latencies a study was begun with; `None` where latency is no objective of it.

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
    """Check that the latencies in a run folder are those that its study was begun with.

    Args:
        latencies: What was read; `None` where latency is no objective.
        key: Key of the table that the study was begun with; empty without one.
        folder: The run folder.

    Raises:
        CorruptStateError: If they are not.
    """
    if key_of(latencies) != key:
        raise CorruptStateError(f"{folder.latencies} is not the table that the study was begun with; {STORED_WAY_OUT}")


def key_of(latencies: LatencyPrices | None) -> str:
    """Return the key of a table of latencies; empty without one."""
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
    """Write a table of latencies as JSON, whole or not at all.

    Raises:
        StorageError: If it cannot be written.
    """
    write_text(path, table.model_dump_json(indent=1) + "\n")


def known_costs_of(space: NetworkSpace, latencies: LatencyPrices | None) -> tuple[ExitPrices, ...]:
    """Return what is known of average costs at every point, MACs first; nothing where thresholds do not vary freely."""
    if not space.has_free_thresholds:
        return ()
    return (exit_macs(space), *([] if latencies is None else [exit_latencies(space, latencies)]))
