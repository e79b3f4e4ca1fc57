"""Exit branches: one set of weights per kind of layer, shallow branches inside deep ones."""

from __future__ import annotations

import torch
from torch import Tensor

from aebnas_bo.space.architecture import Architecture, Block, BranchLayer, ExitBranch, Skeleton, Stage
from aebnas_bo.space.block_and_layer_kinds import LAYER_KINDS
from aebnas_bo.space.declaration import BranchLayerChoices, ExitChoices
from aebnas_bo.space.plan import BranchPlan, network_plan
from aebnas_bo.supernet.exit_branches import ElasticBranch

KINDS = tuple(LAYER_KINDS)
LAYER = BranchLayerChoices(kinds=KINDS, kernels=(3, 5), expansions=(1, 2), pools=(False, True))
SKELETON = Skeleton(1, 3, 4, 1, (1,), (0,), 2, 0, "relu")


def _branch(*layers: BranchLayerChoices) -> ElasticBranch:
    choices = ExitChoices(after_stage=1, depths=(len(layers) + 1,), layers=layers)
    return ElasticBranch(4, choices, num_outputs=3, generator=torch.Generator().manual_seed(0))


def _plan(*layers: BranchLayer) -> BranchPlan:
    architecture = Architecture(8, (Stage(4, (Block(3, 1),)),), (ExitBranch(layers),))
    plan = network_plan(architecture, SKELETON).branches[0]
    assert plan is not None
    return plan


def test_branch_uses_only_the_weights_of_its_kind() -> None:
    branch = _branch(LAYER)
    for kind in KINDS:
        branch.zero_grad(set_to_none=True)
        logits, _ = branch(torch.randn(4, 4, 8, 8), _plan(BranchLayer(kind, 3, 2, False, 0)))
        logits.sum().backward()
        trained = {
            name.split(".")[3] for name, p in branch.named_parameters() if p.grad is not None and "kinds" in name
        }
        assert trained == {kind}


def test_branch_of_fewer_layers_uses_the_first() -> None:
    branch = _branch(LAYER, LAYER)
    logits, _ = branch(torch.randn(4, 4, 8, 8), _plan(BranchLayer("dense", 3, 1, True, 0)))
    logits.sum().backward()
    with_gradient = {name.split(".")[1] for name, p in branch.named_parameters() if p.grad is not None}
    assert with_gradient == {"0", "weight", "bias"}


def test_branch_without_layers_is_a_pooled_classifier() -> None:
    branch, features = _branch(LAYER), torch.randn(4, 4, 8, 8)
    logits, supervision = branch(features, _plan())
    torch.testing.assert_close(logits, features.mean((2, 3)) @ branch.bare_classifier.weight.T)
    assert supervision is None


def _is_reached(features: Tensor, logits: Tensor) -> bool:
    (gradient,) = torch.autograd.grad(logits.sum(), features, allow_unused=True)
    return gradient is not None and bool(gradient.abs().sum() > 0)


def test_where_there_is_a_choice_the_bare_classifier_trains_the_backbone() -> None:
    branch, features = _branch(LAYER), torch.randn(4, 4, 8, 8, requires_grad=True)
    logits, supervision = branch(features, _plan(BranchLayer("dense", 3, 2, False, 0)))
    assert not _is_reached(features, logits)
    assert supervision is not None
    torch.testing.assert_close(supervision, branch(features, _plan())[0])
    assert _is_reached(features, supervision)


def test_an_exits_only_branch_trains_the_backbone_itself() -> None:
    only = BranchLayerChoices(kinds=("dense",), kernels=(1,), expansions=(6,))
    branch, features = _branch(only), torch.randn(4, 4, 8, 8, requires_grad=True)
    logits, supervision = branch(features, _plan(BranchLayer("dense", 1, 6, False, 0)))
    assert supervision is None
    assert _is_reached(features, logits)
    assert not hasattr(branch, "bare_classifier")


def test_branch_classifier_serves_the_widest_last_layer() -> None:
    assert _branch(LAYER, LAYER).classifier.weight.shape == (3, 16)
    narrow = BranchLayerChoices(kinds=("inverted_residual",), expansions=(2,))
    assert _branch(narrow, narrow).classifier.weight.shape == (3, 4)


def test_branch_resizes_convolves_and_pools() -> None:
    branch, shapes = _branch(LAYER), []
    branch.classifier.register_forward_hook(lambda _module, inputs, _output: shapes.append(inputs[0].shape[1:]))
    for upsample, pool in ((0, False), (0, True), (12, False), (12, True)):
        branch(torch.randn(2, 4, 8, 8), _plan(BranchLayer("dense", 3, 2, pool, upsample)))
    assert [tuple(shape) for shape in shapes] == [(8, 4, 4), (8, 2, 2), (8, 6, 6), (8, 3, 3)]
