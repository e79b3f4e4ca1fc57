from dataclasses import replace

import pytest

from aebnas_bo.deploy.network_limits import check_network
from aebnas_bo.space.architecture import Architecture, Block, BranchLayer, ExitBranch, Skeleton, Stage

STAGES = (Stage(6, (Block(3, 2),)), Stage(8, (Block(5, 2),)))
NETWORK = Architecture(8, STAGES, (ExitBranch(()),))
SKELETON = Skeleton(3, 4, 4, 1, (1, 2), (0,), 1, 0, "relu")


def layer(**changes: int) -> Architecture:
    return replace(
        NETWORK, exits=(ExitBranch((BranchLayer(**{**BRANCH_LAYER, **changes}),)),)  # type: ignore[arg-type]
    )  # fmt: skip


BRANCH_LAYER = {"kind": "dense", "kernel": 3, "expansion": 1, "pool": False, "upsample": 0}


def test_a_network_as_spaces_have_it_passes() -> None:
    check_network(NETWORK, SKELETON)
    check_network(layer(upsample=32, pool=True), SKELETON)
    check_network(replace(NETWORK, stages=(STAGES[0], Stage(0, ()))), SKELETON)  # an absent stage


@pytest.mark.parametrize(
    ("architecture", "skeleton", "problem"),
    [
        (replace(NETWORK, resolution=10**30), SKELETON, "numbers from 0 to 65536"),
        (replace(NETWORK, resolution=-8), SKELETON, "numbers from 0 to 65536"),
        (replace(NETWORK, stages=(Stage(6, (Block(3, 2),) * 20_000), STAGES[1])), SKELETON, "at most 20000 numbers"),
        (replace(NETWORK, stages=STAGES[:1]), SKELETON, "as many strides as stages"),
        (replace(NETWORK, stages=()), replace(SKELETON, stage_strides=()), "as many strides as stages"),
        (replace(NETWORK, exits=()), SKELETON, "as many stages of exits as exits"),
        (NETWORK, replace(SKELETON, exit_stages=(2,)), "stages below 2 in order"),
        (NETWORK, replace(SKELETON, in_channels=2), "expected 1 or 3 channels of an image, got 2"),
        (NETWORK, replace(SKELETON, stem_stride=0), "strides from 1 on"),
        (NETWORK, replace(SKELETON, stage_strides=(1, 0)), "strides from 1 on"),
        (replace(NETWORK, stages=(Stage(6, (Block(4, 2),)), STAGES[1])), SKELETON, "odd kernels"),
        (replace(NETWORK, stages=(Stage(0, (Block(3, 2),)), STAGES[1])), SKELETON, "channels and sides from 1 on"),
        (replace(NETWORK, resolution=0), SKELETON, "channels and sides from 1 on"),
        (layer(upsample=1, pool=True), SKELETON, "pools until nothing is left"),
        (layer(upsample=5000), SKELETON, "at most 4096 pixels a side"),
        (replace(NETWORK, resolution=5000), SKELETON, "at most 4096 pixels a side"),
        (replace(NETWORK, resolution=4096), replace(SKELETON, stem_channels=64), "134217728 features a layer"),
        (NETWORK, replace(SKELETON, head_channels=60000, num_classes=60000), "268435456 weights"),
        (NETWORK, replace(SKELETON, stem_channels=60000), "268435456 weights"),
    ],
)
def test_a_network_that_is_too_large_or_impossible_is_refused(architecture, skeleton, problem) -> None:
    with pytest.raises(ValueError, match=problem):
        check_network(architecture, skeleton)
