"""How well the surrogates predict networks they were not told of, with and without known costs.

    python -m benchmarks.surrogate_quality --out benchmarks/results/surrogate-quality.txt

Networks spread over the range of costs, at random thresholds, judged by the default digits supernet; some are told, the
others predicted, five times over.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aebnas_bo.config_loading import load_config
from aebnas_bo.estimation.known_costs import ExitMacs
from aebnas_bo.fidelity.drawing import spread_points
from aebnas_bo.search.columns import column_layout
from aebnas_bo.study import prepare_study
from surrogates.fitting import fit_surrogate
from surrogates.models import ArchitectureGP
from surrogates.validation import LeftOut, quality

NETWORKS = 500
TOLD = (50, 100, 200)
REPEATS = 5
METRICS = ("accuracy", "average_macs")


def main() -> None:
    """Compare and write a line per metric, number of observations and model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    study = prepare_study(load_config(None))
    space = study.space.search_space
    points = spread_points(study.space, NETWORKS, np.random.default_rng(0))
    estimates = [study.estimator.estimate(point) for point in points]
    X = torch.tensor(np.stack([space.encode(point) for point in points]))
    Y = torch.tensor([[e.metrics[name].mean for name in METRICS] for e in estimates], dtype=torch.float64)
    Yvar = torch.tensor([[e.metrics[name].sem ** 2 for name in METRICS] for e in estimates], dtype=torch.float64)
    lines = []
    for told in TOLD:
        for name, known_costs in (("without known costs", None), ("with known costs", study.known_costs)):
            lines += _compare(column_layout(space), X, Y, Yvar, told, name, known_costs)
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _compare(
    layout: object, X: Tensor, Y: Tensor, Yvar: Tensor, told: int, name: str, known_costs: ExitMacs | None
) -> list[str]:
    found: dict[str, list[tuple[float, float, float]]] = {metric: [] for metric in METRICS}
    for repeat in range(REPEATS):
        order = torch.randperm(len(X), generator=torch.Generator().manual_seed(repeat))
        train, test = order[:told], order[told:]
        model = ArchitectureGP(X[train], Y[train], layout, Yvar[train], known_costs, cost_outcome=1)  # type: ignore[arg-type]
        fit_surrogate(model)
        with torch.no_grad():
            posterior = model.posterior(X[test])
        predicted = LeftOut(posterior.mean, posterior.variance + Yvar[test])
        for outcome, metric in enumerate(METRICS):
            result = quality(Y[test], predicted, outcome)
            if result is not None:
                found[metric].append((result.r2, result.kendall_tau, result.coverage))
    lines = []
    for metric, results in found.items():
        r2, tau, coverage = (statistics.median(column) for column in zip(*results, strict=True))
        line = f"{told} told, {metric}, {name}: R2 {r2:.3f}, Kendall tau {tau:.3f}, 95 % coverage {coverage:.3f}"
        print(line, flush=True)  # noqa: T201
        lines.append(line)
    return lines


if __name__ == "__main__":
    main()
