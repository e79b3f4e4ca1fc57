import pytest
import torch
import torch.nn.functional as F

from aebnas_bo.supernet import depthwise
from aebnas_bo.supernet.depthwise import DepthwiseConv2d, depthwise_conv2d


def _gradients(convolve, features, weight, stride):
    output = convolve(features, weight, stride)
    coefficients = torch.randn(output.shape, generator=torch.Generator().manual_seed(2), dtype=output.dtype)
    return [output, *torch.autograd.grad((output * coefficients).sum(), (features, weight))]


def _library(features, weight, stride):
    return F.conv2d(features, weight, stride=stride, padding=weight.shape[-1] // 2, groups=weight.shape[0])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("height", "width", "kernel"), [(1, 1, 3), (2, 2, 3), (3, 3, 5), (4, 4, 5), (2, 6, 5), (9, 3, 5), (5, 5, 7)]
)
def test_small_maps_have_the_library_s_gradients(height, width, kernel, stride, monkeypatch) -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(3, 6, height, width, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 1, kernel, kernel, generator=generator, dtype=torch.float64, requires_grad=True)
    expected = _gradients(_library, features, weight, stride)
    taken = []
    monkeypatch.setattr(depthwise, "_taps", lambda *a, taps=depthwise._taps, **n: taken.append(1) or taps(*a, **n))
    actual = _gradients(depthwise_conv2d, features, weight, stride)
    assert len(taken) == 2, "the library's slow gradient was taken"
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_what_the_library_does_well_is_left_to_it() -> None:
    weight, small, large = torch.randn(6, 1, 3, 3, requires_grad=True), torch.randn(2, 6, 2, 2), torch.randn(2, 6, 3, 3)

    def taken(output: torch.Tensor) -> str:
        return type(output.grad_fn).__name__

    assert taken(depthwise_conv2d(small, weight, 1)) == "_SmallMapConvolutionBackward"
    assert taken(depthwise_conv2d(large, weight, 1)) == "ConvolutionBackward0"
    with torch.autocast("cpu", torch.bfloat16):
        assert taken(depthwise_conv2d(small, weight, 1)) == "ConvolutionBackward0"
    with torch.no_grad():
        assert taken(depthwise_conv2d(small, weight, 1)) == "NoneType"
    assert taken(DepthwiseConv2d(6, 3, 1).eval()(small)) == "ConvolutionBackward0"


def test_frozen_features_get_no_gradient() -> None:
    features, weight = torch.randn(2, 6, 2, 2), torch.randn(6, 1, 5, 5, requires_grad=True)
    depthwise_conv2d(features, weight, 1).sum().backward()
    assert features.grad is None
    assert weight.grad is not None


def test_the_module_is_a_convolution_with_the_same_parameters() -> None:
    module, plain = DepthwiseConv2d(4, 5, 2), torch.nn.Conv2d(4, 4, 5, 2, padding=2, groups=4, bias=False)
    plain.load_state_dict(module.state_dict())
    images = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(module(images), plain(images))
    torch.testing.assert_close(module.eval()(images), plain(images))
