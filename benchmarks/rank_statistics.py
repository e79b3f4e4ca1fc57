"""Statistics of finished rank correlation studies, recomputed from their rows.

    python -m benchmarks.rank_statistics FOLDER...

Reads `fidelity.csv`, prints tables and verdict, and rewrites `fidelity.json` and `fidelity.png`. Needs neither images
nor networks.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console

from aebnas_bo.experiments.rank_correlation.agreement import agreements
from aebnas_bo.experiments.rank_correlation.correlation_tables import (
    correlation_table,
    plot_fidelity,
    read_rows,
    tau_table,
    write_agreements,
)
from aebnas_bo.experiments.rank_correlation.settings import FidelityConfig
from aebnas_bo.experiments.rank_correlation.statistics import Agreement
from aebnas_bo.experiments.rank_correlation.verdict import verdict
from aebnas_bo.seeding import numpy_generator


def compute_again(folder: Path, config: FidelityConfig) -> list[Agreement]:
    """Compute the statistics of a study from its rows, and write them with the figure.

    Args:
        folder: Folder with `fidelity.csv` and `fidelity.json`.
        config: Sizes of short lists and number of resamples.
    """
    comparisons, quantities = read_rows(folder / "fidelity.csv")
    facts = json.loads((folder / "fidelity.json").read_text(encoding="utf-8"))
    found = agreements(
        comparisons, quantities, config=config, generator=numpy_generator(facts["seed"], "fidelity", "bootstrap")
    )
    kept = {name: value for name, value in facts.items() if name not in {"verdict", "agreements"}}
    write_agreements(folder / "fidelity.json", found, kept)
    plot_fidelity(folder / "fidelity.png", comparisons, found)
    return found


def main() -> None:
    """Compute and print the statistics of every folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=Path, nargs="+", help="folders of studies")
    arguments = parser.parse_args()
    console = Console()
    for folder in arguments.studies:
        found = compute_again(folder, FidelityConfig())
        console.rule(str(folder))
        console.print(tau_table(found))
        console.print(f"\n{verdict(found)}\n", highlight=False)
        console.print(correlation_table(found))


if __name__ == "__main__":
    main()
