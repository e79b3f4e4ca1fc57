import pytest
import torch
from torch import nn

from aebnas_bo.data.images import LabelledImages
from aebnas_bo.data.splits import Splits
from aebnas_bo.errors import ConfigError
from aebnas_bo.preparation.features import FrozenBackbone, feature_bytes, kept_features, most_images
from aebnas_bo.space.given_backbone import BackbonePoint, GivenBackbone
from aebnas_bo.supernet.feature_layout import FeatureLayout
from tests.given_networks import declared_space

GIVEN = GivenBackbone(
    "module", "m:f", in_channels=3, num_classes=3, resolution=8, macs=10_000,
    points=(BackbonePoint("a", "map", (3, 8, 8), 1000), BackbonePoint("b", "map", (3, 8, 8), 2000)),
)  # fmt: skip
SPACE = declared_space(GIVEN, exits=[{"after_stage": 2, "depths": [0, 1]}])


class Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features * self.factor


class Pool(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.mean(dim=(2, 3))


def backbone(factor: float) -> FrozenBackbone:
    return FrozenBackbone([Scale(2.0), Scale(factor), Pool()], SPACE.skeleton, "cpu")


@pytest.fixture
def splits() -> Splits:
    images = torch.randint(256, (150, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    part = LabelledImages(images, torch.zeros(150, dtype=torch.int64))
    return Splits(part, part, part, part, ("a", "b", "c"), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def test_features_at_the_points_of_exits_are_kept_as_float16(splits: Splits, tmp_path) -> None:
    rows = kept_features(backbone(3.0), splits.train, splits, folder=tmp_path)
    assert rows.dtype == torch.float16
    assert rows.shape == (150, 3 * 64 + 3)  # more than one batch; only the second point has an exit
    [features], logits = FeatureLayout.of(SPACE.skeleton).split(rows.float())
    expected = (splits.train.images.float() / 255.0 - 0.5) / 0.25 * 6.0
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(logits, expected.mean(dim=(2, 3)), rtol=1e-2, atol=1e-2)


def test_large_features_are_kept_as_float32(splits: Splits, tmp_path) -> None:
    rows = kept_features(backbone(1e5), splits.train, splits, folder=tmp_path)
    assert rows.dtype == torch.float32
    assert float(rows.abs().max()) > 1e5


def test_no_file_is_left(splits: Splits, tmp_path) -> None:
    rows = kept_features(backbone(3.0), splits.train, splits, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert rows[0].isfinite().all()


def test_features_are_bounded() -> None:
    declared, layout = SPACE.declaration.backbone, FeatureLayout.of(SPACE.skeleton)
    assert declared is not None
    small = declared.model_copy(update={"feature_gigabytes": 4 * layout.width * 10 / 1e9})
    assert most_images(small, layout, 4) == 10
    assert most_images(small, layout, 2) == 20
    with pytest.raises(ConfigError, match=r"space.backbone.feature_gigabytes: the features of two images take"):
        most_images(declared.model_copy(update={"feature_gigabytes": 1e-7}), layout, 4)


def test_the_bytes_of_a_feature_follow_from_the_largest(splits: Splits) -> None:
    assert feature_bytes(backbone(3.0), splits.train, splits) == 2
    assert feature_bytes(backbone(1e5), splits.train, splits) == 4
