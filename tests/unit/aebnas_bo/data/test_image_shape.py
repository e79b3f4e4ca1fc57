from pathlib import Path

import pytest

from aebnas_bo.data.image_shape import ImageShape
from aebnas_bo.errors import CorruptStateError


def test_a_shape_is_read_as_it_was_written(tmp_path: Path) -> None:
    ImageShape(channels=3, classes=10).write(tmp_path / "images.json")
    assert ImageShape.read(tmp_path / "images.json") == ImageShape(channels=3, classes=10)


@pytest.mark.parametrize("content", [None, b"", b"\x00", b'{"channels": 0, "classes": 2}', b'{"channels": 1}'])
def test_damage_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "images.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorruptStateError, match=r"images\.json (cannot be read|is damaged)"):
        ImageShape.read(path)
