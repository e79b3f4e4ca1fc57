"""Effect of each part of supernet training on the rank correlation with separately trained networks.

Uses the networks of a finished rank correlation study and trains one supernet per variant; each variant adds one part
to the one before. Every supernet is evaluated with and without BatchNorm calibration.

    python -m benchmarks.supernet_ablation configs/cifar10-mini.yaml --study runs/FIDELITY --out FOLDER
    python -m benchmarks.supernet_ablation CONFIG --study STUDY --out FOLDER --variant one --variant "two: processes=2"

With `--variant`, the variants given are compared instead: a name and settings of the section `supernet`.

`ablation.csv` has one row per variant, `networks.csv` one per variant and network. Variants that are in the first file
are not run again.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.config.loading import load_config
from aebnas_bo.config.schema import Config
from aebnas_bo.deploy.standalone import StandaloneNetworks
from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.estimation.measuring import MeasuringImages, measure
from aebnas_bo.estimation.settings import EstimationConfig
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.experiments.rank_correlation.agreement import Comparison, agreements, compare_network, quantities_of
from aebnas_bo.experiments.rank_correlation.correlation_tables import read_rows
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.supernet_preparation import training_data
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.sampling import TrainingSampler
from aebnas_bo.space.search_space import Point
from aebnas_bo.supernet.batchnorm import calibrate_batchnorm
from aebnas_bo.supernet.elastic_layers import ElasticConvNorm
from aebnas_bo.supernet.extraction import extract
from aebnas_bo.supernet.subnet import Subnet
from aebnas_bo.supernet.supernet import Supernet
from aebnas_bo.supernet.supernet_training import train_supernet

PLAIN = (
    *("sandwich=false", "random_subnets=2", "distillation=false", "balanced_branches=false"),
    *("exit_distillation=false", "ema_decay=0.0"),
)
PARTS = {
    "plain joint training": (),
    "+ sandwich rule": ("sandwich=true",),
    "+ distillation from the largest network": ("distillation=true",),
    "+ balanced branches": ("balanced_branches=true",),
    "+ late exits teach early ones": ("exit_distillation=true",),
    "+ average of the weights": ("ema_decay=0.998",),
}
STATISTICS_NETWORKS = 64  # random networks whose statistics are averaged instead of calibration
HEADER = ["variant", "is_calibrated", "networks", "tau", "tau_low", "tau_high", "tau_macs", "tau_partial", "tau_final",
          "tau_exits", "rho", "top3_regret", "mean_estimate", "mean_final", "mean_alone", "train_s"]  # fmt: skip


@dataclass(frozen=True)
class Context:
    """Values shared by all variants."""

    problem: Problem
    points: Sequence[Point]
    alone: Sequence[ExitTable]


class SharedStatistics:
    """BatchNorm statistics averaged over random networks, as running averages would be."""

    def __init__(self, context: Context, supernet: Supernet, images: torch.Tensor) -> None:
        self._supernet = supernet
        self._sums: dict[ElasticConvNorm, torch.Tensor] = {}
        sampler = TrainingSampler(context.problem.space, np.random.default_rng(0), has_balanced_branches=True)
        for _ in range(STATISTICS_NETWORKS):
            architecture = sampler.draw("random")
            subnet = extract(supernet, architecture)
            calibrate_batchnorm(subnet, images[:256], 256)
            for conv_norm, (elastic, plan) in zip(subnet.conv_norms(), supernet.parts(architecture), strict=True):
                sums = self._sums.setdefault(elastic, torch.zeros(3, len(elastic.scale)))
                used = sums[:, : plan.out_channels]
                used += torch.stack(
                    [conv_norm.norm.running_mean, conv_norm.norm.running_var, torch.ones(plan.out_channels)]
                )

    def load(self, subnet: Subnet, architecture: Architecture) -> None:
        """Load the averages into a network."""
        for conv_norm, (elastic, plan) in zip(subnet.conv_norms(), self._supernet.parts(architecture), strict=True):
            sums = self._sums.get(elastic, torch.zeros(3, len(elastic.scale)))[:, : plan.out_channels]
            count = sums[2].clamp_min(1.0)
            conv_norm.norm.running_mean.copy_(sums[0] / count)
            conv_norm.norm.running_var.copy_(torch.where(sums[2] > 0, sums[1] / count, torch.ones(())))
        subnet.eval()


def main() -> None:
    """Run all variants that are not in the file yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--study", type=Path, required=True, help="folder of a finished study of this configuration")
    parser.add_argument("--out", type=Path, required=True, help="output folder; extended variant by variant")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="as for the study")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME: KEY=VALUE, ...")
    parser.add_argument("--only", default="", help="run the variants whose name contains this")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    summary, details = arguments.out / "ablation.csv", arguments.out / "networks.csv"
    rows, networks = _read(summary), _read(details)
    context: Context | None = None
    for variant, changes in _variants(arguments.variant).items():
        if variant in {row[0] for row in rows} or arguments.only not in variant:
            continue
        settings = [*arguments.set, *(f"supernet.{change}" for change in changes)]
        config = load_config(arguments.config, settings)
        context = context or _context(config, arguments.study)
        new_rows, new_networks = _run(variant, config, context)
        rows, networks = rows + new_rows, networks + new_networks
        write_csv(details, ["variant", "is_calibrated", "key", "macs", *_columns(context.problem.space)], networks)
        write_csv(summary, HEADER, rows)


