"""One fidelity study from configuration to results, resumable network by network and epoch by epoch."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from aebnas_bo.analysis.summary import package_versions, peak_memory_mb
from aebnas_bo.config.effects import STATISTICS_ONLY, effect_of
from aebnas_bo.config.loading import dump_config, parse_config
from aebnas_bo.config.schema import Config
from aebnas_bo.config.yaml_reader import yaml_text
from aebnas_bo.deploy.standalone import StandaloneNetworks
from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.errors import ConfigError, UsageError
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.execution.worker_jobs import run_on_workers
from aebnas_bo.experiments.rank_correlation.agreement import Comparison, agreements, compare_network, quantities_of
from aebnas_bo.experiments.rank_correlation.band import band_candidates, points_in_band
from aebnas_bo.experiments.rank_correlation.correlation_tables import plot_fidelity, write_agreements, write_rows
from aebnas_bo.experiments.rank_correlation.drawing import spread_points
from aebnas_bo.experiments.rank_correlation.settings import FidelityConfig
from aebnas_bo.experiments.rank_correlation.statistics import Agreement
from aebnas_bo.experiments.rank_correlation.trainings_on_workers import SeparateTrainings
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.preparation.supernet_preparation import make_estimator, prepare_supernet
from aebnas_bo.seeding import numpy_generator
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.search_space import Point
from aebnas_bo.storage.atomic_files import write_text
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.run_lock import RunLock
from aebnas_bo.study.resuming import differing_settings


@dataclass(frozen=True)
class FidelityReport:
    """Results of a study.

    Args:
        comparisons: Every network, cheapest first.
        agreements: By quantity, the whole network's accuracy first.
        seconds: Seconds of this call by phase.
    """

    comparisons: tuple[Comparison, ...]
    agreements: tuple[Agreement, ...]
    seconds: dict[str, float]


def run_fidelity(config: Config, folder: RunFolder, *, resume: bool, progress: RunProgress) -> FidelityReport:
    """Draw networks, estimate them with shared weights, train each alone, compare, and write all of it.

    Args:
        config: The configuration; on `resume` it must equal the stored one but for device, threads and statistics.
        folder: Folder of the study.
        resume: Whether the folder may hold one.
        progress: Shows what happens.

    Returns:
        The comparisons and how well they agree.

    Raises:
        AebnasError: If a step fails; networks finished so far are kept.
    """
    set_up_cpu(config.num_threads)
    problem = Problem.load(config)
    space = problem.space
    _check(config, space)
    draw, band = numpy_generator(config.seed, "fidelity", "draw"), config.fidelity.band
    candidates = _draw(space, config.fidelity, draw)
    folder.create()
    with RunLock(folder.path):
        _claim(config, folder, resume)
        clock = {"supernet": time.perf_counter()}
        supernet, source = prepare_supernet(problem, folder, progress)
        progress.message(f"supernet: {source}")
        estimator = make_estimator(problem, supernet, folder)
        clock["estimates"] = time.perf_counter()
        points = candidates
        if band is not None:
            points = points_in_band(
                space, candidates, config.fidelity.num_architectures,
                band=band, table_of=estimator.exit_table, generator=draw,
            )  # fmt: skip
        estimates = [estimator.exit_table(space.architecture(point)) for point in points]
        clock["networks"] = time.perf_counter()
        tables = [
            _train_all(repeat, _networks_folder(folder, number), points, folder=folder, progress=progress)
            for number, repeat in enumerate(_repeats(problem))
        ]
        clock["end"] = time.perf_counter()
        comparisons = [
            compare_network(space, point, estimate=estimate, alone=alone)
            for point, estimate, alone in zip(points, estimates, zip(*tables, strict=True), strict=True)
        ]
        quantities = quantities_of(space)
        found = agreements(
            comparisons,
            quantities,
            config=config.fidelity,
            generator=numpy_generator(config.seed, "fidelity", "bootstrap"),
        )
        seconds = {
            name: round(end - start, 3)
            for (name, start), end in zip(clock.items(), list(clock.values())[1:], strict=False)
        }
        write_rows(folder.path / "fidelity.csv", comparisons, quantities=quantities, names=space.search_space.names)
        facts = {
            "name": config.name, "seed": config.seed, "networks": len(comparisons), "repeats": len(tables),
            "supernet": source, "band": band, "device": problem.device, "num_threads": config.num_threads,
            "seconds": seconds,
            "peak_memory_mb": round(peak_memory_mb(), 1), "data_hash": problem.splits.data_hash,
            "versions": package_versions(),
        }  # fmt: skip
        write_agreements(folder.path / "fidelity.json", found, facts)
        plot_fidelity(folder.path / "fidelity.png", comparisons, found)
    return FidelityReport(tuple(comparisons), tuple(found), seconds)


def _draw(space: NetworkSpace, config: FidelityConfig, generator: np.random.Generator) -> list[Point]:
    """Return the networks, or those to choose from once the supernet is there if they must lie in a band."""
    if config.band is None:
        return spread_points(space, config.num_architectures, generator)
    return band_candidates(space, config.num_architectures, band=config.band, generator=generator)


def _check(config: Config, space: NetworkSpace) -> None:
    if space.tunes_thresholds:
        raise ConfigError("space.thresholds: networks are compared at thresholds of the space; set it to searched")
    if config.estimation.confidence == "learned" and config.final_training.joint_loss is None:
        raise ConfigError(
            "final_training.joint_loss: networks trained alone need it to learn confidences; set it as the supernet's"
        )


def _claim(config: Config, folder: RunFolder, resume: bool) -> None:
    """Claim the folder for this study, or check that it belongs to it."""
    if folder.holds_study:
        raise UsageError(f"--out {folder.path}: holds a search; give another folder")
    if not folder.config.exists():
        write_text(folder.config, dump_config(config))
        return
    if not resume:
        raise UsageError(
            f"--out {folder.path}: already holds a study; add --resume to go on with it, or give another folder"
        )
    stored = parse_config(yaml_text(folder.config), str(folder.config))
    problems = [
        f"{name}: the study has {json.dumps(was)}, --resume cannot make it {json.dumps(wanted)}; start another folder"
        for name, (was, wanted) in sorted(differing_settings(stored, config).items())
        if effect_of(name) not in STATISTICS_ONLY
    ]
    if problems:
        raise ConfigError(problems)


def _repeats(problem: Problem) -> list[Problem]:
    """Return the problem for each training of a network, with its own seed."""
    config = problem.config
    seeds = range(config.seed, config.seed + config.fidelity.repeats)
    return [problem.with_config(config.model_copy(update={"seed": seed})) for seed in seeds]


def _networks_folder(folder: RunFolder, repeat: int) -> Path:
    return folder.networks / f"repeat{repeat + 1}" if repeat else folder.networks


def _train_all(
    problem: Problem, path: Path, points: list[Point], *, folder: RunFolder, progress: RunProgress
) -> list[ExitTable]:
    """Train all networks once, and return their exit tables.

    Args:
        problem: The problem with the seed of these trainings.
        path: Folder of the tables.
        points: The networks.
        folder: Folder of the study.
        progress: Shows the epochs.
    """
    config, space, networks = problem.config, problem.space, StandaloneNetworks(problem, path)
    architectures = [space.architecture(point) for point in points]
    if config.execution.engine != "serial":
        jobs = [one for one in architectures if networks.known_table(one) is None]
        progress.start("networks on workers", len(jobs))
        sent = SeparateTrainings(problem.for_workers, folder.path, path)
        run_on_workers(sent, jobs, config.execution, on_end=lambda ended: progress.update(ended, ""))
    epochs, tables = config.final_training.epochs, []
    known = [networks.known_table(architecture) for architecture in architectures]
    done = epochs * sum(table is not None for table in known)
    progress.start("epochs alone", epochs * len(points), done)
    for number, (architecture, found) in enumerate(zip(architectures, known, strict=True), start=1):
        table = found
        if table is None:
            show = partial(progress.epoch, before=done, prefix=f"network {number} of {len(points)}  ")
            table = networks.train(architecture, show, partial(progress.step, before=done))
            done += epochs
        tables.append(table)
    return tables
