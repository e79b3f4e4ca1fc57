from collections.abc import Callable, Sequence

import pytest
import torch

from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.search.trial import Observation
from aebnas_bo.shortlist.contenders import Contender
from aebnas_bo.space.architecture import Architecture, Block, BranchLayer, ExitBranch, Skeleton, Stage
from aebnas_bo.space.macs import exit_costs
from tests.made_trials import completed

SKELETON = Skeleton(1, 2, 4, 1, (1, 2), (0,), 1, 0, "relu")
BRANCH = ExitBranch((BranchLayer("depthwise_separable", 3, 1, False, 0),))


def network(width: int, has_exit: bool = False) -> Architecture:
    stages = (Stage(4, (Block(3, 1),)), Stage(width, (Block(3, 1),)))
    return Architecture(8, stages, (BRANCH if has_exit else None,))


def macs_of(architecture: Architecture) -> tuple[int, ...]:
    return exit_costs(architecture, SKELETON).cumulative


def contender(key: str, width: int, *goals: TuningGoal, has_exit: bool = False) -> Contender:
    """A network whose estimates are 50 for the first goal, 51 for the second ..."""
    observed = {
        goal: Observation(completed(0, key, {}, {"accuracy": 50.0 + place, "average_macs": 1.0}))
        for place, goal in enumerate(goals)
    }
    return Contender(network(width, has_exit), observed, macs_of(network(width, has_exit))[-1])


def table(one: Contender, is_right: Sequence[int]) -> ExitTable:
    """What a network without exits gets right."""
    return ExitTable(torch.ones(1, len(is_right)), torch.tensor([is_right]).bool(), macs_of(one.architecture))


@pytest.fixture
def train_of() -> Callable[..., Callable[[Contender, int], ExitTable]]:
    """Returns a training that looks answers up by key, and notes what was trained."""

    def make(answers: dict[str, Sequence[int]], noted: list[tuple[str, int]]):
        def train(one: Contender, epochs: int) -> ExitTable:
            noted.append((one.key, epochs))
            return table(one, answers[one.key])

        return train

    return make
