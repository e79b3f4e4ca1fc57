"""Estimator that reads metrics from a CSV table; it involves no network."""

from __future__ import annotations

import csv
import io
import math
import re
from pathlib import Path
from typing import Self

from aebnas_bo.errors import DataError, SearchSpaceError
from aebnas_bo.estimation.estimate import Estimate, Measurement
from aebnas_bo.space.search_space import ChoiceParameter, ParameterValue, Point, SearchSpace
from aebnas_bo.storage.regular_files import read_regular

MOST_BYTES = 1 << 30


class TabularEstimator:
    """Estimator that looks up points in a table; a combination that is not listed raises an error (a failed trial).

    Args:
        search_space: Search space of choices only.
        rows: Metrics by the values of the choices, in the order of the space.
    """

    def __init__(self, search_space: SearchSpace, rows: dict[tuple[ParameterValue, ...], dict[str, float]]) -> None:
        self.search_space = search_space
        self.rows = rows

    @classmethod
    def from_csv(cls, path: Path, metrics: tuple[str, ...]) -> Self:
        """Read a table whose columns are metrics and choices.

        Numeric columns become ordered choices, all others unordered ones.

        Args:
            path: CSV file with a header.
            metrics: Names of the metric columns; every other column is a choice.

        Raises:
            DataError: If the file cannot be read, a column has no name or a repeated name, a metric column is missing
                or not a number, a row has too few or too many cells, or a combination is repeated.
        """
        columns, lines = _read(path)
        missing = [metric for metric in metrics if metric not in columns]
        if missing or len(columns) == len(metrics):
            hint = "; separate cells by commas" if len(columns) == 1 and re.search("[;\\t|]", columns[0]) else ""
            raise DataError(f"{path}: expected columns {list(metrics)} and at least one choice, got {columns}{hint}")
        records = [dict(zip(columns, cells, strict=True)) for _, cells in lines]
        choices = [column for column in columns if column not in metrics]
        typed = {column: _typed([record[column] for record in records], column, path) for column in choices}
        rows: dict[tuple[ParameterValue, ...], dict[str, float]] = {}
        for position, (number, _) in enumerate(lines):
            record, combination = records[position], tuple(typed[column][position] for column in choices)
            if combination in rows:
                raise DataError(f"{path}: line {number} repeats the combination {combination}")
            rows[combination] = {
                metric: _number(record[metric], metric, number=number, path=path) for metric in metrics
            }
        parameters = tuple(_choice(column, typed[column], path) for column in choices)
        return cls(SearchSpace(parameters), rows)

    def estimate(self, point: Point) -> Estimate:
        """Return the listed metrics of a point, without noise.

        Raises:
            SearchSpaceError: If the point is not in the space, or the table has no row for it.
        """
        canonical = self.search_space.canonical(point)
        row = self.rows.get(tuple(canonical.values()))
        if row is None:
            raise SearchSpaceError(f"the table has no row for {canonical}")
        metrics = {name: Measurement(value) for name, value in row.items()}
        return Estimate(key=self.search_space.key(canonical), metrics=metrics)


def _read(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and the non-empty lines after it, each with its line number."""
    try:
        text = read_regular(path, MOST_BYTES).decode("utf-8-sig")  # spreadsheets write a byte-order mark
        reader = csv.reader(io.StringIO(text, newline=""))
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV text ({error})") from error
    columns = lines.pop(0)[1] if lines else []
    for number, name in enumerate(columns, start=1):
        if not name:
            raise DataError(f"{path}: column {number} has no name; name it, or remove it (pandas: to_csv(index=False))")
        if columns.index(name) != number - 1:
            raise DataError(f"{path}: column {name} appears twice; use distinct names")
    for number, cells in lines:
        if len(cells) != len(columns):
            raise DataError(f"{path}: line {number} has {len(cells)} cells, the header has {len(columns)}")
    if columns and not lines:
        raise DataError(f"{path}: has a header but no rows")
    return columns, lines


def _typed(texts: list[str], column: str, path: Path) -> list[int] | list[float] | list[str]:
    if not all(texts):
        raise DataError(f"{path}: column {column} has an empty cell")
    for kind in (int, float):
        try:
            numbers = [kind(text) for text in texts]
        except ValueError:
            continue
        if all(math.isfinite(number) for number in numbers):
            return numbers
    return texts


def _number(text: str, metric: str, *, number: int, path: Path) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{path}: line {number}: {metric} must be a finite number, got {text!r}")
    return value


def _choice(column: str, values: list[int] | list[float] | list[str], path: Path) -> ChoiceParameter:
    distinct: list[ParameterValue] = sorted(set(values))
    if len(distinct) < 2:
        raise DataError(f"{path}: column {column} has the single value {distinct[0]!r}; remove the column")
    return ChoiceParameter(column, tuple(distinct), is_ordered=not isinstance(distinct[0], str), group=column)
