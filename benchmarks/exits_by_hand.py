r"""Searched exits on a given backbone against exits that a user would attach by hand, at equal average MACs.

    python -m benchmarks.exits_by_hand configs/backbones/cifar10.yaml --shares 0.3 0.45 0.6 --seeds 0 1 2 \
        --out runs/by-hand

By hand there are linear exits after every block, trained together by the recipe of the study (`final_training`), for as
many epochs as the branches of the search and of a final training together. Thresholds are tuned on the validation
images for each budget, as those of the searched networks are:

* `half depth`: the exit nearest to half of the MACs,
* `every block`: all exits, with the confidence of the study,
* `every block, softmax`: all exits, with the largest softmax probability as confidence.

`searched` is the network that a search with the same seed selects for the budget, trained by the same recipe. Budgets
are shares of the backbone's MACs; one more goal is the cheapest network within a point of the original accuracy. The
seed is that of search and trainings; `rows.csv` in the folder has the results on the test images. Rows that are there
are not computed again, and searches and trainings continue where they were interrupted. The table shows mean paired
differences to the searched networks over seeds and budgets, with their standard errors.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from aebnas_bo.analysis.selection import Selection
from aebnas_bo.config.loading import load_config
from aebnas_bo.config.schema import Config
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.data.splits import Splits
from aebnas_bo.deploy.given_training import train_given
from aebnas_bo.deploy.network_figures import network_outcome
from aebnas_bo.deploy.operating_points import tuned_with_margins
from aebnas_bo.deploy.training_pipeline import choose_candidate, train_candidate
from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.early_exit.settings import ConfidenceName
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.estimation.measuring import exit_table, output_logits
from aebnas_bo.preparation.backbone_loading import completed_space
from aebnas_bo.preparation.consoles import PlainConsole
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.preparation.supernet_preparation import training_data
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.declaration import NetworkSpaceDeclaration
from aebnas_bo.space.given_backbone import BackbonePoint, GivenBackbone
from aebnas_bo.space.macs import ExitCosts, exit_costs, millions
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.study.running import run_study
from aebnas_bo.training.training_loop import Recorder
from benchmarks.records import appending_rows, read_rows

POINTS_KEPT = 1.0  # points of accuracy below the original network
SEARCHED = "searched"
HALF, EVERY, SOFTMAX = "half depth", "every block", "every block, softmax"
IDENTITY = ("method", "seed", "goal")
FIGURES = ("accuracy", "average_macs", "validation_accuracy", "exits")


@dataclass(frozen=True)
class Goal:
    """Goal of a comparison.

    Args:
        share: Budget as a share of the backbone's MACs; `None` for an accuracy within `POINTS_KEPT` of the original.
    """

    share: float | None

    def __str__(self) -> str:
        return f"{POINTS_KEPT:g} point less" if self.share is None else f"{self.share:g}"

    def tuning(self, given: GivenBackbone, original: float) -> TuningGoal:
        """Return the goal of threshold tuning, with the validation accuracy of the original network in percent."""
        if self.share is None:
            return TuningGoal("min_accuracy", original - POINTS_KEPT)
        return TuningGoal("max_macs", self.share * given.macs)


@dataclass(frozen=True)
class Logits:
    """Logits of a network with linear exits after every block.

    Args:
        architecture: The network.
        validation: Logits of every output on the validation images.
        test: Logits of every output on the test images.
    """

    architecture: Architecture
    validation: list[Tensor]
    test: list[Tensor]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.3, 0.45, 0.6])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", choices=("hand", "searched"), default=None)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    goals = [*map(Goal, given.shares), Goal(None)]
    given.out.mkdir(parents=True, exist_ok=True)
    splits = load_splits(load_config(given.config, given.settings).data)
    rows = given.out / "rows.csv"
    with appending_rows(rows, [*IDENTITY, *FIGURES]) as append:
        for seed in given.seeds:
            config = load_config(given.config, [*given.settings, f"seed={seed}"])
            known = {tuple(row[name] for name in IDENTITY) for row in read_rows(rows)}
            work = []
            if given.only != SEARCHED:
                work.append((by_hand(config, splits, goals, out=given.out), (HALF, EVERY, SOFTMAX)))
            if given.only != "hand":
                work.append((searched(config, splits, goals, out=given.out), (SEARCHED,)))
            for results, methods in work:
                if {(method, str(seed), str(goal)) for method in methods for goal in goals} <= known:
                    continue
                for method, goal, figures in results:
                    if (method, str(seed), str(goal)) not in known:
                        append([method, seed, goal, *figures])
    sys.stdout.write(table(read_rows(rows)))


def by_hand(
    config: Config, splits: Splits, goals: Sequence[Goal], *, out: Path
) -> Iterator[tuple[str, Goal, Sequence[object]]]:
    """Yield method, goal and figures of linear exits, trained on the first call for a seed."""
    problem = hand_problem(config, splits)
    final = problem.for_final_training
    logits = linear_exits(final, out / f"hand-seed{config.seed}.pt")
    half = half_depth(problem.space.skeleton.given, logits.architecture)
    for method in (HALF, EVERY, SOFTMAX):
        confidence = "max_softmax" if method == SOFTMAX else config.estimation.confidence
        exits = [half] if method == HALF else list(logits.architecture.active_exits)
        for goal in goals:
            yield method, goal, figures_by_hand(final, logits, goal, exits=exits, confidence=confidence)


def hand_problem(config: Config, splits: Splits) -> Problem:
    """Return the problem whose space has a linear exit at every point of the backbone."""
    declared = completed_space(
        config.space, in_channels=splits.in_channels, num_classes=splits.num_classes, image_size=splits.image_size
    )
    assert declared.backbone is not None
    assert declared.backbone.found is not None
    tree = declared.model_dump(mode="json")
    tree["exits"] = [
        {"after_stage": number + 1, "depths": [1], "layers": [], "poolings": _pooling(point)}
        for number, point in enumerate(declared.backbone.found.points)
    ]
    space = NetworkSpaceDeclaration.model_validate_json(json.dumps(tree))
    return Problem.of(config.model_copy(update={"space": space}), splits)


def half_depth(given: GivenBackbone | None, architecture: Architecture) -> int:
    """Return the position of the exit nearest to half of the backbone's MACs."""
    assert given is not None
    return min(architecture.active_exits, key=lambda number: abs(given.points[number].macs - given.macs / 2))


