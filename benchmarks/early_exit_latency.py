"""Time and MACs saved by early exits: trained networks on their test images.

    python -m benchmarks.early_exit_latency RUN --select knee --out FILE

Train the network first with `aebnas-bo train RUN --select ...`. Runs PyTorch and, if installed, onnxruntime in one
thread, with batches of 1 and 64; every batch runs through all variants in turn.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from aebnas_bo.analysis.selection import parse_selection
from aebnas_bo.deploy.export import trained_network
from aebnas_bo.deploy.latency_measurement import Workload, measure_latency
from aebnas_bo.deploy.network_file import load_network
from aebnas_bo.deploy.trained_table import latency_table, write_latency_csv
from aebnas_bo.deploy.training_pipeline import choose_candidate
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.supernet.folding import fold_batchnorm
from benchmarks.records import output_file

BYTES = 255.0


def main() -> None:
    """Measure, write one row per runtime, batch size and variant, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--select", default="knee")
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--out", type=output_file, required=True)
    arguments = parser.parse_args()
    set_up_cpu(1)
    folder, selection = RunFolder(arguments.run), parse_selection(arguments.select)
    subnet, description = load_network(trained_network(folder, selection, None))
    fold_batchnorm(subnet)
    pixels = choose_candidate(folder, selection).problem.splits.test.images.float() / BYTES
    rows = measure_latency(subnet, description, pixels, workload=Workload(num_batches=arguments.batches))
    write_latency_csv(arguments.out, rows)
    Console(width=140).print(latency_table(rows))


if __name__ == "__main__":
    main()
