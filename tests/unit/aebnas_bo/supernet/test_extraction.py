"""Extracted networks answer as the supernet does."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
import torch

from aebnas_bo.config.loading import load_config
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.block_and_layer_kinds import LAYER_KINDS
from aebnas_bo.space.declaration import BranchLayerChoices, ExitChoices, NetworkSpaceDeclaration, StageChoices
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.presets import PRESETS
from aebnas_bo.space.sampling import Extreme, TrainingSampler
from aebnas_bo.space.search_space import ContinuousParameter
from aebnas_bo.supernet.batchnorm import calibrate_batchnorm
from aebnas_bo.supernet.extraction import extract
from aebnas_bo.supernet.supernet import Supernet

KINDS = tuple(LAYER_KINDS)
FIRST = BranchLayerChoices(kinds=KINDS, kernels=(1, 3, 5), expansions=(1, 2), pools=(False, True), upsamples=(0, 8))
SECOND = FIRST.model_copy(update={"upsamples": (6, 9)})


def _space(is_grey: bool) -> NetworkSpace:
    strides = (1, 2, 1) if is_grey else (1, 2, 2)
    declaration = NetworkSpaceDeclaration(
        resolutions=(9, 12) if is_grey else (12, 16),
        stem_channels=4 if is_grey else None,
        stem_stride=2 if is_grey else 1,
        head_channels=0 if is_grey else 20,
        branch_stride=1 if is_grey else 2,
        activation="relu" if is_grey else "hardswish",
        learned_confidence=is_grey,
        squeeze_excitation=() if is_grey else (1, 3),
        stages=tuple(
            StageChoices(
                widths=widths, depths=depths, kernels=(3, 5, 7), expansions=(1, 2, 3), stride=stride, kinds=KINDS
            )
            for widths, depths, stride in zip(
                ((4, 6), (6, 8), (8, 12)), ((1, 2), (1, 2), (0, 1, 2)), strides, strict=True
            )
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


def _draw(space: NetworkSpace, which: Extreme) -> Architecture:
    return TrainingSampler(space, np.random.default_rng(0), has_balanced_branches=True).draw(which)


def _supernet(space: NetworkSpace) -> Supernet:
    """A supernet whose BatchNorm parameters and biases are not all alike, so that a wrong slice shows."""
    supernet = Supernet(space.declaration, space.skeleton, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in supernet.parameters():
            if parameter.ndim < 4:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return supernet


@pytest.mark.slow
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


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("preset", PRESETS)
def test_networks_of_every_preset_answer_as_the_supernet(preset: str) -> None:
    space = NetworkSpace(load_config(None, [f"space.preset={preset}"]).space, in_channels=3, num_classes=10)
    generator, supernet = np.random.default_rng(4), _supernet(space)
    side = max(space.declaration.resolutions)
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(2))
    largest_difference = 0.0
    for _ in range(40):  # 200 of each: benchmarks.supernet_exactness
        architecture = space.architecture(space.search_space.sample(generator))
        for one, other in zip(supernet(images, architecture), extract(supernet, architecture)(images), strict=True):
            largest_difference = max(largest_difference, float((one - other).abs().max()))
    assert largest_difference <= 1e-5


@pytest.mark.slow
@torch.no_grad()
def test_extracted_network_runs_without_the_supernets_code() -> None:
    """The network is built, loaded and run by a process that cannot import any elastic layer."""
    space = _space(is_grey=True)
    architecture = _draw(space, "random")
    subnet = extract(_supernet(space), architecture)
    calibrate_batchnorm(subnet, torch.randn(8, 1, 12, 12, generator=torch.Generator().manual_seed(0)), 8)
    images = torch.randn(4, 1, 12, 12, generator=torch.Generator().manual_seed(1))
    buffer = io.BytesIO()
    torch.save((subnet.state_dict(), images, subnet(images)), buffer)
    script = f"""
import io, sys
for name in ("elastic_layers", "blocks", "exit_branches", "supernet", "extraction"):
    sys.modules["aebnas_bo.supernet." + name] = None
import torch
from aebnas_bo.space.architecture import *
from aebnas_bo.supernet.subnet import Subnet
state, images, expected = torch.load(io.BytesIO(bytes.fromhex(sys.stdin.read())), weights_only=True)
subnet = Subnet({architecture!r}, {space.skeleton!r})
subnet.load_state_dict(state)
with torch.no_grad():
    outputs = subnet.eval()(images)
assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(outputs, expected, strict=True))
"""
    result = subprocess.run(
        [sys.executable, "-c", script], input=buffer.getvalue().hex(), capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_extracted_network_has_weights_of_its_own() -> None:
    space = _space(is_grey=True)
    supernet = _supernet(space)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    subnet = extract(supernet, _draw(space, "largest"))
    with torch.no_grad():
        for parameter in subnet.parameters():
            assert parameter.requires_grad
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())


def test_extracted_network_starts_with_neutral_statistics() -> None:
    space = _space(is_grey=True)
    subnet = extract(_supernet(space), _draw(space, "smallest"))
    assert subnet.training
    for conv_norm in subnet.conv_norms():
        norm = conv_norm.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert torch.equal(norm.running_mean, torch.zeros_like(norm.running_mean))
        assert torch.equal(norm.running_var, torch.ones_like(norm.running_var))


def test_extracted_network_on_grey_images_computes_in_channels_last() -> None:
    space = _space(is_grey=True)
    subnet = extract(_supernet(space), _draw(space, "largest"))
    features = subnet.stages[0](subnet.stem(torch.randn(2, 1, 12, 12)))
    assert features.is_contiguous(memory_format=torch.channels_last)


def test_extraction_does_not_touch_the_global_generator() -> None:
    space = _space(is_grey=False)
    supernet, state = _supernet(space), torch.get_rng_state()
    extract(supernet, _draw(space, "largest"))
    assert torch.equal(torch.get_rng_state(), state)
