"""Slicing: which weights a smaller layer uses, and in what memory format it answers."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from aebnas_bo.space.plan import ConvPlan
from aebnas_bo.supernet.elastic_layers import ElasticClassifier, ElasticConvNorm, channels_last


def _layer(is_depthwise: bool = False, in_channels: int = 6) -> ElasticConvNorm:
    return ElasticConvNorm(in_channels, 6, 5, is_depthwise=is_depthwise, generator=torch.Generator().manual_seed(0))


def test_sliced_weight_takes_first_channels_and_the_kernels_centre() -> None:
    layer = _layer()
    weight = layer.sliced_weight(ConvPlan(4, 3, 3, 1, False, side=8))
    assert torch.equal(weight, layer.weight[:3, :4, 1:4, 1:4])


def test_sliced_weight_of_a_depthwise_layer_keeps_its_single_input() -> None:
    layer = _layer(is_depthwise=True, in_channels=6)
    weight = layer.sliced_weight(ConvPlan(4, 4, 1, 1, True, side=8))
    assert torch.equal(weight, layer.weight[:4, :, 2:3, 2:3])


def test_sliced_weight_is_a_view() -> None:
    layer = _layer()
    with torch.no_grad():
        layer.sliced_weight(ConvPlan(4, 3, 3, 1, False, side=8)).zero_()
    assert torch.count_nonzero(layer.weight[:3, :4, 1:4, 1:4]) == 0
    assert torch.count_nonzero(layer.weight) == 6 * 6 * 25 - 3 * 4 * 9


def test_conv_norm_normalises_by_the_batch_and_activates() -> None:
    layer, plan = _layer(), ConvPlan(4, 3, 3, 2, False, side=4)
    images = torch.randn(16, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    linear = layer(images, plan, None)
    assert linear.shape == (16, 3, 4, 4)
    torch.testing.assert_close(linear.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(linear.var((0, 2, 3), correction=0), torch.ones(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(layer(images, plan, "relu"), linear.relu())
    torch.testing.assert_close(layer(images, plan, "hardswish"), functional.hardswish(linear))


def test_conv_norm_begins_with_the_spread_of_pytorch_s_layers() -> None:
    dense = ElasticConvNorm(40, 50, 5, is_depthwise=False, generator=torch.Generator().manual_seed(0))
    depthwise = ElasticConvNorm(800, 800, 5, is_depthwise=True, generator=torch.Generator().manual_seed(0))
    torchs = torch.nn.Conv2d(40, 50, 5).weight, torch.nn.Conv2d(800, 800, 5, groups=800).weight
    for layer, weight in zip((dense, depthwise), torchs, strict=True):
        assert layer.weight.std().item() == pytest.approx(weight.std().item(), rel=0.03)


def test_conv_norm_answers_in_channels_last_even_on_grey_images() -> None:
    layer = _layer(in_channels=1)
    output = layer(torch.randn(2, 1, 8, 8), ConvPlan(1, 6, 3, 1, False, side=8), "relu")
    assert output.is_contiguous(memory_format=torch.channels_last)
    assert not output.is_contiguous()


def test_channels_last_copies_values_and_sets_strides() -> None:
    weight = torch.randn(4, 1, 3, 3)
    copy = channels_last(weight)
    assert torch.equal(copy, weight)
    assert copy.data_ptr() != weight.data_ptr()
    assert copy.stride() == (9, 1, 3, 1)


def test_classifier_reads_the_first_channels() -> None:
    classifier = ElasticClassifier(6, 3, torch.Generator().manual_seed(0))
    features = torch.randn(2, 4, 5, 5)
    expected = features.mean((2, 3)) @ classifier.weight[:, :4].T + classifier.bias
    torch.testing.assert_close(classifier(features), expected)
