"""Extracted networks answer as the supernet does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aebnas_bo.space.architecture import Architecture, LayerKind
from aebnas_bo.space.declaration import BranchLayerChoices, ExitChoices, NetworkSpaceDeclaration, StageChoices
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.search_space import ContinuousParameter
from aebnas_bo.supernet.extraction import extract
from aebnas_bo.supernet.supernet import Supernet

KINDS: tuple[LayerKind, ...] = ("dense", "depthwise_separable", "inverted_residual")
FIRST = BranchLayerChoices(kinds=KINDS, kernels=(1, 3, 5), expansions=(1, 2), pools=(False, True), upsamples=(0, 8))
SECOND = FIRST.model_copy(update={"upsamples": (6, 9)})


def _space(is_grey: bool) -> NetworkSpace:
    strides = (1, 2, 1) if is_grey else (1, 2, 2)
    declaration = NetworkSpaceDeclaration(
        resolutions=(9, 12) if is_grey else (12, 16),
        stem_channels=4,
        stem_stride=2 if is_grey else 1,
        head_channels=0 if is_grey else 20,
        branch_stride=1 if is_grey else 2,
        activation="relu" if is_grey else "hardswish",
        stages=tuple(
            StageChoices(widths=widths, depths=(1, 2), kernels=(3, 5, 7), expansions=(1, 2, 3), stride=stride)
            for widths, stride in zip(((4, 6), (6, 8), (8, 12)), strides, strict=True)
        ),
        exits=tuple(ExitChoices(after_stage=stage, depths=(0, 1, 2, 3), layers=(FIRST, SECOND)) for stage in (1, 2)),
    )
    return NetworkSpace(declaration, in_channels=1 if is_grey else 3, num_classes=5)


def _random_architecture(space: NetworkSpace, generator: np.random.Generator) -> Architecture:
    return space.architecture(
        {
            parameter.name: parameter.upper
            if isinstance(parameter, ContinuousParameter)
            else parameter.values[int(generator.integers(len(parameter.values)))]
            for parameter in space.search_space.parameters
        }
    )


def _supernet(space: NetworkSpace) -> Supernet:
    """A supernet whose BatchNorm parameters and biases are not all alike, so that a wrong slice shows."""
    supernet = Supernet(space.declaration, space.skeleton, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in supernet.parameters():
            if parameter.ndim < 4:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return supernet


@torch.no_grad()
@pytest.mark.parametrize("is_grey", [True, False])
def test_extracted_networks_in_training_mode_answer_as_the_supernet(is_grey: bool) -> None:
    space, generator = _space(is_grey), np.random.default_rng(0)
    supernet = _supernet(space)
    channels = space.skeleton.in_channels
    images = torch.randn(6, channels, 16, 16, generator=torch.Generator().manual_seed(2))
    for _ in range(30):
        architecture = _random_architecture(space, generator)
        expected = supernet(images, architecture)
        outputs = extract(supernet, architecture)(images)
        assert len(outputs) == len(expected) == len(architecture.active_exits) + 1
        for logits, reference in zip(outputs, expected, strict=True):
            torch.testing.assert_close(logits, reference, atol=1e-5, rtol=0)


def test_extracted_network_has_weights_of_its_own() -> None:
    space = _space(is_grey=True)
    supernet = _supernet(space)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    subnet = extract(supernet, space.training_architecture("largest", np.random.default_rng(0)))
    with torch.no_grad():
        for parameter in subnet.parameters():
            assert parameter.requires_grad
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())


def test_extracted_network_starts_with_neutral_statistics() -> None:
    space = _space(is_grey=True)
    subnet = extract(_supernet(space), space.training_architecture("smallest", np.random.default_rng(0)))
    assert subnet.training
    for conv_norm in subnet.conv_norms():
        norm = conv_norm.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert torch.equal(norm.running_mean, torch.zeros_like(norm.running_mean))
        assert torch.equal(norm.running_var, torch.ones_like(norm.running_var))


def test_extracted_network_on_grey_images_computes_in_channels_last() -> None:
    space = _space(is_grey=True)
    subnet = extract(_supernet(space), space.training_architecture("largest", np.random.default_rng(0)))
    features = subnet.stages[0](subnet.stem(torch.randn(2, 1, 12, 12)))
    assert features.is_contiguous(memory_format=torch.channels_last)


def test_extraction_does_not_touch_the_global_generator() -> None:
    space = _space(is_grey=False)
    supernet, state = _supernet(space), torch.get_rng_state()
    extract(supernet, space.training_architecture("largest", np.random.default_rng(0)))
    assert torch.equal(torch.get_rng_state(), state)
