import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from aebnas_bo.backbones.factories import BackboneInput, create_backbone
from aebnas_bo.errors import ConfigError

INPUT = BackboneInput(channels=3, classes=4, side=8)


def test_a_factory_gets_the_arguments_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = create_backbone("module", "tests.given_networks:TinyViT", INPUT)
    assert backbone.head.out_features == 4
    assert backbone.position.shape == (1, 5, 8)
    assert not backbone.training


def test_a_factory_in_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_here.py").write_text("from torch import nn\ndef make():\n    return nn.Identity()\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert isinstance(create_backbone("module", "only_here:make", INPUT), nn.Identity)
    assert sys.path == before


def test_torchvision_models_have_the_classes_of_the_images() -> None:
    backbone = create_backbone("torchvision", "squeezenet1_1", INPUT)
    assert backbone.classifier[1].out_channels == 4


def test_networks_of_this_package_have_the_classes_of_the_images() -> None:
    backbone = create_backbone("aebnas_bo", "small_vit", INPUT)
    assert backbone(torch.zeros(2, 3, 8, 8)).shape == (2, 4)


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        ("module", "tests.given_networks", "expected package.module:factory"),
        ("module", "not_there:make", "not_there of not_there:make cannot be imported"),
        ("module", "tests.given_networks:make_nothing", "tests.given_networks has no function or class make_nothing"),
        ("module", "math:pi", "math has no function or class pi"),
        ("module", "collections:Counter", "must return a torch.nn.Module, got Counter"),
        ("aebnas_bo", "big_vit", "aebnas_bo has no network 'big_vit'; it has small_vit"),
        ("torchvision", "resnet19", "torchvision has no image classifier 'resnet19'"),
        ("torchvision", "fcn_resnet50", "torchvision has no image classifier"),
        ("torchvision", "vit_b_16", "cannot be created for images of 3 x 8 x 8 and 4 classes"),
    ],
)
def test_an_unusable_name_is_an_error(source: str, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_backbone(source, name, INPUT)


@pytest.mark.parametrize("package", ["timm", "transformers"])
def test_a_missing_library_names_its_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"pip install 'aebnas_bo\[{package}\]'"):
        create_backbone(package, "any", INPUT)


def stand_in_for_timm() -> ModuleType:
    """Models by name, of which only `vit` has a size of images, as in timm."""

    def create_model(name: str, pretrained: bool, **options: int) -> nn.Module:
        if name != "vit" and "img_size" in options:
            raise TypeError("unexpected keyword argument 'img_size'")
        model = nn.Linear(options["in_chans"], options["num_classes"])
        model.options = {**options, "pretrained": pretrained}
        return model

    return SimpleNamespace(is_model=lambda name: name in {"vit", "cnn"}, create_model=create_model)


def test_timm_models_are_created_without_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", stand_in_for_timm())
    vit, cnn = (create_backbone("timm", name, INPUT) for name in ("vit", "cnn"))
    assert vit.options == {"num_classes": 4, "in_chans": 3, "img_size": 8, "pretrained": False}
    assert cnn.options == {"num_classes": 4, "in_chans": 3, "pretrained": False}
    with pytest.raises(ConfigError, match="timm has no model 'other'"):
        create_backbone("timm", "other", INPUT)


class Classifier(nn.Module):
    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=pixel_values.flatten(1)[:, :4])


def test_transformers_models_come_from_a_folder_and_return_logits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    def from_pretrained(folder: Path, **options: object) -> str:
        asked.update(options, folder=folder)
        return "configuration"

    stand_in = SimpleNamespace(
        AutoConfig=SimpleNamespace(from_pretrained=from_pretrained),
        AutoModelForImageClassification=SimpleNamespace(from_config=lambda _: Classifier()),
    )
    monkeypatch.setitem(sys.modules, "transformers", stand_in)
    backbone = create_backbone("transformers", str(tmp_path), INPUT)
    assert backbone(torch.zeros(2, 3, 8, 8)).shape == (2, 4)
    assert asked["local_files_only"] is True
    assert asked["num_labels"] == 4
    with pytest.raises(ConfigError, match=r"expected a folder with the config\.json"):
        create_backbone("transformers", "google/vit", INPUT)