def linear_exits(problem: Problem, path: Path) -> Logits:
    """Train linear exits at every point, or read their logits."""
    space, splits = problem.space, problem.splits
    architecture = space.architecture(space.search_space.canonical(_only_point(problem)))
    if path.exists():
        stored = torch.load(path, weights_only=True)
        return Logits(architecture, stored["validation"], stored["test"])
    config = problem.config
    recipe = config.final_training.model_copy(update={"epochs": config.supernet.epochs + config.final_training.epochs})
    sys.stderr.write(f"seed {problem.config.seed}: linear exits for {recipe.epochs} epochs\n")
    recorder = Recorder(checkpoint=path.with_suffix(".checkpoint"), fingerprint=f"hand {problem.config.seed}")
    subnet = train_given(problem, architecture, training_data(problem, recipe), config=recipe, recorder=recorder)

    @torch.no_grad()
    def logits(images: Tensor) -> list[Tensor]:
        batch_size = problem.config.estimation.batch_size
        return output_logits(subnet, splits.normalized_batches(images, batch_size, device=problem.device))

    found = Logits(architecture, logits(splits.validation.images), logits(splits.test.images))
    torch.save({"validation": found.validation, "test": found.test}, path)
    path.with_suffix(".checkpoint").unlink(missing_ok=True)
    return found


def figures_by_hand(
    problem: Problem, logits: Logits, goal: Goal, *, exits: Sequence[int], confidence: ConfidenceName
) -> Sequence[object]:
    """Tune the thresholds of some of the linear exits, and return the figures of a row.

    Args:
        problem: The images and the space.
        logits: Logits of all exits.
        goal: Goal of tuning.
        exits: Positions of the exits to use.
        confidence: Confidence measure.
    """
    skeleton, splits = problem.space.skeleton, problem.splits
    kept = replace(
        logits.architecture,
        exits=tuple(branch if n in exits else None for n, branch in enumerate(logits.architecture.exits)),
    )
    costs: ExitCosts = exit_costs(kept, skeleton)
    config = problem.config.estimation.model_copy(update={"confidence": confidence})
    rows = [*exits, -1]

    def measured(outputs: list[Tensor], labels: Tensor) -> ExitTable:
        return exit_table([outputs[row] for row in rows], labels, macs=costs.cumulative, key="hand", config=config)

    validation = measured(logits.validation, splits.validation.labels)
    test = measured(logits.test, splits.test.labels)
    original = 100.0 * float(validation.is_correct[-1].double().mean())
    assert skeleton.given is not None
    thresholds = tuned_with_margins(validation, costs, goal.tuning(skeleton.given, original))
    found, on_validation = (network_outcome(one, costs, thresholds) for one in (test, validation))
    in_use = len(found.used.rows) - 1
    return [round(found.outcome.accuracy, 3), round(found.average_macs, 5), on_validation.outcome.accuracy, in_use]


