from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WriteImages = Callable[[Path, dict[str, int]], Path]


@pytest.fixture
def write_images() -> WriteImages:
    """Write `{"train/cat": 3, ...}` as one-coloured 8 x 8 PNG files, each with its own colour."""

    def write(root: Path, counts: dict[str, int]) -> Path:
        for place, (folder, count) in enumerate(counts.items()):
            (root / folder).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                colour = np.full((8, 8, 3), (20 * place, 5 * i, 100), dtype=np.uint8)
                Image.fromarray(colour).save(root / folder / f"{i:03d}.png")
        return root

    return write
