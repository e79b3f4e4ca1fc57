"""Image classifiers from outside the package, to which searches attach exits: ResNet-20, MobileNetV2 and a small ViT.

Sources: ResNet-20 for CIFAR-10, He et al., Deep Residual Learning, CVPR 2016, section 4.2 (shortcuts with a 1x1
convolution); inverted residuals, Sandler et al., MobileNetV2, CVPR 2018, with smaller strides for small images.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from aebnas_bo.backbones.small_vit import SmallViT

RESNET_WIDTHS = (16, 32, 64)
BLOCKS_PER_STAGE = 3
MOBILE_STAGES = ((1, 16, 1, 1), (4, 24, 2, 2), (4, 32, 2, 1), (4, 48, 3, 2), (4, 64, 2, 1))
"""Expansion, channels, blocks and stride of each stage."""
MOBILE_STEM, MOBILE_HEAD = 16, 256


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out_channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, features: Tensor) -> Tensor:
        """Map `B x C x H x W` to `B x C' x H' x W'`."""
        output = F.relu(self.norm1(self.conv1(features)))
        return F.relu(self.norm2(self.conv2(output)) + self.shortcut(features))


class ResNet20(nn.Module):
    """ResNet-20: 41 M MACs for 32x32 pixels, 23 M for 24x24."""

    def __init__(self, num_classes: int, in_channels: int = 3) -> None:
        super().__init__()
        width = RESNET_WIDTHS[0]
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        blocks: list[nn.Module] = []
        for number, channels in enumerate(RESNET_WIDTHS):
            for position in range(BLOCKS_PER_STAGE):
                blocks.append(BasicBlock(width, channels, 2 if number and position == 0 else 1))
                width = channels
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits `B x K`."""
        logits: Tensor = self.fc(self.blocks(self.stem(images)).mean(dim=(2, 3)))
        return logits


class InvertedResidual(nn.Module):
    """1x1 to more channels, depthwise 3x3, 1x1 without activation."""

    def __init__(self, channels: int, out_channels: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        layers = _convolution(channels, hidden, 1, 1) if expansion > 1 else []
        layers += _convolution(hidden, hidden, 3, stride, groups=hidden)
        self.layers = nn.Sequential(
            *layers, nn.Conv2d(hidden, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
        )
        self.has_skip = stride == 1 and channels == out_channels

    def forward(self, features: Tensor) -> Tensor:
        """Map `B x C x H x W` to `B x C' x H' x W'`."""
        output: Tensor = self.layers(features)
        return features + output if self.has_skip else output


class MobileNet(nn.Module):
    """Network like MobileNetV2 with strides for small images."""

    def __init__(self, num_classes: int, in_channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_convolution(in_channels, MOBILE_STEM, 3, 1))
        blocks: list[nn.Module] = []
        width = MOBILE_STEM
        for expansion, channels, count, stride in MOBILE_STAGES:
            for position in range(count):
                step = stride if position == 0 else 1
                blocks.append(InvertedResidual(width, channels, stride=step, expansion=expansion))
                width = channels
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(*_convolution(width, MOBILE_HEAD, 1, 1))
        self.fc = nn.Linear(MOBILE_HEAD, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits `B x K`."""
        logits: Tensor = self.fc(self.head(self.blocks(self.stem(images))).mean(dim=(2, 3)))
        return logits


def resnet20(num_classes: int, in_channels: int) -> ResNet20:
    """Create a ResNet-20 with random weights."""
    return ResNet20(num_classes, in_channels)


def mobilenet(num_classes: int, in_channels: int) -> MobileNet:
    """Create a network like MobileNetV2 with random weights."""
    return MobileNet(num_classes, in_channels)


def small_vit(num_classes: int, in_channels: int, image_size: int) -> SmallViT:
    """Create a small vision transformer with random weights."""
    return SmallViT(num_classes, in_channels, image_size)


def _convolution(channels: int, out_channels: int, kernel: int, stride: int, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    ]