def searched(
    config: Config, splits: Splits, goals: Sequence[Goal], *, out: Path
) -> Iterator[tuple[str, Goal, Sequence[object]]]:
    """Yield method, goal and figures of the networks that a search selects, after the search and their trainings."""
    folder = RunFolder(out / f"search-seed{config.seed}")
    progress = RunProgress(PlainConsole(stderr=True), quiet=False)
    problem = Problem.of(config, splits)
    run_study(problem, folder, progress, resume=True)
    given = problem.space.skeleton.given
    assert given is not None
    for goal in goals:
        candidate = choose_candidate(folder, _selection(goal, given, folder, problem), splits=splits)
        described = train_candidate(candidate, config.seed, is_again=False, progress=progress)
        test, validation = described.test, described.validation
        yield SEARCHED, goal, [test.accuracy, test.average_macs, validation.accuracy, len(described.outputs) - 1]


def _selection(goal: Goal, given: GivenBackbone, folder: RunFolder, problem: Problem) -> Selection:
    if goal.share is not None:
        return Selection("macs", millions(goal.share * given.macs))
    original = choose_candidate(
        folder, Selection("key", key=problem.space.largest_without_exits.key), splits=problem.splits
    )
    return Selection("accuracy", original.observed.metrics["accuracy"] - POINTS_KEPT)


def _only_point(problem: Problem) -> dict[str, int | float | str]:
    """Return the point of a space with one network, thresholds aside."""
    return {
        one.name: getattr(one, "values", (0.5,))[0] for one in problem.space.search_space.parameters
    }  # fmt: skip


def _pooling(point: BackbonePoint) -> list[str]:
    if not point.poolings:
        return []
    return ["class_token" if "class_token" in point.poolings else "mean"]


def table(rows: Sequence[dict[str, str]]) -> str:
    """Return a text with the mean results of every method and the differences to the searched networks."""
    own = {(row["seed"], row["goal"]): row for row in rows if row["method"] == SEARCHED}
    methods, goals = (list(dict.fromkeys(row[name] for row in rows)) for name in ("method", "goal"))
    lines = ["mean accuracy in percent / average MACs in millions on the test images"]
    for method in methods:
        cells = []
        for goal in goals:
            found = [row for row in rows if (row["method"], row["goal"]) == (method, goal)]
            if found:
                accuracy, macs = (statistics.mean(float(row[name]) for row in found) for name in FIGURES[:2])
                cells.append(f"{goal}: {accuracy:.2f} / {macs:.3f}")
        lines.append(f"{method:22}  {'   '.join(cells)}")
    budgets = [goal for goal in goals if goal != str(Goal(None))]
    for method in methods:
        pairs = [
            (row, own[row["seed"], row["goal"]])
            for row in rows
            if row["method"] == method != SEARCHED and (row["seed"], row["goal"]) in own
        ]
        gains = [float(b["accuracy"]) - float(a["accuracy"]) for a, b in pairs if a["goal"] in budgets]
        saved = [
            100.0 * (1.0 - float(b["average_macs"]) / float(a["average_macs"]))
            for a, b in pairs
            if a["goal"] not in budgets
        ]
        if gains:
            lines.append(f"searched against {method}: {_mean(gains)} points at equal budgets")
        if saved:
            lines.append(f"searched against {method}: {_mean(saved)} % fewer MACs at {Goal(None)}")
    return "\n".join(lines) + "\n"


def _mean(values: Sequence[float]) -> str:
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{statistics.mean(values):+.2f} ± {error:.2f} ({len(values)} pairs)"


if __name__ == "__main__":
    main()
