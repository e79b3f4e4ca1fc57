import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aebnas_bo.backbones.factories import BackboneInput
from aebnas_bo.backbones.tracing import trace
from aebnas_bo.errors import ConfigError

pytestmark = pytest.mark.slow  # the first trace of a process takes seconds

INPUT = BackboneInput(channels=3, classes=3, side=8)


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(images.mean(dim=(2, 3)))


class TwoInputs(Head):
    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        return super().forward(images * mask)


class Pair(Head):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(images), images


class AlwaysDropout(Head):
    def forward(self, images: Tensor) -> Tensor:
        return F.dropout(super().forward(images), training=True)


class BatchStatistics(Head):
    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        return logits - logits.mean(dim=0)


class Branching(Head):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images if images.sum() > 0 else -images)


class Narrow(Head):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.view(-1, 3, 16, 16))


class OneLogit(Head):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images)[:, :1]


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (TwoInputs(), r"reads 2 inputs \(images, mask\)"),
        (Pair(), "returns a tuple of 2; wrap it in a module"),
        (AlwaysDropout(), "returns other logits for the same images"),
        (BatchStatistics(), "depend on the other images of its batch"),
        (Branching(), "torch.export cannot trace the backbone"),
        (Narrow(), "fails on 2 images of 3 x 8 x 8"),
        (OneLogit(), r"must return logits of shape \[2, 3\], got \[2, 1\]"),
    ],
)
def test_an_unsuitable_backbone_is_an_error(backbone: nn.Module, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        trace(backbone, INPUT)


def test_dropout_is_switched_off() -> None:
    backbone = nn.Sequential(Head(), nn.Dropout(0.5)).train()
    traced = trace(backbone, INPUT)
    images = torch.randn(5, 3, 8, 8)
    with torch.no_grad():
        assert traced.module(images).equal(backbone[0](images))
    assert not backbone.training
