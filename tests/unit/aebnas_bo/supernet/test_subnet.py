"""The plain network: built from an architecture alone, of ordinary modules."""

from __future__ import annotations

import ast
from pathlib import Path

import torch
from torch import nn

from aebnas_bo.space.architecture import Architecture, Block, BranchLayer, ExitBranch, Skeleton, Stage
from aebnas_bo.supernet import subnet as subnet_file
from aebnas_bo.supernet.subnet import Subnet, resize

SKELETON = Skeleton(3, 5, 4, 1, (1, 2, 1), (0, 1), 1, 0, "hardswish")
ARCHITECTURE = Architecture(
    resolution=8,
    stages=(Stage(4, (Block(3, 1),)), Stage(6, (Block(5, 2), Block(3, 2))), Stage(6, (Block(3, 1),))),
    exits=(None, ExitBranch((BranchLayer("inverted_residual", 3, 2, True, 0),))),
)


def test_subnet_answers_once_per_active_exit_and_at_the_end() -> None:
    outputs = Subnet(ARCHITECTURE, SKELETON).eval()(torch.randn(2, 3, 8, 8))
    assert [tuple(logits.shape) for logits in outputs] == [(2, 5), (2, 5)]


def test_subnet_can_be_run_stage_by_stage() -> None:
    subnet, images = Subnet(ARCHITECTURE, SKELETON).eval(), torch.randn(2, 3, 8, 8)
    features = subnet.stages[1](subnet.stages[0](subnet.stem(images)))
    assert list(subnet.branches) == ["1"]
    early, final = subnet(images)
    assert torch.equal(subnet.branches["1"](features), early)
    assert torch.equal(subnet.head(subnet.stages[2](features)), final)


def test_subnet_knows_nothing_of_the_supernet() -> None:
    tree = ast.parse(Path(subnet_file.__file__).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    of_supernet = {module for module in modules if module.startswith("aebnas_bo.supernet")}
    assert of_supernet == {"aebnas_bo.supernet.depthwise", "aebnas_bo.supernet.point_reader"}  # plain layers both


def test_subnet_uses_the_backbones_activation_and_relu_in_branches() -> None:
    subnet = Subnet(ARCHITECTURE, SKELETON)
    assert not [module for module in subnet.stages.modules() if isinstance(module, nn.ReLU)]
    assert not [module for module in subnet.branches.modules() if isinstance(module, nn.Hardswish)]
    assert len([module for module in subnet.branches.modules() if isinstance(module, nn.ReLU)]) == 3


def test_resize_leaves_images_of_the_right_size_alone() -> None:
    images = torch.randn(2, 3, 8, 8)
    assert resize(images, 8) is images
    assert resize(images, 5).shape == (2, 3, 5, 5)
    assert resize(torch.randn(2, 3, 8, 6), 8).shape == (2, 3, 8, 8)
