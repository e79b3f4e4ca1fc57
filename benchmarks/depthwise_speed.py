"""Time of training depthwise convolutions on maps smaller than the kernel, with our weight gradient and oneDNN's.

    python -m benchmarks.depthwise_speed --out FILE

A step is a forward pass and both gradients, in one thread. The two variants alternate; times are processor times,
ratios are medians over the turns.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
import torch.nn.functional as F

from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.supernet.depthwise import depthwise_conv2d
from benchmarks.records import output_file

CASES = [  # images, channels, side, kernel, stride: last stages of the `cifar` space, and maps without our gradient
    *((48, 288, 2, 3, 1), (48, 288, 2, 5, 1), (48, 288, 3, 5, 1), (48, 288, 4, 5, 1), (48, 160, 4, 5, 2)),
    *((32, 288, 4, 5, 1), (32, 288, 4, 7, 1), (48, 288, 3, 3, 1), (48, 160, 8, 5, 1)),
]


def main() -> None:
    """Measure every case and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=output_file, required=True)
    parser.add_argument("--turns", type=int, default=41, help="number of turns per comparison")
    arguments = parser.parse_args()
    set_up_cpu(1)
    lines = [f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, milliseconds of a step"]
    for case in CASES:
        lines.append(_compared(*case, arguments.turns))
        print(lines[-1], flush=True)  # noqa: T201
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _compared(images: int, channels: int, side: int, kernel: int, stride: int, turns: int) -> str:
    features = torch.randn(images, channels, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(channels, 1, kernel, kernel, requires_grad=True)
    pairs = []
    for _ in range(turns + 1):
        started = time.process_time()
        depthwise_conv2d(features, weight, stride).sum().backward()  # type: ignore[no-untyped-call]
        between = time.process_time()
        F.conv2d(features, weight, stride=stride, padding=kernel // 2, groups=channels).sum().backward()  # type: ignore[no-untyped-call]
        pairs.append((between - started, time.process_time() - between))
    ours, library = (1e3 * statistics.median(times) for times in zip(*pairs[1:], strict=True))
    ratio = statistics.median(other / own for own, other in pairs[1:])
    case = f"{images} images, {channels} channels, {side}x{side}, kernel {kernel}, stride {stride}"
    return f"{case}: library {library:.2f}, ours {ours:.2f}; median ratio {ratio:.2f} over {turns} turns"


if __name__ == "__main__":
    main()
