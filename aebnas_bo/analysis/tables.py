"""CSV files of a run folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from aebnas_bo.analysis.exit_columns import exit_figures
from aebnas_bo.analysis.front_correction import CorrectedPoint
from aebnas_bo.analysis.hypervolume import hypervolume_curve
from aebnas_bo.analysis.pareto import pareto_front
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Observation, Place, Trial, observations
from aebnas_bo.storage.atomic_files import write_text


def write_tables(
    folder: Path,
    trials: Sequence[Trial],
    objectives: Sequence[Objective],
    *,
    parameter_names: Sequence[str],
    exit_names: Sequence[str],
    corrected: Mapping[Place, CorrectedPoint] | None = None,
) -> None:
    """Write `trials.csv`, `settings.csv` (all operating points), `pareto_front.csv` and `hypervolume.csv`.

    Args:
        folder: Output folder.
        trials: All trials in order.
        objectives: The metrics, in the order of their columns.
        parameter_names: Columns of parameters.
        exit_names: Columns of exit rates, thresholds and calibrations, see `exit_columns`.
        corrected: Points of the front corrected for selection, for two more columns of `pareto_front.csv`.
    """
    header = ["trial", "key", "status", "reason"]
    for objective in objectives:
        header += [objective.name, f"{objective.name}_sem"]
    header += [*exit_names, *parameter_names, "generation_s", "evaluation_s"]

    def row(trial: Trial, index: int = 0) -> list[object]:
        found = Observation(trial, index) if trial.points else trial
        exits = exit_figures(found) if isinstance(found, Observation) else {}
        cells: list[object] = [trial.number, trial.key, trial.status, " ".join(trial.reason.split())]
        for objective in objectives:
            cells += [found.metrics.get(objective.name), found.sems.get(objective.name)]
        cells += [exits.get(name) for name in exit_names]
        cells += [found.parameters.get(name) for name in parameter_names]
        return [*cells, trial.generation_s, trial.evaluation_s]

    def row_of_setting(observed: Observation) -> list[object]:
        number, *cells = row(observed.trial, observed.index)
        return [number, observed.index, *cells]

    header_of_settings = [header[0], "setting", *header[1:]]
    write_csv(folder / "trials.csv", header, map(row, trials))
    write_csv(folder / "settings.csv", header_of_settings, map(row_of_setting, observations(trials)))
    front = pareto_front(trials, objectives)
    known = corrected or {}
    more = [
        [one.accuracy, one.average_macs] if (one := known.get(observed.place)) is not None else ["", ""]
        for observed in front
    ]
    write_csv(
        folder / "pareto_front.csv",
        [*header_of_settings, "accuracy_corrected", "average_macs_corrected"],
        [[*row_of_setting(observed), *cells] for observed, cells in zip(front, more, strict=True)],
    )
    plain, whole = (hypervolume_curve(trials, objectives, has_settings) for has_settings in (False, True))
    curve = [(number, value, with_all) for (number, value), (_, with_all) in zip(plain, whole, strict=True)]
    write_csv(folder / "hypervolume.csv", ["trial", "hypervolume", "hypervolume_with_settings"], curve)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file atomically; floats keep all digits, missing values are empty."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, buffer.getvalue())
