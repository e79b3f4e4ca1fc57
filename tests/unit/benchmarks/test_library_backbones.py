from pathlib import Path

import pytest

from aebnas_bo.errors import ConfigError
from benchmarks import library_backbones
from benchmarks.library_backbones import HEADER, figures, transformers_model

pytestmark = pytest.mark.slow


def checked(source: str, name: str, folder: Path) -> dict[str, object]:
    """The figures of a model by column, without seconds."""
    columns = [column for column in HEADER[2:] if column != "seconds"]
    return dict(zip(columns, figures(source, name, folder / "weights.safetensors"), strict=True))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("torchvision", "mobilenet_v3_small"),
        ("torchvision", "resnet18"),
        ("timm", "convnext_atto"),
        ("timm", "regnetx_002"),
        ("timm", "repvgg_a0"),
        ("timm", "deit_tiny_patch16_224"),
    ],
)
def test_models_of_libraries_have_points_with_exact_macs(source: str, name: str, tmp_path: Path) -> None:
    pytest.importorskip(source)
    found = checked(source, name, tmp_path)
    assert int(str(found["points"])) >= 3
    assert found["are_macs_exact"] is True
    assert float(str(found["difference"])) < 1e-4
    assert float(str(found["average_macs"])) > 0


def test_a_model_of_transformers_is_made_from_its_folder(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    found = checked("transformers", transformers_model(tmp_path), tmp_path)
    assert found["points"] == 4  # embeddings and three layers; behind the last layer, only the classifier is left
    assert found["are_macs_exact"] is True


def test_the_message_of_a_model_without_points_is_in_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> list[object]:
        raise ConfigError("space.backbone.name: the backbone has no point")

    monkeypatch.setattr(library_backbones, "figures", refuse)
    assert library_backbones.tried("torchvision", "any")[-1] == "space.backbone.name: the backbone has no point"
