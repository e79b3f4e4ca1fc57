"""Jobs of `benchmarks.worth`: each is one search or one training, and writes one CSV file at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.config.schema import Config
from aebnas_bo.errors import UsageError
from aebnas_bo.preparation.fingerprints import recipe_identity
from aebnas_bo.space.architecture import content_key
from aebnas_bo.storage.version import FINAL_VERSION
from benchmarks.records import read_rows

Part = Literal["ours", "plain", "exit", "reference"]


@dataclass(frozen=True)
class Job:
    """One search or one training.

    Args:
        config: File with the settings of the images.
        folder: Output folder.
        minutes: Time budget of a part per seed.
        part: `ours` (the command), `plain` networks, `exit` (the same with one exit) or `reference` (plain networks
            trained by another schedule).
        seed: Random seed.
        width: Channels of the plain network's stem; 0 for the command.
        num_networks: Networks that share the time budget equally: one for the command, else one for each width.
        max_macs: Limit of average MACs in millions for the command: the highest budget.
    """

    config: Path
    folder: Path
    minutes: float
    part: Part
    seed: int
    width: int = 0
    num_networks: int = 1
    max_macs: float | None = None

    @property
    def name(self) -> str:
        """Name of the files of the job."""
        return "-".join([self.part, *([f"w{self.width}"] if self.width else []), f"seed{self.seed}"])

    @property
    def rows(self) -> Path:
        """Output file of the job."""
        return self.folder / "parts" / f"{self.name}.csv"

    @property
    def seconds(self) -> float:
        """Time of the job in seconds."""
        return 60.0 * self.minutes / self.num_networks


@dataclass(frozen=True)
class Point:
    """Network at given thresholds.

    Args:
        network: Key of the network and seed of its training, or `w` and the width of a plain network.
        epochs: Number of epochs; `None` for the command, whose run folder contains it.
        validation_macs: Average MACs in millions on the validation images; `None` if the network was trained on them.
        validation_accuracy: Validation accuracy in percent; `None` if the network was trained on these images.
        test_macs: Average MACs in millions on the test images.
        test_accuracy: Test accuracy in percent.
    """

    network: str
    epochs: float | None
    validation_macs: float | None
    validation_accuracy: float | None
    test_macs: float
    test_accuracy: float


@dataclass(frozen=True)
class Result:
    """Result of a job.

    Args:
        dataset: Name of the configuration.
        minutes: Time budget of the part.
        part: Part of the comparison, as in `Job`.
        seed: Random seed.
        settings: Key of the settings that the results depend on.
        wall_seconds: Wall-clock time.
        processor_seconds: Processor time.
        points: Networks at their thresholds.
    """

    dataset: str
    minutes: float
    part: str
    seed: int
    settings: str
    wall_seconds: float
    processor_seconds: float
    points: tuple[Point, ...]


COMMON = tuple(field.name for field in fields(Result))[:-1]
OF_POINT = tuple(field.name for field in fields(Point))


def settings_key(config: Config, part: str, num_networks: int) -> str:
    """Return a key of the settings that the results of a part depend on; the location of images is not one of them.

    Args:
        config: The whole configuration.
        part: Part of the comparison, as in `Job`.
        num_networks: Number of networks of a plain family, which share the time.
    """
    data = config.data.model_dump(mode="json", exclude={"root"})
    if part == "ours":
        return content_key([data, config.model_dump(mode="json", exclude={"data", "seed"})])
    recipe = recipe_identity(config.final_training, config)
    return content_key([data, recipe, FINAL_VERSION, num_networks])


def write_results(path: Path, results: Sequence[Result]) -> None:
    """Write one row per point, atomically.

    Args:
        path: CSV file to write.
        results: Results of finished jobs.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [(*astuple(result)[:-1], *astuple(point)) for result in results for point in result.points]
    write_csv(path, (*COMMON, *OF_POINT), rows)


def read_results(folder: Path, config: Config, minutes: float, *, widths: Sequence[int]) -> list[Result]:
    """Read the results of finished jobs, sorted by file name.

    Args:
        folder: Folder of all jobs.
        config: Expected configuration.
        minutes: Expected time budget.
        widths: Widths of a plain family; others are ignored.

    Raises:
        UsageError: If a job had other settings or another time budget.
    """
    results = []
    networks = {f"w{width}" for width in widths}
    for path in sorted((folder / "parts").glob("*.csv")):
        result = _read_result(path)
        expected = (minutes, settings_key(config, result.part, len(widths)))
        if (result.minutes, result.settings) != expected:
            also = f" and {folder / 'studies'}" if result.part == "ours" else ""
            raise UsageError(
                f"{path}: was made with other settings, in another time or by an earlier version; remove it{also}, or "
                "give another --out"
            )
        if result.part == "ours" or result.points[0].network in networks:
            results.append(result)
    return results


def _read_result(path: Path) -> Result:
    rows = read_rows(path)
    points = tuple(
        Point(
            network=row["network"],
            epochs=_number(row["epochs"]),
            validation_macs=_number(row["validation_macs"]),
            validation_accuracy=_number(row["validation_accuracy"]),
            test_macs=float(row["test_macs"]),
            test_accuracy=float(row["test_accuracy"]),
        )
        for row in rows
    )
    first = rows[0]
    if first["part"] not in get_args(Part):
        raise UsageError(
            f"{path}: expected one of the parts {', '.join(get_args(Part))}, got {first['part']}; remove it"
        )
    return Result(
        dataset=first["dataset"],
        minutes=float(first["minutes"]),
        part=first["part"],
        seed=int(first["seed"]),
        settings=first["settings"],
        wall_seconds=float(first["wall_seconds"]),
        processor_seconds=float(first["processor_seconds"]),
        points=points,
    )


def _number(text: str) -> float | None:
    return float(text) if text else None
