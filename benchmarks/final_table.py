"""Test results of trained networks of several searches, with a hand-made network and published results.

    python -m benchmarks.final_table RUN... --hand-made FILE --budget 2.44 --out FOLDER [--add]

RUN are folders of searches on CIFAR-10 with fully trained networks (`aebnas-bo train`); FILE is the output of
`benchmarks.hand_made`. Writes `networks.csv` (one row per network and seed), `operating_points.csv` (one row per
network, seed and budget of its thresholds), `table.md` (mean and standard deviation over seeds, both counting rules)
and `front.png`, in which a line is one network at all these budgets. `--add` keeps the networks of earlier calls in the
folder; without RUN, table and figure are drawn again from the two CSV files.

The published systems start from ImageNet weights and may use the original images; AEBNAS's result is inferred from its
stated differences to the two others. EDANAS and NACHOS do not charge earlier branches. Sources: NACHOS (arXiv
2401.13330) for EDANAS and NACHOS, AEBNAS (arXiv 2512.10671).
"""

from __future__ import annotations

import argparse
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.deploy.operating_points import OPERATING_POINTS_FILE
from aebnas_bo.deploy.training_folders import TrainedNetwork, trained_networks
from aebnas_bo.experiments.comparison.comparison_tables import method_colours
from aebnas_bo.storage.atomic_files import write_text
from aebnas_bo.storage.run_folder import RunFolder
from benchmarks.records import read_rows

# Name, average MACs in millions, whether they include earlier branches, accuracy in percent.
PUBLISHED = (
    ("EDANAS, published", 2.47, False, 67.78),
    ("NACHOS, published", 2.43, False, 72.65),
    ("AEBNAS, published", 2.44, True, 74.64),
)
HAND_MADE_COLOURS = {"hand-made, relu": "#1b2a41", "hand-made, hardswish": "#7a8794"}
POINT_FIGURES = (
    *("budget", "validation_accuracy", "validation_average_macs", "test_accuracy", "test_average_macs"),
    "test_average_macs_without_passed",
)
TICKS = (0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0)
NETWORKS_FILE = "networks.csv"
IDENTITY = ("method", "network", "seed", "epochs", "recipe")  # columns that identify a training
DPI = 160
PALENESS = 0.45  # strength of the colours of shorter trainings


@dataclass(frozen=True)
class Row:
    """One network trained with one seed.

    Args:
        method: Name of the search, or `hand-made` with its activation.
        network: Key of the architecture, or the targets that the hand-made network learned from.
        seed: Seed of the training.
        epochs: Number of epochs.
        recipe: Short hash of the recipe; empty for earlier versions and for the hand-made network.
        estimated_accuracy: Estimate of the search, in percent of the validation images; empty if there is none.
        validation_accuracy: Accuracy on the validation images in percent.
        test_accuracy: Accuracy on the test images in percent.
        average_macs: Average MACs in millions on the test images, including earlier branches.
        average_macs_without_passed: Average MACs in millions, with only the branch at which an image leaves.
        worst_case_macs: MACs in millions of an image that never leaves early.
        exit_rates: Percent of the test images that leave at each output, the final classifier last.
        points: Results at each budget, as in `operating_points.csv`.
    """

    method: str
    network: str
    seed: int
    epochs: int
    recipe: str
    estimated_accuracy: float | str
    validation_accuracy: float
    test_accuracy: float
    average_macs: float
    average_macs_without_passed: float
    worst_case_macs: float
    exit_rates: str
    points: tuple[dict[str, str], ...] = ()

    @property
    def identity(self) -> tuple[str, ...]:
        """Identifying columns of the row, as in the files."""
        return tuple(str(getattr(self, name)) for name in IDENTITY)


@dataclass(frozen=True)
class Network:
    """One network over all its seeds."""

    rows: tuple[Row, ...]

    @property
    def method(self) -> str:
        """Name of the search."""
        return self.rows[0].method

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        return self.rows[0].epochs

    def mean(self, name: str) -> float:
        """Return the mean of a figure over the seeds."""
        return statistics.mean(self._values(name))

    def text(self, name: str, digits: int) -> str:
        """Return the mean of a figure as text, with the standard deviation over several seeds; a dash for none."""
        values = self._values(name)
        if not values:
            return "–"
        spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
        return f"{statistics.mean(values):.{digits}f}{spread}"

    def operating_line(self) -> list[tuple[float, float]]:
        """Return average MACs and test accuracy at each budget, averaged over the seeds."""

        def mean(points: Sequence[dict[str, str]], name: str) -> float:
            return statistics.mean(float(point[name]) for point in points)

        budgets = zip(*(row.points for row in self.rows), strict=True)
        return [(mean(points, "test_average_macs"), mean(points, "test_accuracy")) for points in budgets]

    def _values(self, name: str) -> list[float]:
        return [float(value) for row in self.rows if (value := getattr(row, name)) != ""]


