"""Time of one evaluation of qLogNEHVI at 128 candidates: ours and BoTorch's joint posterior, measured in one run.

    python -m benchmarks.acquisition > FILE

One thread, the 86 columns of the `aebnas` preset, a synthetic trade-off. Compare ratios and medians, not single times.
"""

from __future__ import annotations

import platform
import sys
from functools import partial

import torch
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.sampling import SobolQMCNormalSampler

from aebnas_bo.config.loading import load_config
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.search.parameter_columns import column_layout
from aebnas_bo.space.network_space import NetworkSpace
from benchmarks.timing import median_seconds
from surrogates.acquisition import AcquisitionSettings, OptimizationConfig, noisy_hypervolume_acquisition
from surrogates.models import ArchitectureGP

REPEATS = 5
CANDIDATES = 128
REFERENCE = torch.tensor([-3.0, -3.0], dtype=torch.float64)


def main() -> None:
    """Print one row per number of observations."""
    set_up_cpu(1)
    layout = column_layout(NetworkSpace(load_config(None, ["space.preset=aebnas"]).space, 3, 10).search_space)
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(len(layout), generator=generator, dtype=torch.float64)
    sys.stdout.write(f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}, 1 thread\n")
    sys.stdout.write("observations  baseline  botorch_s  ours_s  ratio  correlation_of_values\n")
    for n in (50, 100, 200):
        X = layout.sample(n, generator)
        cost = (X @ weights) / 40
        Y = torch.stack([torch.tanh(1.3 * cost), -cost], dim=-1)
        Y = (Y - Y.mean(dim=0)) / Y.std(dim=0)
        model = ArchitectureGP(X, Y, layout, train_Yvar=torch.full_like(Y, 0.01))
        ours = noisy_hypervolume_acquisition(
            model,
            X,
            OptimizationConfig(IdentityMCMultiOutputObjective(), REFERENCE),
            settings=AcquisitionSettings(mc_samples=64),
        )
        theirs = qLogNoisyExpectedHypervolumeImprovement(
            model, REFERENCE, ours.X_baseline, SobolQMCNormalSampler(torch.Size([64]), seed=0), cache_root=False
        )
        rows = layout.sample(CANDIDATES, generator).unsqueeze(1)
        with torch.no_grad():
            values = torch.stack([ours(rows).exp(), theirs(rows).exp()])
            seconds = [median_seconds(partial(function, rows), REPEATS) for function in (theirs, ours)]
        correlation = torch.corrcoef(values)[0, 1].item()
        sys.stdout.write(
            f"{n:12d}  {len(ours.X_baseline):8d}  {seconds[0]:9.3f}  {seconds[1]:6.3f}  "
            f"{seconds[0] / seconds[1]:5.1f}  {correlation:.4f}\n"
        )


if __name__ == "__main__":
    main()
