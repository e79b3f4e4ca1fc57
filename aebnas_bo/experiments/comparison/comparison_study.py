"""Comparison of methods: one resumable study per method and seed, then one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from aebnas_bo.analysis.hypervolume import hypervolume_curve
from aebnas_bo.analysis.selection import figures_of, some_observations, within_budget
from aebnas_bo.config.loading import dump_config, parse_config
from aebnas_bo.config.schema import Config
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.errors import CorruptStateError, UsageError, first_problem
from aebnas_bo.experiments.comparison.chosen_network import ChosenNetwork, budget_of, judge
from aebnas_bo.experiments.comparison.plain_method import plain_choice
from aebnas_bo.experiments.comparison.shared_settings import check_shared
from aebnas_bo.preparation.fingerprints import supernet_fingerprint
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.preparation.supernet_preparation import make_estimator, prepare_supernet
from aebnas_bo.search.strategy_registry import check_strategy
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.storage.count_text import counted
from aebnas_bo.storage.run_folder import RunFolder, check_folder
from aebnas_bo.storage.sealed_json import read_sealed, write_sealed
from aebnas_bo.study.edited_config import replace_config
from aebnas_bo.study.resuming import check_same_trials
from aebnas_bo.study.running import run_study

RESULT_FILE = "method.json"


@dataclass(frozen=True)
class MethodRun:
    """Result of one method with one seed.

    Args:
        method: Its name.
        seed: Its seed.
        curve: Hypervolume after each trial, including further operating points if the method has them; empty for plain
            networks, whose accuracies are not estimates with shared weights.
        network: The network of choice.
        max_average_macs: Budget of its selection in millions.
        seconds: Seconds of proposing and evaluating all trials; `None` for plain networks.
    """

    method: str
    seed: int
    curve: tuple[float, ...]
    network: ChosenNetwork
    max_average_macs: float
    seconds: float | None


def run_comparison(
    configs: Mapping[str, Config], seeds: Sequence[int], folder: Path, *, progress: RunProgress
) -> list[MethodRun]:
    """Run every method with every seed; runs finished with equal images and version are not repeated.

    Args:
        configs: Configuration of each method.
        seeds: Seeds.
        folder: Folder of the run folders, one per method and seed.
        progress: Progress display.

    Raises:
        ConfigError: If the methods do not share images, backbones, supernet epochs, budget or reference point, or a
            strategy needs an extra that is missing.
        UsageError: If the folder is a file, or holds runs of other settings.
        AebnasError: If a step fails; finished studies are kept.
    """
    check_shared(configs)
    _check(configs)
    check_folder(folder)
    for name, config in configs.items():
        if config.search.strategy != "plain" and config.search.design_trials >= config.search.budget:
            progress.message(
                f"note: the initial design of {name} has {counted(config.search.design_trials, 'network')}, so it does "
                f"not use results within {counted(config.search.budget, 'trial')} (search.design_trials)"
            )
    data_hash = cache(lambda: load_splits(next(iter(configs.values())).data).data_hash)  # of what all methods share
    wanted = [(name, seed) for seed in seeds for name in configs]
    found = []
    for number, (name, seed) in enumerate(wanted, start=1):
        progress.message(f"{name}, seed {seed} ({number} of {len(wanted)})")
        config = configs[name].model_copy(update={"seed": seed, "name": name})
        found.append(_run_method(config, RunFolder(folder / f"{name}-seed{seed}"), progress, data_hash=data_hash))
    return found


def _check(configs: Mapping[str, Config]) -> None:
    for config in configs.values():
        if config.search.strategy != "plain":
            check_strategy(config.search)


def _take_up(config: Config, folder: RunFolder, data_hash: str) -> None:
    """Check that a study was created with equal settings; apply changes that do not affect its trials."""
    with TrialStore.open(folder.study) as store:
        is_changed = store.study.config != dump_config(config)
        if is_changed:
            check_same_trials(parse_config(store.study.config, str(folder.study)), config, folder.path)
        if store.study.fingerprint != supernet_fingerprint(config, data_hash):
            raise UsageError(f"{folder.path}: was created with other images or another version; use another --out")
        if is_changed:
            replace_config(config, store, folder)


def _run_method(config: Config, folder: RunFolder, progress: RunProgress, *, data_hash: Callable[[], str]) -> MethodRun:
    if config.search.strategy == "plain":
        return _run_plain(config, folder, progress)
    result = folder.path / RESULT_FILE
    if folder.holds_study:
        _take_up(config, folder, data_hash())
    if result.exists():
        return _read_result(result, config)
    problem = Problem.load(config)
    run_study(problem, folder, progress, resume=True)
    with TrialStore.open_read_only(folder.study) as store:
        trials, objectives = store.trials(), store.study.objectives
    supernet, _ = prepare_supernet(problem, folder, progress)
    estimator = make_estimator(problem, supernet, folder)
    budget = budget_of(config, problem.space)
    run = MethodRun(
        method=config.name,
        seed=config.seed,
        curve=tuple(value for _, value in hypervolume_curve(trials, objectives, has_settings=True)),
        network=judge(within_budget(some_observations(trials), budget, figures=figures_of), problem, estimator),
        max_average_macs=budget,
        seconds=round(sum(trial.generation_s + trial.evaluation_s for trial in trials), 1),
    )
    write_sealed(result, asdict(run))
    return run


def _read_result(path: Path, config: Config) -> MethodRun:
    way_out = "delete it, the same command writes it again"
    try:
        run = TypeAdapter(MethodRun).validate_python(read_sealed(path, way_out))
    except ValidationError as error:
        raise CorruptStateError(f"{path} cannot be read ({first_problem(error)}); {way_out}") from error
    if (run.method, run.seed) != (config.name, config.seed):
        raise CorruptStateError(f"{path} is the result of {run.method} with seed {run.seed}; {way_out}")
    return run


def _run_plain(config: Config, folder: RunFolder, progress: RunProgress) -> MethodRun:
    problem = Problem.load(config)
    budget = budget_of(config, problem.space)
    return MethodRun(
        method=config.name,
        seed=config.seed,
        curve=(),
        network=plain_choice(problem, folder, budget, progress=progress),
        max_average_macs=budget,
        seconds=None,
    )
