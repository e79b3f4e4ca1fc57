"""Outputs of extracted networks compared with the supernet, and MACs with a counter: 200 networks of every preset.

python -m benchmarks.supernet_exactness --out FILE
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from aebnas_bo.config.loading import load_config
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.presets import PRESETS
from aebnas_bo.supernet.extraction import extract
from aebnas_bo.supernet.supernet import Supernet
from benchmarks.records import output_file

NETWORKS = 200


def main() -> None:
    """Compare all networks and write one line per preset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=output_file, required=True)
    arguments = parser.parse_args()
    set_up_cpu(1)
    lines = [_preset(preset) for preset in PRESETS]
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


@torch.no_grad()
def _preset(preset: str) -> str:
    space = NetworkSpace(load_config(None, [f"space.preset={preset}"]).space, in_channels=3, num_classes=10)
    generator, supernet = np.random.default_rng(0), Supernet(space.declaration, space.skeleton, 0)
    side = max(space.declaration.resolutions)
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    difference, outputs, unequal = 0.0, 0, 0
    for _ in range(NETWORKS):
        architecture = space.architecture(space.search_space.sample(generator))
        subnet = extract(supernet, architecture)
        for one, other in zip(supernet(images, architecture), subnet(images), strict=True):
            difference = max(difference, float((one - other).abs().max()))
            outputs += 1
        with FlopCounterMode(display=False) as counter:
            subnet.eval()(images[:1])
        unequal += counter.get_total_flops() != 2 * sum(
            exit_costs(architecture, space.skeleton).breakdown()[-1].values()
        )
    line = (
        f"{preset}: {NETWORKS} networks, {outputs} outputs: largest difference of a logit {difference:.2e}; "
        f"MACs unlike half of torch's FLOPs: {unequal}"
    )
    print(line, flush=True)  # noqa: T201
    return line


if __name__ == "__main__":
    main()
