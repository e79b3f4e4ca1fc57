"""Effect of the parts of the final recipe: supernet weights, distillation, moving average of weights.

    python -m benchmarks.final_recipe RUN --select knee best-accuracy --seeds 100 101 102 --out FILE

RUN is the folder of a search. Each selected network is trained with each variant and seed as by `aebnas-bo train`, with
equally tuned thresholds, in a temporary copy of the needed files of RUN. Rows that are in the file are not run again.
The table shows the mean difference to the default recipe over pairs of network and seed, with its standard error.
Recipes are chosen by validation accuracy; test accuracy is only reported.
"""

from __future__ import annotations

import argparse
import math
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from rich.console import Console

from aebnas_bo.analysis.selection import Selection, parse_selection
from aebnas_bo.config.loading import dump_config
from aebnas_bo.deploy.training_pipeline import Candidate, choose_candidate, train_candidate
from aebnas_bo.errors import UsageError
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.space.architecture import content_key
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.version import FINAL_VERSION
from aebnas_bo.training.settings import FinalTrainingConfig, TeacherConfig, TeacherSource
from benchmarks.records import appending_rows, output_file, read_rows

EMA_DECAYS = (0.99, 0.999)
IDENTITY = ["select", "key", "variant", "seed", "epochs", "settings"]
FIGURES = ["validation_accuracy", "validation_average_macs", "test_accuracy", "test_average_macs", "seconds"]

Row = dict[str, str]
Start = Literal["supernet", "scratch"]


@dataclass(frozen=True)
class Variant:
    """Compared settings of the final recipe; all others are those of the run."""

    start: Start
    teacher: TeacherSource | None
    ema_decay: float

    @property
    def settings(self) -> dict[str, object]:
        """Its settings in `final_training`."""
        teacher = None if self.teacher is None else TeacherConfig(source=self.teacher)
        return {"start": self.start, "teacher": teacher, "ema_decay": self.ema_decay}

    def __str__(self) -> str:
        average = f" + average {self.ema_decay:g}" if self.ema_decay else ""
        taught = "" if self.teacher is None else f" + teacher {self.teacher}"
        return self.start + taught + average


@dataclass(frozen=True)
class Job:
    """One training and the columns that identify its row."""

    candidate: Candidate
    seed: int
    identity: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """Difference of a variant to the default recipe, over pairs of network and seed.

    Args:
        mean: Mean difference.
        error: Standard error for independent pairs; NaN for a single pair.
        num_pairs: Number of pairs.
    """

    mean: float
    error: float
    num_pairs: int


RECIPE = FinalTrainingConfig()
STARTS: tuple[Start, ...] = get_args(Start)
DEFAULT = Variant(RECIPE.start, RECIPE.teacher_source, RECIPE.ema_decay)


