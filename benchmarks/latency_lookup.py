"""Sums of measured parts and measured latencies of whole networks, from one run.

    python -m benchmarks.latency_lookup --out FILE

Random networks of each preset run on one thread: a single image passes all exits, including their confidences. The
results are the rank correlation, the ratio and its spread.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from aebnas_bo.config.loading import load_config
from aebnas_bo.estimation.latency import NANOSECONDS_PER_MS, LatencyPrices
from aebnas_bo.estimation.latency_timing import measure_space, time_parts, whole_network
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.space.macs import exit_costs, millions, priced
from aebnas_bo.space.network_space import NetworkSpace
from benchmarks.records import output_file

PRESETS = {"tiny": 1, "cifar": 3, "aebnas": 3}  # channels of the images
NETWORKS = 40
MEASURE = "score_margin"
HEADER = ["preset", "network", "macs_millions", "looked_up_ms", "measured_ms"]


@dataclass(frozen=True)
class Row:
    """One network with all exits passed: sum of its parts, and measured latency."""

    preset: str
    key: str
    macs: float
    looked_up: float
    measured: float


def main() -> None:
    """Measure every preset, write one row per network and print the agreement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=output_file, required=True)
    arguments = parser.parse_args()
    set_up_cpu(1)
    with arguments.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for preset in PRESETS:
            rows = _rows(preset)
            writer.writerows(
                [row.preset, row.key, f"{row.macs:.6g}", f"{row.looked_up:.6g}", f"{row.measured:.6g}"] for row in rows
            )
            file.flush()
            _print(preset, rows)


def _rows(preset: str) -> list[Row]:
    space = NetworkSpace(load_config(None, [f"space.preset={preset}"]).space, PRESETS[preset], 10)
    generator = np.random.default_rng(1)  # other networks than those used to fit the factor
    architectures = [space.architecture(space.search_space.sample(generator)) for _ in range(NETWORKS)]
    table = measure_space(space, MEASURE, device="cpu", num_threads=1)
    prices, rows = LatencyPrices(table, space.skeleton, MEASURE), []
    times = time_parts(
        [whole_network(architecture, space.skeleton, MEASURE) for architecture in architectures],
        device="cpu",
        num_threads=1,
    )
    for architecture in architectures:
        macs = millions(exit_costs(architecture, space.skeleton).cumulative[-1])
        looked_up = priced(architecture, space.skeleton, prices).cumulative[-1] / NANOSECONDS_PER_MS
        rows.append(Row(preset, architecture.key, macs, looked_up, times[architecture.key] / NANOSECONDS_PER_MS))
    return rows


def _print(preset: str, rows: list[Row]) -> None:
    ratios = [row.looked_up / row.measured for row in rows]
    middle = statistics.median(ratios)
    errors = [abs(ratio / middle - 1.0) for ratio in ratios]
    measured = [row.measured for row in rows]
    tau = kendalltau([row.looked_up for row in rows], measured).statistic
    by_macs = kendalltau([row.macs for row in rows], measured).statistic
    sys.stdout.write(
        f"{preset}: {len(rows)} networks of {min(measured):.3g} to {max(measured):.3g} ms; Kendall tau of the lookup "
        f"{tau:.3f}, of MACs {by_macs:.3f}; looked up / measured: median {middle:.3f}, off that by "
        f"{np.median(errors):.1%} (median) and {np.quantile(errors, 0.9):.1%} (90 % of networks)\n"
    )


if __name__ == "__main__":
    main()
