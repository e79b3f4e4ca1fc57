"""Time to tune the thresholds of one network, compared with a loop over thresholds and images in one run.

    python -m benchmarks.threshold_tuning --out FILE

10,000 images, 4 exits, one thread. The loop is timed for all combinations of a grid of 4 values; a grid of 10 values
has 10,000 combinations of the same cost. Ours also tries every exit switched off, and every confidence that occurs.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from functools import partial

import torch

from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.early_exit.threshold_tuning import TuningGoal, tune_thresholds
from aebnas_bo.execution.cpu import set_up_cpu
from benchmarks.records import output_file
from benchmarks.timing import median_seconds

IMAGES, EXITS, REPEATS = 10_000, 4, 9
GRID = tuple(round(0.1 * step, 1) for step in range(1, 11))
LOOP_GRID = (0.1, 0.4, 0.7, 1.0)
BACKBONE, BRANCHES = (300_000, 800_000, 1_300_000, 1_800_000, 2_400_000), (50_000,) * EXITS
GOALS = (
    TuningGoal("target_macs", 1_500_000.0),
    TuningGoal("max_macs", 1_500_000.0),
    TuningGoal("min_accuracy", 80.0),
)


def main() -> None:
    """Measure and write a text file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=output_file, required=True)
    arguments = parser.parse_args()
    set_up_cpu(1)
    table = make_table()
    started = time.perf_counter()
    loop_over_images(table, LOOP_GRID, GOALS[0])
    loop = time.perf_counter() - started
    num_settings = len(LOOP_GRID) ** EXITS
    whole = loop / num_settings * len(GRID) ** EXITS
    lines = [f"loop over images: {loop:.2f} s for {num_settings} settings, so {whole:.0f} s for {len(GRID) ** EXITS}"]
    for goal in GOALS:
        for may_switch_off in (True, False):
            tune = partial(
                tune_thresholds, table, backbone=BACKBONE, branches=BRANCHES, goal=goal, grid=GRID,
                may_switch_off=may_switch_off,
            )  # fmt: skip
            seconds = median_seconds(tune, REPEATS)
            off = "exits may be switched off" if may_switch_off else "all exits on"
            lines.append(
                f"{goal.kind}, {off}: {seconds:.3f} s (median of {REPEATS}), {whole / seconds:.0f} times faster"
            )
    text = "\n".join(lines) + "\n"
    arguments.out.write_text(text, encoding="utf-8")
    print(text, end="")  # noqa: T201


def make_table() -> ExitTable:
    """Return a synthetic exit table: confidence and accuracy are higher at later exits and for easy images."""
    generator = torch.Generator().manual_seed(0)
    skill = torch.linspace(0.5, 2.5, EXITS + 1)[:, None]
    logits = skill + torch.randn(IMAGES, generator=generator)
    logits = logits + 0.7 * torch.randn(EXITS + 1, IMAGES, generator=generator)
    is_correct = torch.rand(EXITS + 1, IMAGES, generator=generator) < torch.sigmoid(logits + 0.5)
    paid = list(itertools.accumulate((*BRANCHES, 0)))
    macs = tuple(backbone + branches for backbone, branches in zip(BACKBONE, paid, strict=True))
    return ExitTable(torch.sigmoid(logits), is_correct, macs)


def loop_over_images(table: ExitTable, grid: Sequence[float], goal: TuningGoal) -> tuple[float, ...]:
    """Return the best thresholds of a grid, by a loop over all combinations and images."""
    confidence, is_correct = table.confidence.tolist(), table.is_correct.tolist()
    best, chosen = -float("inf"), (1.0,) * (len(table.macs) - 1)
    for setting in itertools.product(grid, repeat=len(table.macs) - 1):
        right = cost = 0
        for image in range(len(confidence[0])):
            output = len(setting)
            for exit_, threshold in enumerate(setting):
                if confidence[exit_][image] >= threshold:
                    output = exit_
                    break
            right += is_correct[output][image]
            cost += table.macs[output]
        accuracy, macs = (torch.tensor([float(value)]) for value in (100.0 * right / IMAGES, cost / IMAGES))
        score = float(goal.scores(accuracy, macs)[0])
        if score > best:
            best, chosen = score, setting
    return chosen


if __name__ == "__main__":
    main()
