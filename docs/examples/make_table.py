"""Estimate every network of a small grid with the digits supernet, and write the table searched in docs/python.md.

python docs/examples/make_table.py docs/examples/digits_table.csv
"""

import itertools
import sys
from pathlib import Path

from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.config.loading import load_config
from aebnas_bo.study.running import prepare_study

CHOICES = {
    "resolution": (6, 8),
    "stage1_width": (8, 12),
    "stage2_width": (12, 16, 24),
    "stage3_width": (16, 24, 32),
    "stage2_depth": (1, 2),
    "stage3_depth": (1, 2),
    "exit1_depth": (0, 1),
}


def main(path: Path) -> None:
    """Write one row per combination of the choices; other parameters have their smallest value, thresholds 0.5."""
    study = prepare_study(load_config(None))
    rest = {p.name: getattr(p, "values", (0.5,))[0] for p in study.space.search_space.parameters}
    rows = []
    for values in itertools.product(*CHOICES.values()):
        raw = study.estimator.estimate({**rest, **dict(zip(CHOICES, values, strict=True))}).raw_data
        rows.append([*values, raw["accuracy"][0], raw["average_macs"][0]])
    write_csv(path, [*CHOICES, "accuracy", "average_macs"], rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
