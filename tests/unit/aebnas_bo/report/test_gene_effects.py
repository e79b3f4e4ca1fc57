import math

import numpy as np
import pytest

from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.report.gene_effects import GeneEffects, gene_effects
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Trial
from aebnas_bo.space.search_space import ChoiceParameter, Condition, ContinuousParameter, SearchSpace
from tests.made_trials import completed, with_further, with_metrics

OBJECTIVES = (Objective("accuracy", True, 10.0, "%", bounds=(0.0, 100.0)), Objective("average_macs", False, 9.0, "M"))
SPACE = SearchSpace(
    (
        ChoiceParameter("width", (8, 16)),
        ChoiceParameter("depth", (0, 1)),
        ChoiceParameter("kind", ("a", "b"), is_ordered=False, active_when=Condition("depth", (1,))),
        ContinuousParameter("threshold", active_when=Condition("depth", (1,))),
    )
)


def metrics(point) -> dict[str, float]:
    """Width is worth 4 points and doubles the costs; a branch 2 points, of kind b another 3."""
    accuracy = 50.0 + 4.0 * (point["width"] == 16)
    accuracy += 2.0 * (point["depth"] == 1) + 3.0 * (point["depth"] == 1 and point["kind"] == "b")
    return {"accuracy": accuracy, "average_macs": 2.0 if point["width"] == 16 else 1.0}


def make_trials(points) -> list[Trial]:
    sems = {"accuracy": 0.1, "average_macs": 0.0}
    return [
        completed(number, f"key{number}", SPACE.canonical(point), metrics(SPACE.canonical(point)), sems=sems)
        for number, point in enumerate(points)
    ]


def effects_of(found: GeneEffects | None, name: str, metric: int) -> dict[str, float]:
    assert found is not None
    gene = next(gene for gene in found.genes if gene.name == name)
    return {level.level: level.effects[metric].mean for level in gene.levels}


def test_effects_that_add_up_are_found() -> None:
    generator = np.random.default_rng(0)
    found = gene_effects(make_trials([SPACE.sample(generator) for _ in range(400)]), SPACE, OBJECTIVES)
    width = effects_of(found, "width", 0)
    assert width["16"] - width["8"] == pytest.approx(4.0, abs=0.1)
    kind = effects_of(found, "kind", 0)
    assert kind["b"] - kind["a"] == pytest.approx(3.0, abs=0.1)
    # what switching the branch on does stands at the depth: 2 points and half of the 3 of kind b
    depth = effects_of(found, "depth", 0)
    assert depth["1"] - depth["0"] == pytest.approx(3.5, abs=0.3)
    macs = effects_of(found, "width", 1)
    assert (1 + macs["16"] / 100) / (1 + macs["8"] / 100) == pytest.approx(2.0, rel=0.02)
    assert found is not None
    assert found.explained == (pytest.approx(1.0, abs=0.01), pytest.approx(1.0, abs=0.01))
    assert found.genes[0].name == "width"  # all that changes the costs
    assert [gene.condition for gene in found.genes if gene.name == "kind"] == ["depth is 1"]


def test_values_that_come_together_are_told_apart() -> None:
    """Of all wide networks nine in ten have a branch; plain means would give the branch much of what width is worth."""
    points = [{"width": 16, "depth": 1}] * 45 + [{"width": 16, "depth": 0}] * 5
    points += [{"width": 8, "depth": 1}] * 5 + [{"width": 8, "depth": 0}] * 45
    found = gene_effects(make_trials([{"kind": "a", "threshold": 0.5, **point} for point in points]), SPACE, OBJECTIVES)
    depth = effects_of(found, "depth", 0)
    assert depth["1"] - depth["0"] == pytest.approx(2.0, abs=0.2)


def test_an_effect_that_is_none_is_not_certain_and_one_seen_once_is_wide() -> None:
    generator = np.random.default_rng(1)
    points = [{**SPACE.sample(generator), "depth": 1} for _ in range(60)]
    trials = make_trials(points)
    noisy = [with_metrics(trial, accuracy=50.0 + generator.normal()) for trial in trials]
    found = gene_effects(noisy, SPACE, OBJECTIVES)
    assert found is not None
    [threshold] = [gene for gene in found.genes if gene.name == "threshold"]
    assert [level.level for level in threshold.levels] == ["0 to 0.25", "0.25 to 0.5", "0.5 to 0.75", "0.75 to 1"]
    assert sum(level.effects[0].is_certain for level in threshold.levels) <= 1
    assert all(math.isfinite(effect.upper) for level in threshold.levels for effect in level.effects)


def test_every_network_counts_once_whatever_its_settings() -> None:
    """Many settings of one network at a low threshold must not outweigh the others."""
    points = [{"width": 8, "depth": 1, "kind": "a", "threshold": t} for t in np.linspace(0.3, 0.9, 12).tolist()]
    trials = make_trials(points)
    sems = {"accuracy": 0.1, "average_macs": 0.0}
    further = OperatingPoint({"accuracy": 20.0, "average_macs": 1.0}, sems, thresholds={"threshold": 0.1})
    trials[0] = with_further(trials[0], *[further] * 9)
    found = gene_effects(trials, SPACE, OBJECTIVES)
    assert found is not None
    assert found.num_networks == 12
    low = effects_of(found, "threshold", 0)["0 to 0.25"]
    assert -36.0 < low < -10.0  # drawn towards none, as nine tenths of one network say it


def test_too_few_networks_or_no_choice_say_nothing() -> None:
    points = [{"width": 8, "depth": 0, "kind": "a", "threshold": 1.0}] * 20
    assert gene_effects(make_trials(points[:7]), SPACE, OBJECTIVES) is None
    assert gene_effects([], SPACE, OBJECTIVES) is None
    found = gene_effects(make_trials(points), SPACE, OBJECTIVES)
    assert found is None
