import json
from pathlib import Path

import pytest

from aebnas_bo.errors import CorruptStateError
from aebnas_bo.storage.sealed_json import read_sealed, write_sealed

DOCUMENT = {"figure": 0.1 + 0.2, "list": [1, {"a": None}], "text": "ä"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_sealed(tmp_path / "a.json", DOCUMENT)
    return tmp_path / "a.json"


def test_what_was_written_is_read(path: Path) -> None:
    assert read_sealed(path, "delete it") == DOCUMENT
    path.write_text(json.dumps(json.loads(path.read_text())))  # other white space says the same
    assert read_sealed(path, "delete it") == DOCUMENT


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("0.3", "0.4"), "does not match its own hash"),
        (lambda text: text.replace("sha256", "sha257"), "does not match its own hash"),
        (lambda text: text[:-9], "cannot be read as JSON"),
        (lambda _: "[" * 100_000, "cannot be read as JSON"),
        (lambda _: "[]", "does not match its own hash"),
        (lambda _: "", "cannot be read as JSON"),
        (lambda text: text.replace("0.3", "9" * 5000), "cannot be read as JSON"),
    ],
)
def test_damage_is_found(path: Path, damage, message: str) -> None:
    path.write_text(damage(path.read_text()))
    with pytest.raises(CorruptStateError, match=f"a.json {message}.*; delete it$"):
        read_sealed(path, "delete it")


def test_a_missing_file_is_named_and_nothing_infinite_is_written(tmp_path: Path) -> None:
    with pytest.raises(CorruptStateError, match=r"b.json cannot be read \(No such file"):
        read_sealed(tmp_path / "b.json", "delete it")
    with pytest.raises(ValueError, match="JSON"):
        write_sealed(tmp_path / "b.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())
