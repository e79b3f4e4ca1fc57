"""A network of your own and its training: `python given_backbone.py` writes images, weights and a configuration.

The images are scikit-learn's handwritten digits, as files in `digits/train/CLASS`, `digits/val/CLASS` and
`digits/test/CLASS`. The network is trained on `digits/train` only.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import Tensor, nn

SPLITS = {"train": 1000, "val": 400, "test": 397}
EPOCHS, BATCH_SIZE, LEARNING_RATE = 15, 50, 0.05
CONFIGURATION = """\
name: digits-exits
data:
  dataset: imagefolder
  root: digits
  image_size: 8
  channels: 1
space:
  backbone:
    source: module
    name: given_backbone:SmallResNet
    weights: weights.safetensors
    mean: [0.5]  # as in training, in [0, 1]
    std: [0.5]
supernet:
  epochs: 10
final_training:
  epochs: 10
  start: supernet
search:
  budget: 40
"""


class Block(nn.Module):
    """Two convolutions with a skip connection."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, out_channels, 3, stride, 1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False), nn.BatchNorm2d(out_channels),
        )  # fmt: skip
        self.skip = nn.Conv2d(channels, out_channels, 1, stride, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map `B x C x H x W` to `B x C' x H' x W'`."""
        return F.relu(self.convolutions(features) + self.skip(features))


class SmallResNet(nn.Module):
    """Five blocks and a linear classifier."""

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        widths = (8, 8, 12, 12, 16, 16)
        self.stem = nn.Conv2d(in_channels, widths[0], 3, 1, 1)
        self.blocks = nn.Sequential(*(Block(a, b, 1 if a == b else 2) for a, b in pairwise(widths)))
        self.classifier = nn.Linear(widths[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of `B x C x H x W` images."""
        return self.classifier(self.blocks(self.stem(images)).mean(dim=(2, 3)))


def main() -> None:
    """Write the images, train the network, and write its weights and the configuration."""
    digits = load_digits()
    pixels = (digits.images * 255.0 / 16.0).round().astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(pixels))
    parts = dict(zip(SPLITS, np.split(order, np.cumsum(list(SPLITS.values()))[:-1]), strict=True))
    for split, numbers in parts.items():
        for number in numbers:
            folder = Path("digits", split, str(digits.target[number]))
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[number]).save(folder / f"{number}.png")

    torch.manual_seed(0)
    network = SmallResNet()
    images = torch.from_numpy(pixels[parts["train"]])[:, None].float() / 255.0
    images, labels = (images - 0.5) / 0.5, torch.from_numpy(digits.target[parts["train"]])
    optimizer = torch.optim.SGD(network.parameters(), LEARNING_RATE, momentum=0.9, weight_decay=1e-4)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(BATCH_SIZE):
            optimizer.zero_grad()
            F.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
    save_file(network.state_dict(), "weights.safetensors")
    Path("digits.yaml").write_text(CONFIGURATION, encoding="utf-8")


if __name__ == "__main__":
    main()
