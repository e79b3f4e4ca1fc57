"""Extraction of one network from the supernet."""

from __future__ import annotations

import torch
from torch import nn

from aebnas_bo.space.architecture import Architecture
from aebnas_bo.supernet.elastic_layers import channels_last
from aebnas_bo.supernet.subnet import Subnet
from aebnas_bo.supernet.weight_sharing import WeightSharing


@torch.no_grad()
def extract(supernet: WeightSharing, architecture: Architecture) -> Subnet:
    """Copy a network's slices into plain modules; its BatchNorm statistics must still be estimated.

    Args:
        supernet: The trained supernet.
        architecture: Network to use.

    Returns:
        The network, in training mode, on the supernet's device.
    """
    device = next(supernet.parameters()).device
    # Initial weights are overwritten below; building on the meta device to spare them takes three times as long.
    with torch.random.fork_rng(devices=[]):
        subnet = supernet.plain(architecture)
    if device.type != "cpu":
        subnet.to(device)
    copy_weights(supernet, subnet)
    return subnet


@torch.no_grad()
def copy_weights(supernet: WeightSharing, subnet: Subnet) -> None:
    """Copy a network's slices into its plain modules.

    Args:
        supernet: The trained supernet.
        subnet: The network, changed in place; a given backbone in it stays as it is.
    """
    architecture = subnet.architecture
    for conv_norm, (elastic, plan) in zip(subnet.conv_norms(), supernet.parts(architecture), strict=True):
        convolution, norm = conv_norm.convolution, conv_norm.norm
        convolution.weight = nn.Parameter(channels_last(elastic.sliced_weight(plan)))
        norm.weight.copy_(elastic.scale[: plan.out_channels])
        norm.bias.copy_(elastic.shift[: plan.out_channels])
    for squeeze, (elastic_squeeze, squeeze_plan) in zip(
        subnet.squeezes(), supernet.squeezes(architecture), strict=True
    ):
        reduce_weight, reduce_bias, restore_weight, restore_bias = elastic_squeeze.sliced(squeeze_plan)
        squeeze.fc1.weight = nn.Parameter(channels_last(reduce_weight))
        squeeze.fc2.weight = nn.Parameter(channels_last(restore_weight))
        squeeze.fc1.bias.copy_(reduce_bias)
        squeeze.fc2.bias.copy_(restore_bias)
    for linear, classifier in zip(subnet.classifiers(), supernet.classifiers(architecture), strict=True):
        linear.weight.copy_(classifier.weight[:, : linear.in_features])
        linear.bias.copy_(classifier.bias)
    for reader, query in zip(subnet.readers(), supernet.queries(architecture), strict=True):
        if reader.query is not None and query is not None:
            reader.query.copy_(query)
