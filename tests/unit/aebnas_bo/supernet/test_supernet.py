"""One set of weights for all networks: what a forward pass uses, and what it must not remember."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aebnas_bo.space.architecture import Architecture, Block, BranchLayer, ExitBranch, Stage
from aebnas_bo.space.declaration import BranchLayerChoices, ExitChoices, NetworkSpaceDeclaration, StageChoices
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.supernet.supernet import Supernet

STAGE = StageChoices(widths=(4, 6), depths=(1, 2), kernels=(3, 5), expansions=(1, 2), stride=1)
LAYER = BranchLayerChoices(kinds=("dense", "depthwise_separable"), kernels=(3, 5), expansions=(1, 2))
DECLARATION = NetworkSpaceDeclaration(
    resolutions=(6, 8),
    stem_channels=4,
    stem_stride=1,
    head_channels=10,
    branch_stride=2,
    activation="relu",
    stages=(STAGE, STAGE.model_copy(update={"stride": 2}), STAGE),
    exits=tuple(ExitChoices(after_stage=stage, depths=(0, 1, 2), layers=(LAYER,)) for stage in (1, 2)),
)
SPACE = NetworkSpace(DECLARATION, in_channels=1, num_classes=3)
SMALL = Architecture(
    resolution=8,
    stages=(Stage(4, (Block(3, 1),)), Stage(4, (Block(3, 1),)), Stage(4, (Block(3, 1),))),
    exits=(ExitBranch((BranchLayer("dense", 3, 1, False, 0),)), ExitBranch(())),
)
LARGE = Architecture(
    resolution=8,
    stages=tuple(Stage(6, (Block(5, 2), Block(5, 2))) for _ in range(3)),
    exits=tuple(ExitBranch((BranchLayer("dense", 5, 2, False, 0),)) for _ in range(2)),
)


@pytest.fixture
def supernet() -> Supernet:
    return Supernet(DECLARATION, SPACE.skeleton, seed=0)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_forward_answers_once_per_active_exit_and_at_the_end(supernet: Supernet, images: torch.Tensor) -> None:
    for exits, num_outputs in ((SMALL.exits, 3), ((None, SMALL.exits[1]), 2), ((None, None), 1)):
        outputs = supernet(images, replace(SMALL, exits=exits))
        assert [tuple(logits.shape) for logits in outputs] == [(4, 3)] * num_outputs


def test_forward_of_an_exit_does_not_depend_on_the_others(supernet: Supernet, images: torch.Tensor) -> None:
    first, second, final = supernet(images, SMALL)
    only_first = supernet(images, replace(SMALL, exits=(SMALL.exits[0], None)))
    only_second = supernet(images, replace(SMALL, exits=(None, SMALL.exits[1])))
    assert torch.equal(only_first[0], first)
    assert torch.equal(only_second[0], second)
    assert torch.equal(only_first[-1], final)


def test_forward_keeps_no_state(supernet: Supernet, images: torch.Tensor) -> None:
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    small = supernet(images, SMALL)
    supernet(images, LARGE)
    again = supernet(images, SMALL)
    assert all(torch.equal(a, b) for a, b in zip(small, again, strict=True))
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())


def test_gradient_reaches_used_slices_and_no_others(supernet: Supernet, images: torch.Tensor) -> None:
    sum((logits.square().sum() for logits in supernet(images, SMALL)), torch.zeros(())).backward()
    touched = {name: p.grad for name, p in supernet.named_parameters() if p.grad is not None}
    used = {id(layer.weight): torch.zeros_like(layer.weight, dtype=torch.bool) for layer, _ in supernet.parts(SMALL)}
    for layer, plan in supernet.parts(SMALL):
        margin, inputs = (
            (layer.kernel - plan.kernel) // 2,
            layer.weight.shape[1] if plan.is_depthwise else plan.in_channels,
        )
        end = layer.kernel - margin
        used[id(layer.weight)][: plan.out_channels, :inputs, margin:end, margin:end] = True
    weights = {name: p for name, p in supernet.named_parameters() if p.ndim == 4}
    assert {name for name, p in weights.items() if id(p) in used} == {n for n in touched if n in weights}
    for name in weights.keys() & touched.keys():
        mask = used[id(weights[name])]
        assert torch.count_nonzero(touched[name][~mask]) == 0, name
    assert torch.count_nonzero(touched["stages.0.blocks.0.kinds.inverted_residual.2.weight"][:4, :4]) == 16
    assert not any(name.startswith("stages.0.blocks.1") or "depthwise_separable" in name for name in touched)


def test_forward_resizes_images_to_the_architectures_resolution(supernet: Supernet, images: torch.Tensor) -> None:
    resized = torch.nn.functional.interpolate(images, size=6, mode="bilinear", antialias=True)
    at_six = replace(SMALL, resolution=6)
    assert torch.equal(supernet(images, at_six)[-1], supernet(resized, at_six)[-1])
    assert not torch.equal(supernet(images, at_six)[-1], supernet(images, SMALL)[-1])


def test_initial_weights_follow_the_seed_and_leave_the_global_one_alone(supernet: Supernet) -> None:
    state = torch.get_rng_state()
    same, other = Supernet(DECLARATION, SPACE.skeleton, 0), Supernet(DECLARATION, SPACE.skeleton, 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(supernet.parameters(), same.parameters(), strict=True))
    assert not torch.equal(supernet.stem.weight, other.stem.weight)


def test_forward_rejects_an_architecture_of_another_space(supernet: Supernet, images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="argument 2 is longer"):
        supernet(images, replace(SMALL, stages=SMALL.stages[:2]))
