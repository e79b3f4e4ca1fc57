"""The CSV files of a run folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from aebnas_bo.analysis.front_correction import CorrectedPoint, Place
from aebnas_bo.analysis.hypervolume import hypervolume_curve
from aebnas_bo.analysis.pareto import pareto_front
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Trial, completed_settings
from aebnas_bo.storage.atomic_files import replacing


def write_tables(
    folder: Path,
    trials: Sequence[Trial],
    objectives: Sequence[Objective],
    *,
    parameter_names: Sequence[str],
    detail_names: Sequence[str],
    corrected: Mapping[Place, CorrectedPoint] | None = None,
) -> None:
    """Write `trials.csv`, `settings.csv` (further settings included), `pareto_front.csv` and `hypervolume.csv`.

    Args:
        folder: Where to.
        trials: All trials in order.
        objectives: The metrics, in the order of their columns.
        parameter_names: Columns of parameters.
        detail_names: Columns of further figures such as exit rates.
        corrected: Points of the front corrected for selection; two more columns of `pareto_front.csv`.
    """
    header = ["trial", "key", "status", "reason"]
    for objective in objectives:
        header += [objective.name, f"{objective.name}_sem"]
    header += [*detail_names, *parameter_names, "generation_s", "evaluation_s"]

    def row(trial: Trial) -> list[object]:
        cells: list[object] = [trial.number, trial.key, trial.status, " ".join(trial.reason.split())]
        for objective in objectives:
            cells += [trial.metrics.get(objective.name), trial.sems.get(objective.name)]
        cells += [trial.details.get(name) for name in detail_names]
        cells += [trial.parameters.get(name) for name in parameter_names]
        return [*cells, trial.generation_s, trial.evaluation_s]

    def row_of_setting(trial: Trial) -> list[object]:
        number, *cells = row(trial)
        return [number, trial.setting, *cells]

    header_of_settings = [header[0], "setting", *header[1:]]
    write_csv(folder / "trials.csv", header, map(row, trials))
    write_csv(folder / "settings.csv", header_of_settings, map(row_of_setting, completed_settings(trials)))
    front = pareto_front(trials, objectives)
    known = corrected or {}
    more = [
        [one.accuracy, one.average_macs] if (one := known.get((trial.number, trial.setting))) is not None else ["", ""]
        for trial in front
    ]
    write_csv(
        folder / "pareto_front.csv",
        [*header_of_settings, "accuracy_corrected", "average_macs_corrected"],
        [[*row_of_setting(trial), *cells] for trial, cells in zip(front, more, strict=True)],
    )
    plain, whole = (hypervolume_curve(trials, objectives, has_settings) for has_settings in (False, True))
    curve = [(number, value, with_all) for (number, value), (_, with_all) in zip(plain, whole, strict=True)]
    write_csv(folder / "hypervolume.csv", ["trial", "hypervolume", "hypervolume_with_settings"], curve)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file whole or not at all; floats keep all their digits, missing values stay empty."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
