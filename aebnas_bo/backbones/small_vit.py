"""A small vision transformer for images of about 32x32 pixels.

Legend: `B` images, `T` tokens, `D` features of a token.

Sources: Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021; convolutions in place of patches, Xiao et al.,
Early Convolutions Help Transformers See Better, NeurIPS 2021.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 4  # pixels per token
HEAD_FEATURES = 32
MLP_RATIO = 2
POSITION_STD = 0.02


class EncoderLayer(nn.Module):
    """Self-attention and a perceptron, each behind a LayerNorm and with a skip connection.

    Args:
        features: Features of a token, a multiple of `HEAD_FEATURES`.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.num_heads = features // HEAD_FEATURES
        self.attention_norm = nn.LayerNorm(features)
        self.query_key_value = nn.Linear(features, 3 * features)
        self.projection = nn.Linear(features, features)
        self.perceptron_norm = nn.LayerNorm(features)
        self.perceptron = nn.Sequential(
            nn.Linear(features, MLP_RATIO * features), nn.GELU(), nn.Linear(MLP_RATIO * features, features)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Map `B x T x D` to `B x T x D`."""
        tokens = tokens + self._attended(self.attention_norm(tokens))
        perceived: Tensor = tokens + self.perceptron(self.perceptron_norm(tokens))
        return perceived

    def _attended(self, tokens: Tensor) -> Tensor:
        count, features = tokens.shape[1:]
        heads = self.query_key_value(tokens).reshape(-1, count, 3, self.num_heads, HEAD_FEATURES)
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # each B x heads x T x HEAD_FEATURES
        mixed = F.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.projection(mixed.transpose(1, 2).reshape(-1, count, features))
        return projected


class SmallViT(nn.Module):
    """Two convolutions, encoder layers over a class token and one token for every 4x4 pixels, and a linear classifier.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of an image.
        image_size: Side of an image in pixels, a multiple of 4.
        features: Features of a token, a multiple of 32.
        num_layers: Number of encoder layers.

    Raises:
        ValueError: If a size is no such multiple.
    """

    def __init__(
        self, num_classes: int, in_channels: int = 3, image_size: int = 32, *, features: int = 96, num_layers: int = 6
    ) -> None:
        super().__init__()
        if image_size % STRIDE or features % HEAD_FEATURES:
            raise ValueError(
                f"image_size must be a multiple of {STRIDE} and features one of {HEAD_FEATURES}, got {image_size} and "
                f"{features}"
            )
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, features // 2, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(features // 2),
            nn.ReLU(),
            nn.Conv2d(features // 2, features, 3, stride=2, padding=1),
        )
        self.class_token = nn.Parameter(torch.zeros(1, 1, features))
        self.position = nn.Parameter(POSITION_STD * torch.randn(1, 1 + (image_size // STRIDE) ** 2, features))
        self.layers = nn.Sequential(*(EncoderLayer(features) for _ in range(num_layers)))
        self.norm = nn.LayerNorm(features)
        self.classifier = nn.Linear(features, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits `B x K` of `B x C x S x S` images."""
        patches = self.stem(images).flatten(2).transpose(1, 2)
        class_tokens = self.class_token.expand(images.shape[0], -1, -1)
        tokens = self.layers(torch.cat([class_tokens, patches], dim=1) + self.position)
        logits: Tensor = self.classifier(self.norm(tokens[:, 0]))
        return logits