def main() -> None:
    """Collect all rows and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*", metavar="RUN")
    parser.add_argument("--hand-made", type=Path, help="rows of the hand-made network")
    parser.add_argument("--budget", type=float, required=True, help="average MACs in millions, marked in the figure")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--add", action="store_true", help="keep other networks and trainings of the folder")
    arguments = parser.parse_args()
    rows = [row for run in arguments.runs for row in searched_rows(run)]
    if not rows and (arguments.runs or not arguments.add):
        runs = ", ".join(map(str, arguments.runs)) or "no RUN"
        raise SystemExit(f"{runs}: no trained network; run `aebnas-bo train RUN` first")
    if arguments.hand_made is not None:
        rows += hand_made_rows(arguments.hand_made)
    if arguments.add:
        measured = {row.identity for row in rows} | {replace(row, recipe="").identity for row in rows}
        rows += [row for row in earlier_rows(arguments.out) if row.identity not in measured]
    rows.sort(key=lambda row: (row.method, row.network, row.epochs, row.recipe, row.seed))
    arguments.out.mkdir(parents=True, exist_ok=True)
    names = [field.name for field in fields(Row) if field.name != "points"]
    write_csv(arguments.out / NETWORKS_FILE, names, [[getattr(row, name) for name in names] for row in rows])
    points = [(row, point) for row in rows for point in row.points]
    write_csv(
        arguments.out / OPERATING_POINTS_FILE,
        [*IDENTITY, *POINT_FIGURES],
        [[*row.identity, *(point[name] for name in POINT_FIGURES)] for row, point in points],
    )
    found = by_network(rows)
    write_text(arguments.out / "table.md", table(found))
    plot(arguments.out / "front.png", found, arguments.budget)


def searched_rows(run: Path) -> list[Row]:
    """Return the trained networks of a search, named after its folder without `-seedN`."""
    name, folder = re.sub(r"-seed\d+$", "", run.resolve().name), RunFolder(run)
    return [_searched(name, trained) for trained in trained_networks(folder)]


def _searched(name: str, trained: TrainedNetwork) -> Row:
    network, test = trained.description, trained.description.test
    points = read_rows(trained.folder / OPERATING_POINTS_FILE)
    return Row(
        method=name,
        network=network.key,
        seed=network.origin.seed,
        epochs=network.origin.epochs,
        recipe=network.origin.recipe,
        estimated_accuracy="" if network.estimated_accuracy is None else round(network.estimated_accuracy, 4),
        validation_accuracy=round(network.validation.accuracy, 4),
        test_accuracy=round(test.accuracy, 4),
        average_macs=round(test.average_macs, 6),
        average_macs_without_passed=round(test.average_macs_without_passed, 6),
        worst_case_macs=round(test.worst_case_macs, 6),
        exit_rates=" / ".join(f"{100 * output.exit_rate:.0f}" for output in test.outputs),
        points=tuple(points),
    )


def hand_made_rows(path: Path) -> list[Row]:
    """Return the trainings of the hand-made network, which has no exits."""
    return [
        Row(
            method=f"hand-made, {row['activation']}",
            network="with teacher" if row["teacher"] == "yes" else "labels alone",
            seed=int(row["seed"]),
            epochs=int(row["epochs"]),
            recipe="",
            estimated_accuracy="",
            validation_accuracy=float(row["validation_accuracy"]),
            test_accuracy=float(row["test_accuracy"]),
            average_macs=float(row["macs_millions"]),
            average_macs_without_passed=float(row["macs_millions"]),
            worst_case_macs=float(row["macs_millions"]),
            exit_rates="100",
        )
        for row in read_rows(path)
    ]


def earlier_rows(folder: Path) -> list[Row]:
    """Return the rows of an earlier call from a folder, if any."""
    points: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for point in read_rows(folder / OPERATING_POINTS_FILE):
        points.setdefault(_identity(point), []).append(point)
    return [
        Row(
            method=row["method"],
            network=row["network"],
            seed=int(row["seed"]),
            epochs=int(row["epochs"]),
            recipe=row.get("recipe", ""),
            estimated_accuracy=float(row["estimated_accuracy"]) if row["estimated_accuracy"] else "",
            validation_accuracy=float(row["validation_accuracy"]),
            test_accuracy=float(row["test_accuracy"]),
            average_macs=float(row["average_macs"]),
            average_macs_without_passed=float(row["average_macs_without_passed"]),
            worst_case_macs=float(row["worst_case_macs"]),
            exit_rates=row["exit_rates"],
            points=tuple(points.get(_identity(row), ())),
        )
        for row in read_rows(folder / NETWORKS_FILE)
    ]


def _identity(row: Mapping[str, str]) -> tuple[str, ...]:
    """Return the identifying columns of a row; files of earlier versions have no recipe."""
    return tuple(row.get(name, "") for name in IDENTITY)


def by_network(rows: Sequence[Row]) -> list[Network]:
    """Return the networks with all their seeds, by increasing MACs."""
    groups: dict[tuple[str, str, int, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.method, row.network, row.epochs, row.recipe), []).append(row)
    return sorted((Network(tuple(group)) for group in groups.values()), key=lambda one: one.mean("average_macs"))


def table(networks: Sequence[Network]) -> str:
    """Return a Markdown table that ends with the published results."""
    head = (
        *("method", "network", "seeds", "epochs", "recipe", "test accuracy (%)", "average MACs (M)"),
        *("same, passed branches free (M)", "worst-case MACs (M)", "leaving at each output (%), first seed"),
        *("validation accuracy (%)", "estimated by the search (%)"),
    )
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for one in networks:
        first = one.rows[0]
        cells = (
            *(one.method, first.network, str(len(one.rows)), str(first.epochs), first.recipe or "–"),
            one.text("test_accuracy", 2),
            *(one.text("average_macs", 3), one.text("average_macs_without_passed", 3), one.text("worst_case_macs", 3)),
            *(first.exit_rates, one.text("validation_accuracy", 2)),
            f"{first.estimated_accuracy:.2f}" if first.estimated_accuracy else "–",
        )
        lines.append(f"| {' | '.join(cells)} |")
    for name, macs, is_charged, accuracy in PUBLISHED:
        costs = f"{macs:.2f} | –" if is_charged else f"– | {macs:.2f}"
        lines.append(f"| {name} | | | | | {accuracy:.2f} | {costs} |{' |' * (len(head) - 8)}")
    return "\n".join(lines) + "\n"


def plot(path: Path, networks: Sequence[Network], budget: float) -> None:
    """Draw test accuracy over average MACs; bars are one standard deviation over seeds, a line is one network.

    If trainings differ in length, the legend says so, and shorter ones are paler.

    Args:
        path: PNG file to write.
        networks: Trained networks.
        budget: Average MACs in millions that are marked.
    """
    figure = Figure(figsize=(11.0, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.axvline(budget, color="#9aa5b1", linestyle=":", zorder=0)
    axes.annotate(
        f"budget, {budget:g} M ", (budget, 0.02), xycoords=("data", "axes fraction"), color="#66717d", ha="right"
    )
    searched = [one.method for one in networks if one.method not in HAND_MADE_COLOURS]
    colours = HAND_MADE_COLOURS | method_colours(searched)
    best_first = sorted(networks, key=lambda one: -one.mean("test_accuracy"))
    longest, shortest = max(one.epochs for one in networks), min(one.epochs for one in networks)
    for method, epochs in dict.fromkeys((one.method, one.epochs) for one in best_first):
        its = [one for one in networks if (one.method, one.epochs) == (method, epochs)]
        label = method if longest == shortest else f"{method}, {epochs} epochs"
        _draw_networks(axes, its, label, colours[method] if epochs == longest else _paler(colours[method]))
    if any(one.operating_line() for one in networks):
        axes.plot([], [], color="#66717d", linewidth=1.2, label="one network at other thresholds")
    for name, macs, _, accuracy in PUBLISHED:
        axes.plot(macs, accuracy, "D", markerfacecolor="white", markeredgecolor="#66717d", markersize=7)
        axes.annotate(name, (macs, accuracy), (9, -3), textcoords="offset points", fontsize=9, color="#66717d")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("Average MACs per image (millions), passed branches charged")
    axes.set_ylabel("Accuracy on the test images (%)")
    axes.set_title("Networks trained to the end", loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(
        frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0)
    )  # outside, because lines can be anywhere inside
    figure.savefig(path, dpi=DPI)


def _paler(colour: str) -> str:
    return to_hex([1.0 - PALENESS * (1.0 - part) for part in to_rgb(colour)])


def _draw_networks(axes: Axes, its: Sequence[Network], label: str, colour: str) -> None:
    for one in its:
        line = one.operating_line()
        axes.plot(
            [macs for macs, _ in line], [accuracy for _, accuracy in line], color=colour, alpha=0.6, linewidth=1.2
        )
    spreads = [statistics.stdev(row.test_accuracy for row in one.rows) if len(one.rows) > 1 else 0.0 for one in its]
    axes.errorbar(
        [one.mean("average_macs") for one in its],
        [one.mean("test_accuracy") for one in its],
        spreads if any(spreads) else None,
        fmt="s" if its[0].method in HAND_MADE_COLOURS else "o",
        color=colour,
        capsize=3,
        markersize=6,
        linestyle="none",
        label=label,
    )


if __name__ == "__main__":
    main()
