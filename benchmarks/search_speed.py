"""Seconds per suggestion in the 82-gene space after 100-200 trials, for our strategy and Ax's default, in one run.

    python -m benchmarks.search_speed runs/benchmark/cifar10-mini-aebnas/qnehvi/seed-0.jsonl --out FILE
    python -m benchmarks.search_speed RUN --memory 1000 --out FILE

Trials come from a recorded run; ours also gets their further operating points. One thread. With `--memory N`, ours
makes N suggestions in a row, each with a synthetic estimate, and the memory of the process is recorded.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from aebnas_bo.config.loading import load_config
from aebnas_bo.estimation.exit_prices import exit_macs
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.search.strategy import Strategy
from aebnas_bo.search.strategy_registry import make_strategy
from aebnas_bo.search.trial import Trial, as_proposed
from aebnas_bo.space.network_space import NetworkSpace
from benchmarks.problem import CONFIGURATIONS
from benchmarks.records import output_file, read_run

TOLD = (100, 125, 150, 175, 199)
SUGGESTIONS = 3  # our suggestions at each number of trials
PEER_SUGGESTIONS = {100: 2, 150: 1, 199: 1}  # suggestions of Ax by number of trials: each takes minutes
MEMORY_MARKS = 100


def main() -> None:
    """Measure and write a text file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--memory", type=int, default=0)
    parser.add_argument("--out", type=output_file, required=True)
    arguments = parser.parse_args()
    set_up_cpu(1)
    header, trials = read_run(arguments.run)
    space = NetworkSpace(load_config(CONFIGURATIONS[header.problem]).space, 3, 10)
    if arguments.memory:
        lines = memory(space, header.objectives, trials, arguments.memory)
    else:
        lines = speed(space, header.objectives, trials)
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def strategy(space: NetworkSpace, objectives: Sequence[Objective], name: str) -> Strategy:
    """Return one of our strategies by name."""
    settings = SearchConfig.model_validate({"strategy": name})
    return make_strategy(space.search_space, objectives, settings, seed=0, known_costs=[exit_macs(space)])


def speed(space: NetworkSpace, objectives: Sequence[Objective], trials: Sequence[Trial]) -> list[str]:
    """Time suggestions; the first one of each strategy is not counted.

    In the first one, the strategy gets all trials; ours fits its surrogates, Ax proposes the centre of the space.
    """
    lines, ours, peers = [], [], []
    for told in TOLD:
        engine = strategy(space, objectives, "qnehvi")
        engine.propose(trials[:told], 1)
        seconds = _seconds(engine, trials[: told + 1], SUGGESTIONS)
        ours += seconds
        lines.append(f"qnehvi, {told + 1} trials told: " + ", ".join(f"{value:.2f}" for value in seconds) + " s")
    alone = [as_proposed(trial) for trial in trials]
    for told, count in PEER_SUGGESTIONS.items():
        engine = strategy(space, objectives, "ax-default")
        engine.propose(alone[:told], 1)
        seconds = _seconds(engine, alone[: told + 1], count)
        peers += seconds
        lines.append(f"ax-default, {told + 1} trials told: " + ", ".join(f"{value:.1f}" for value in seconds) + " s")
    median = statistics.median(ours)
    lines.append(f"medians: qnehvi {median:.2f} s, ax-default {statistics.median(peers):.1f} s")
    lines.append(f"the quickest of ax-default takes {min(peers) / median:.0f} times the median of qnehvi")
    return lines


def _seconds(engine: Strategy, trials: Sequence[Trial], count: int) -> list[float]:
    """Return the seconds of successive suggestions, each with the metrics of the trial before it."""
    told, seconds = list(trials), []
    for _ in range(count):
        started = time.perf_counter()
        [proposal] = engine.propose(told, 1)
        seconds.append(time.perf_counter() - started)
        told.append(replace(as_proposed(told[-1]), number=len(told), parameters=proposal.parameters))
        print(f"{seconds[-1]:.2f} s", flush=True)  # noqa: T201
    return seconds


def memory(
    space: NetworkSpace, objectives: Sequence[Objective], trials: Sequence[Trial], suggestions: int
) -> list[str]:
    """Record the resident size at regular intervals, always after the same number of trials."""
    lines = []
    told = list(trials[: TOLD[0]])
    for done in range(1, suggestions + 1):
        if done % MEMORY_MARKS == 1:
            engine = strategy(space, objectives, "qnehvi")  # as at the start of a study of this length
            told = list(trials[: TOLD[0]])
        [proposal] = engine.propose(told, 1)
        told.append(replace(as_proposed(told[-1]), number=len(told), parameters=proposal.parameters))
        if done % MEMORY_MARKS == 0:
            lines.append(f"after {done} suggestions: {resident_mb():.0f} MB")
            print(lines[-1], flush=True)  # noqa: T201
    return lines


def resident_mb() -> float:
    """Return the resident size of this process in megabytes (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return float(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
