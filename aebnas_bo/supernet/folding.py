"""Merging of BatchNorm into the convolutions before it, for faster inference."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_weights

from aebnas_bo.supernet.elastic_layers import channels_last
from aebnas_bo.supernet.subnet import ConvNorm


@torch.no_grad()
def fold_batchnorm(network: nn.Module) -> None:
    """Merge every BatchNorm of a network, or a part of one, into its convolution, in place.

    Outputs stay the same up to rounding; the network can no longer be trained or calibrated.

    Args:
        network: A `Subnet` or a part of it in evaluation mode, its statistics estimated.
    """
    for conv_norm in [module for module in network.modules() if isinstance(module, ConvNorm)]:
        convolution, norm = conv_norm.convolution, conv_norm.norm
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None
        assert variance is not None  # a Subnet's BatchNorm always tracks them
        weight, bias = fuse_conv_bn_weights(convolution.weight, None, mean, variance, norm.eps, norm.weight, norm.bias)
        convolution.weight = nn.Parameter(channels_last(weight), requires_grad=False)
        convolution.bias = nn.Parameter(bias.detach(), requires_grad=False)
        conv_norm[1] = nn.Identity()
