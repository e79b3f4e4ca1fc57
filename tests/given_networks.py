"""Small classifiers from outside the package, and spaces of exits on them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from aebnas_bo.config.loading import load_config
from aebnas_bo.preparation.backbone_loading import completed_space
from aebnas_bo.space.given_backbone import BackbonePoint, GivenBackbone
from aebnas_bo.space.given_exits import propose_exits
from aebnas_bo.space.network_space import NetworkSpace


class Residual(nn.Module):
    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Conv2d(channels, out_channels, 1, stride) if channels != out_channels else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        output = self.norm(self.conv(features))
        output += self.shortcut(features)
        return self.relu(output)


class TinyResNet(nn.Module):
    """Three residual blocks of 4, 6 and 8 channels, with dropout before the classifier."""

    def __init__(self, num_classes: int = 3, in_channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.blocks = nn.Sequential(Residual(4, 4, 1), Residual(4, 6, 2), Residual(6, 8, 2))
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.blocks(F.relu(self.stem(images), inplace=True))
        return self.fc(self.dropout(features.mean(dim=(2, 3))))


class Encoder(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 16), nn.GELU(), nn.Linear(16, width))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.ln(tokens)
        tokens = tokens + self.attention(x, x, x, need_weights=False)[0]
        return tokens + self.mlp(tokens)


class TinyViT(nn.Module):
    """Three encoder layers of 8 features over patches of 4 pixels and a class token."""

    def __init__(self, num_classes: int = 3, in_channels: int = 3, image_size: int = 8) -> None:
        super().__init__()
        self.patch = nn.Conv2d(in_channels, 8, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.position = nn.Parameter(torch.randn(1, 1 + (image_size // 4) ** 2, 8))
        self.layers = nn.Sequential(*(Encoder(8) for _ in range(3)))
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patch(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(images.shape[0], -1, -1), patches], dim=1) + self.position
        return self.head(self.norm(self.layers(tokens))[:, 0])


class Plain(nn.Sequential):
    """Layers without blocks."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__(
            nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(16, num_classes),
        )  # fmt: skip


class Dense(nn.Module):
    """Every block reads the outputs of all blocks before it."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.first, self.second = Residual(3, 3, 1), Residual(3, 3, 1)
        self.fc = nn.Linear(9, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        one = self.first(images)
        two = self.second(one + images)
        return self.fc(torch.cat([images, one, two], dim=1).mean(dim=(2, 3)))


class PreActivation(nn.Module):
    """Each block changes its input in place first."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1))
        self.first = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(4, 6, 3, padding=1))
        self.second = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(6, 8, 3, padding=1))
        self.fc = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.second(self.first(self.stem(images))).mean(dim=(2, 3)))


class Masked(nn.Module):
    """All blocks read one mask, which depends on the number of images."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Residual(3, 4, 1), Residual(4, 6, 2), Residual(6, 8, 2)])
        self.fc = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        mask = torch.ones(images.shape[0], 1, 1, 1).cumsum(dim=1)
        features = images
        for block in self.blocks:
            features = block(features * mask)
        return self.fc(features.mean(dim=(2, 3)))


class Bottleneck(nn.Module):
    """Two convolutions, with a skip connection if the number of channels stays."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Sequential(nn.Conv2d(channels, 8, 1), nn.ReLU()), nn.Sequential(nn.Conv2d(8, out_channels, 1))
        )
        self.has_skip = channels == out_channels

    def forward(self, features: Tensor) -> Tensor:
        output = self.convolutions(features)
        return features + output if self.has_skip else output


class Bottlenecks(nn.Module):
    """Two stages of two blocks."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.stages = nn.Sequential(
            nn.Sequential(Bottleneck(3, 4), Bottleneck(4, 4)), nn.Sequential(Bottleneck(4, 6), Bottleneck(6, 6))
        )
        self.fc = nn.Linear(6, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.stages(images).mean(dim=(2, 3)))


def given_space(make: str, num_classes: int = 3, side: int = 8, **backbone: object) -> NetworkSpace:
    """Return the space of exits that is proposed for one of the networks above."""
    declared = {"source": "module", "name": f"tests.given_networks:{make}", **backbone}
    space = load_config(None, [f"space={json.dumps({'backbone': declared})}"]).space
    found = completed_space(space, in_channels=3, num_classes=num_classes, image_size=side)
    return NetworkSpace(found, 3, num_classes)


MAPS_AND_TOKENS = GivenBackbone(
    "module",
    "tests.given_networks:Imaginary",
    in_channels=3,
    num_classes=3,
    resolution=8,
    points=(
        BackbonePoint("first", "map", (4, 8, 8), 10_000),
        BackbonePoint("second", "map_last", (4, 4, 8), 30_000),
        BackbonePoint("third", "tokens", (5, 8), 60_000),
    ),
    macs=100_000,
)
"""A backbone that nobody has written, for what needs no network."""


def declared_space(given: GivenBackbone = MAPS_AND_TOKENS, **changes: object) -> NetworkSpace:
    """Return the space of exits that is proposed for a backbone, without creating it."""
    backbone = {"source": given.source, "name": given.name, "weights": "w.safetensors", "found": asdict(given)}
    fields = {"resolutions": [given.resolution], "backbone": backbone, "exits": propose_exits(given), **changes}
    space = load_config(None, [f"space={json.dumps(fields)}"]).space
    return NetworkSpace(space, given.in_channels, given.num_classes)


def save_random_weights(make: str, path: Path, **options: int) -> Path:
    """Write weights of one of the networks above, with running statistics that differ from those of a fresh one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        tensors = globals()[make](**options).state_dict()
        for name, one in tensors.items():
            if name.endswith("running_mean"):
                one.uniform_(-0.5, 0.5)
    save_file({name: one.contiguous() for name, one in tensors.items()}, path)
    return path