def _variants(given: Sequence[str]) -> dict[str, list[str]]:
    """Return the settings of every variant: those given, or one more part in each."""
    if not given:
        changes = itertools.accumulate(PARTS.values(), lambda before, part: (*before, *part), initial=PLAIN)
        return {name: list(settings) for name, settings in zip(PARTS, itertools.islice(changes, 1, None), strict=True)}
    named = (text.partition(":") for text in given)
    return {name: [part.strip() for part in settings.split(",") if part.strip()] for name, _, settings in named}


def _columns(space: NetworkSpace) -> list[str]:
    return [f"{quantity}_{side}" for quantity in quantities_of(space) for side in ("estimate", "alone")]


def _read(path: Path) -> list[list[str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def _context(config: Config, study: Path) -> Context:
    set_up_cpu(config.num_threads)
    problem = Problem.load(config)
    networks = StandaloneNetworks(problem, study / "networks")
    points, alone = [], []
    for comparison in read_rows(study / "fidelity.csv")[0]:
        table = networks.known_table(problem.space.architecture(comparison.point))
        if table is not None:
            points.append(comparison.point)
            alone.append(table)
    if len(alone) < 4:
        raise SystemExit(f"{study}: has {len(alone)} networks of this configuration, at least 4 are needed")
    return Context(problem, points, alone)


def _run(variant: str, config: Config, context: Context) -> tuple[list[list[object]], list[list[object]]]:
    """Train a variant; return its rows and those of its networks."""
    started = time.perf_counter()
    problem = context.problem.with_config(config)
    space, splits = problem.space, problem.splits
    supernet = Supernet(config.space, space.skeleton, config.seed)
    data = training_data(problem, config.supernet)
    train_supernet(supernet, space, data, config=config.supernet, seed=config.seed)
    seconds = time.perf_counter() - started
    images = MeasuringImages.of(splits, "cpu")
    shared = SharedStatistics(context, supernet, images.calibration_images)
    rows: list[list[object]] = []
    networks: list[list[object]] = []
    for is_calibrated in (True, False):
        tables = [
            _table(context, supernet, space.architecture(point), images, None if is_calibrated else shared)
            for point in context.points
        ]
        comparisons = [
            compare_network(space, point, estimate=table, alone=alone)
            for point, table, alone in zip(context.points, tables, context.alone, strict=True)
        ]
        row = [variant, is_calibrated, len(tables), *_judge(context, comparisons), round(seconds, 1)]
        print(", ".join(f"{name} {value}" for name, value in zip(HEADER, row, strict=True)), flush=True)  # noqa: T201
        rows.append(row)
        for c in comparisons:
            values = [side.get(q) for q in quantities_of(space) for side in (c.estimates, c.alone)]
            networks.append([variant, is_calibrated, c.key, c.macs["final"], *values])
    return rows, networks


def _table(
    context: Context,
    supernet: Supernet,
    architecture: Architecture,
    images: MeasuringImages,
    shared: SharedStatistics | None,
) -> ExitTable:
    subnet = extract(supernet, architecture)
    if shared is None:
        calibrate_batchnorm(subnet, images.calibration_images, 256)
    else:
        shared.load(subnet, architecture)
    macs = exit_costs(architecture, context.problem.space.skeleton).cumulative
    return measure(subnet, images, macs=macs, key=architecture.key, config=EstimationConfig())[0]


def _judge(context: Context, comparisons: Sequence[Comparison]) -> list[object]:
    """Return the results of a variant, in the order of the header."""
    config = context.problem.config.fidelity.model_copy(update={"top_k": (3,)})
    found = agreements(
        comparisons, quantities_of(context.problem.space), config=config, generator=np.random.default_rng(0)
    )
    taus = {entry.quantity: entry.kendall_tau.value for entry in found}
    exits = [tau for quantity, tau in taus.items() if quantity.startswith("exit")]
    whole = next(entry for entry in found if entry.quantity == "accuracy")
    against = whole.against_macs
    of_macs = (against.kendall_tau, against.partial_kendall_tau) if against is not None else (None, None)
    figures = [
        *(whole.kendall_tau.value, whole.kendall_tau.low, whole.kendall_tau.high),
        *(interval.value if interval is not None else np.nan for interval in of_macs),
        *(taus["final"], np.mean(exits)),
        *(whole.spearman_rho.value, whole.top_k_regret[3].value),
        *(np.mean([c.estimates[quantity] for c in comparisons]) for quantity in ("accuracy", "final")),
        np.mean([c.alone["accuracy"] for c in comparisons]),
    ]
    return [round(float(figure), 4) for figure in figures]


if __name__ == "__main__":
    main()
