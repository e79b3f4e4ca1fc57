"""A CSV table of (choices -> metrics) as an estimator: no network in sight."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Self

from aebnas_bo.errors import DataError, SearchSpaceError
from aebnas_bo.estimation.estimate import Estimate, Measurement
from aebnas_bo.space.search_space import ChoiceParameter, ParameterValue, Point, SearchSpace


class TabularEstimator:
    """Looks every point up in a table; a combination that is not listed is an error (a failed trial).

    Args:
        search_space: Choices only.
        rows: Metrics by the values of the choices, in the space's order.
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
            DataError: If the file cannot be read, a metric column is missing or not a number, a row is incomplete,
                or a combination stands twice.
        """
        try:
            with path.open(newline="", encoding="utf-8") as file:
                records = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: cannot be read as CSV text ({error})") from error
        columns = list(records[0]) if records else []
        missing = [metric for metric in metrics if metric not in columns]
        if missing or len(columns) == len(metrics):
            raise DataError(f"{path}: needs columns {list(metrics)} and at least one choice, found {columns}")
        choices = [column for column in columns if column not in metrics]
        typed = {column: _typed([record[column] for record in records], column, path) for column in choices}
        rows: dict[tuple[ParameterValue, ...], dict[str, float]] = {}
        for number, record in enumerate(records):
            combination = tuple(typed[column][number] for column in choices)
            if combination in rows:
                raise DataError(f"{path}: line {number + 2} repeats the combination {combination}")
            rows[combination] = {
                metric: _number(record[metric], metric, number=number, path=path) for metric in metrics
            }
        parameters = tuple(_choice(column, typed[column], path) for column in choices)
        return cls(SearchSpace(parameters), rows)

    def estimate(self, point: Point) -> Estimate:
        """Return the listed metrics of a point, without noise.

        Raises:
            SearchSpaceError: If the point is not in the space or its combination not in the table.
        """
        canonical = self.search_space.canonical(point)
        row = self.rows.get(tuple(canonical.values()))
        if row is None:
            raise SearchSpaceError(f"the table has no row for {canonical}")
        metrics = {name: Measurement(value) for name, value in row.items()}
        return Estimate(key=self.search_space.key(canonical), metrics=metrics)


def _typed(texts: list[str | None], column: str, path: Path) -> list[int] | list[float] | list[str]:
    if any(text is None or not text.strip() for text in texts):
        raise DataError(f"{path}: column {column} has an empty cell")
    words = [str(text).strip() for text in texts]
    for kind in (int, float):
        try:
            numbers = [kind(word) for word in words]
        except ValueError:
            continue
        if all(math.isfinite(number) for number in numbers):
            return numbers
    return words


def _number(text: str | None, metric: str, *, number: int, path: Path) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{path}: line {number + 2}: {metric} must be a finite number, got {text!r}")
    return value


def _choice(column: str, values: list[int] | list[float] | list[str], path: Path) -> ChoiceParameter:
    distinct: list[ParameterValue] = sorted(set(values))
    if len(distinct) < 2:
        raise DataError(f"{path}: column {column} has the single value {distinct[0]!r}; leave it out")
    return ChoiceParameter(column, tuple(distinct), is_ordered=not isinstance(distinct[0], str), group=column)
