import json
from pathlib import Path

import pytest
import yaml

from aebnas_bo.config.loading import load_config
from aebnas_bo.space import declaration_text as module
from aebnas_bo.space.auto import auto_declaration
from aebnas_bo.space.declaration import BranchLayerChoices, ExitChoices, NetworkSpaceDeclaration, StageChoices
from aebnas_bo.space.declaration_text import declaration_text
from aebnas_bo.space.presets import PRESETS

OTHERS = {
    "tuned": ["space.thresholds=tuned"],
    "values": ["space.thresholds=[0.1, 0.5]"],
    "no exits": ["space.exits=[]"],
    "squeezed": ["space.squeeze_excitation=[1, 2]", "space.stem_channels=null"],
    "learned": ["space.learned_confidence=true"],
}


def read(text: str) -> NetworkSpaceDeclaration:
    return NetworkSpaceDeclaration.model_validate_json(json.dumps(yaml.safe_load(text)))


@pytest.mark.parametrize("settings", [*([f"space={name}"] for name in PRESETS), *OTHERS.values()])
def test_reading_the_text_gives_the_same_space(settings: list[str], tmp_path: Path) -> None:
    declared = load_config(None, settings).space
    text = declaration_text(declared, "Mine.")
    assert read(text) == declared
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "run.yaml").write_text("space: mine.yaml\n", encoding="utf-8")
    assert load_config(tmp_path / "run.yaml").space == declared
    indented = "".join(f"  {line}\n" for line in text.splitlines())
    (tmp_path / "whole.yaml").write_text(f"space:\n{indented}", encoding="utf-8")
    assert load_config(tmp_path / "whole.yaml").space == declared


@pytest.mark.parametrize("size", [8, 32, 64, 224])
@pytest.mark.parametrize("limit", [None, 0.5, 20.0])
def test_auto_spaces_can_be_written_down_too(size: int, limit: float | None) -> None:
    declared = NetworkSpaceDeclaration.model_validate_json(json.dumps(auto_declaration(size, 3, limit)))
    assert read(declaration_text(declared, "Auto.")) == declared


@pytest.mark.parametrize(
    ("comments", "fields"),
    [
        (module.SPACE, NetworkSpaceDeclaration),
        (module.STAGE, StageChoices),
        (module.EXIT, ExitChoices),
        (module.LAYER, BranchLayerChoices),
    ],
)
def test_every_field_has_a_comment(comments: dict[str, str], fields: type) -> None:
    of_given_backbones = {"backbone", "poolings"}  # written only where there is one
    assert set(comments) == set(fields.model_fields) - of_given_backbones  # type: ignore[attr-defined]
    text = declaration_text(load_config(None).space, "Mine.")
    assert all(comment in text for comment in comments.values())