def main() -> None:
    """Run the missing trainings, then print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--select", type=parse_selection, nargs="+", default=[Selection("knee")])
    parser.add_argument("--seeds", type=int, nargs="+", default=[100])
    parser.add_argument("--epochs", type=int, help="replaces the run's final_training.epochs")
    parser.add_argument("--ema-decays", type=float, nargs="*", default=EMA_DECAYS, help="decays per step")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="as for `aebnas-bo train`")
    parser.add_argument("--out", type=output_file, required=True)
    arguments = parser.parse_args()
    settings = list(arguments.settings)
    if arguments.epochs is not None:
        settings.append(f"final_training.epochs={arguments.epochs}")
    with tempfile.TemporaryDirectory() as scratch, RunProgress(Console(stderr=True), quiet=False) as progress:
        folder = copy_of_run(RunFolder(arguments.run), Path(scratch))
        candidates = choose_networks(folder, arguments.select, settings)
        planned = list(jobs(candidates, variants(arguments.ema_decays), arguments.seeds))
        run_missing(planned, arguments.out, progress)
    wanted = {job.identity for job in planned}
    sys.stdout.write(table([row for row in read_rows(arguments.out) if _identity(row) in wanted]))


def variants(ema_decays: Sequence[float]) -> list[Variant]:
    """Return the default recipe, every start with and without every teacher, and moving averages of weights.

    Args:
        ema_decays: Decays per step of the averages, each combined with the default recipe.
    """
    teachers: tuple[TeacherSource | None, ...] = (None, "supernet", "network")
    plain = [Variant(start, teacher, 0.0) for start in STARTS for teacher in teachers]
    return list(dict.fromkeys([DEFAULT, *plain, *(replace(DEFAULT, ema_decay=decay) for decay in ema_decays)]))


def copy_of_run(run: RunFolder, target: Path) -> RunFolder:
    """Copy the files of a run that training needs.

    Args:
        run: Folder of a search.
        target: An existing folder.

    Raises:
        UsageError: If the folder contains no search.
    """
    if not run.holds_study:
        raise UsageError(f"{run.path}: holds no study; give the folder that `aebnas-bo run` wrote")
    for file in (*run.path.glob(f"{run.study.name}*"), run.supernet):  # SQLite may have a log next to the study
        if file.exists():
            shutil.copy2(file, target)
    return RunFolder(target)


def choose_networks(
    folder: RunFolder, selections: Sequence[Selection], settings: Sequence[str]
) -> dict[str, Candidate]:
    """Return the networks to train, by selection.

    Args:
        folder: The run folder.
        selections: Selections of networks.
        settings: `section.key=value` strings, as for `choose_candidate`.

    Raises:
        UsageError: If two selections give the same network, whose pairs would count twice.
        AebnasError: See `choose_candidate`.
    """
    found: dict[str, Candidate] = {}
    for selection in selections:
        candidate = choose_candidate(folder, selection, settings)
        for name, other in found.items():
            if other.observed.key == candidate.observed.key:
                key = candidate.observed.key
                raise UsageError(f"--select {name} and {selection} mean the same network, {key}; drop one")
        found[str(selection)] = candidate
    return found


def jobs(candidates: dict[str, Candidate], compared: Sequence[Variant], seeds: Sequence[int]) -> Iterator[Job]:
    """Yield all trainings, seed by seed, so that the results of an interrupted call can be compared.

    Args:
        candidates: Networks by selection.
        compared: Variants of the recipe.
        seeds: Seeds of training.

    Raises:
        ValueError: If the decay of a variant is invalid.
    """
    for seed in seeds:
        for select, chosen in candidates.items():
            for variant in compared:
                own = chosen.problem.config.final_training.model_dump()
                recipe = FinalTrainingConfig.model_validate({**own, **variant.settings})
                config = chosen.problem.config.model_copy(update={"final_training": recipe})
                candidate = replace(chosen, problem=chosen.problem.with_config(config))
                settings = content_key(
                    [
                        FINAL_VERSION,
                        dump_config(config),
                        chosen.problem.splits.data_hash,
                        chosen.goal.value,
                    ]
                )
                key, epochs = candidate.observed.key, str(recipe.epochs)
                yield Job(candidate, seed, (select, key, str(variant), str(seed), epochs, settings))


def run_missing(planned: Sequence[Job], out: Path, progress: RunProgress) -> None:
    """Run the trainings that are not in the file, and append their rows.

    Args:
        planned: All trainings.
        out: The CSV file.
        progress: Shows the epochs.

    Raises:
        AebnasError: As `train_candidate`.
    """
    known = {_identity(row) for row in read_rows(out)}
    with appending_rows(out, [*IDENTITY, *FIGURES]) as append:
        for job in planned:
            if job.identity not in known:
                append([*job.identity, *(f"{value:.6g}" for value in run_job(job, progress))])


def run_job(job: Job, progress: RunProgress) -> list[float]:
    """Train a network with one variant and return its `FIGURES`.

    Args:
        job: The training.
        progress: Shows the epochs.

    Raises:
        AebnasError: As `train_candidate`.
    """
    started = time.perf_counter()
    trained = train_candidate(job.candidate, job.seed, is_again=True, progress=progress)
    seconds = time.perf_counter() - started
    validation, test = trained.validation, trained.test
    return [validation.accuracy, validation.average_macs, test.accuracy, test.average_macs, seconds]


def paired_difference(rows: Sequence[Row], variant: str, reference: str, figure: str) -> Difference | None:
    """Return the difference of a variant to a reference; `None` if they share no network and seed.

    Args:
        rows: Rows, one per variant, network and seed.
        variant: Name of the variant.
        reference: Name of the reference variant.
        figure: One of `FIGURES`.
    """
    one, other = (
        {(row["key"], row["seed"]): float(row[figure]) for row in rows if row["variant"] == name}
        for name in (variant, reference)
    )
    differences = [one[pair] - other[pair] for pair in one if pair in other]
    if not differences:
        return None
    count = len(differences)
    error = statistics.stdev(differences) / math.sqrt(count) if count > 1 else math.nan
    return Difference(statistics.mean(differences), error, count)


def table(rows: Sequence[Row], reference: str = str(DEFAULT)) -> str:
    """Return means per variant and paired differences to a reference as a Markdown table.

    Args:
        rows: Rows, one per variant, network and seed.
        reference: Name of the reference variant.
    """
    columns = ["variant", "trainings", *(figure.replace("_", " ") for figure in FIGURES)]
    lines = [f"| {' | '.join([*columns, 'validation difference', 'test difference'])} |", "|---" * 9 + "|"]
    for variant in dict.fromkeys(row["variant"] for row in rows):
        its = [row for row in rows if row["variant"] == variant]
        means = (f"{statistics.mean(float(row[figure]) for row in its):.4g}" for figure in FIGURES)
        differences = (
            difference_text(paired_difference(rows, variant, reference, figure)) if variant != reference else "–"
            for figure in ("validation_accuracy", "test_accuracy")
        )
        lines.append(f"| {' | '.join([variant, str(len(its)), *means, *differences])} |")
    return "\n".join(lines) + "\n"


def difference_text(difference: Difference | None) -> str:
    """Return a difference as text with its standard error, if there are several pairs; a dash without a difference."""
    if difference is None:
        return "–"
    error = "" if math.isnan(difference.error) else f" ± {difference.error:.2f}"
    return f"{difference.mean:+.2f}{error}"


def _identity(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in IDENTITY)


if __name__ == "__main__":
    main()
