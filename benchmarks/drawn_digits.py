"""Synthetic data set of drawn digits, 28x28 pixels, on which no setting of this project was chosen.

    python -m benchmarks.drawn_digits FOLDER --train 3900 --test 2000

Every image shows a digit drawn as strokes between randomly moved points, with random brush width, rotation, shear and
shift, on a background with a gradient, blots and noise. The folder has the layout of `data.dataset: imagefolder`; equal
seeds give equal images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE, SCALE = 28, 6  # pixels of an image, and the factor by which it is drawn larger
# Strokes of each digit: points on a square of side 100, y downwards. Arcs are polylines, smoothed by the reduction.
STROKES: dict[int, tuple[str, ...]] = {
    0: ("50,10 25,25 20,50 25,75 50,90 75,75 80,50 75,25 50,10",),
    1: ("30,30 55,10 55,90",),
    2: ("22,30 35,12 60,10 76,28 60,55 22,88 80,88",),
    3: ("25,15 60,10 75,28 50,48 78,68 60,90 25,85",),
    4: ("65,90 65,10 20,62 82,62",),
    5: ("75,12 30,12 27,45 60,42 78,65 60,88 24,84",),
    6: ("68,10 38,30 24,65 42,90 70,84 74,62 50,50 26,62",),
    7: ("20,13 80,13 42,90", "38,50 68,50"),
    8: ("50,48 27,30 50,10 73,30 50,48 24,70 50,90 76,70 50,48",),
    9: ("74,36 50,50 27,34 42,12 70,15 74,36 62,90",),
}


def main() -> None:
    """Write the images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="new folder")
    parser.add_argument("--train", type=int, default=3900, help="number of training images")
    parser.add_argument("--test", type=int, default=2000, help="number of test images")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.folder.exists():
        parser.error(f"{arguments.folder} exists; give a new folder")
    generator = np.random.default_rng(arguments.seed)
    for split, count in (("train", arguments.train), ("test", arguments.test)):
        for number in range(count):
            digit = number % len(STROKES)
            path = arguments.folder / split / str(digit) / f"{number:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw_digit(digit, generator).save(path)


def draw_digit(digit: int, generator: np.random.Generator) -> Image.Image:
    """Return a grey image of a digit, `SIDE x SIDE` pixels.

    Args:
        digit: 0 to 9.
        generator: Source of randomness.
    """
    side = SIDE * SCALE
    canvas = Image.new("L", (side, side), 0)
    brush = ImageDraw.Draw(canvas)
    angle, shear = generator.normal(0.0, 0.25), generator.normal(0.0, 0.2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn @ np.array([[1.0, shear], [0.0, 1.0]])
    size, shift = generator.uniform(0.55, 0.9, size=2), generator.normal(0.0, 0.05, size=2)
    width = int(side * generator.uniform(0.05, 0.13))
    for stroke in STROKES[digit]:
        corners = np.array([point.split(",") for point in stroke.split()], dtype=np.float64) / 100.0
        points = corners - 0.5 + generator.normal(0.0, 0.035, size=corners.shape)
        placed = side * ((points * size) @ turn.T + 0.5 + shift)
        brush.line([(float(x), float(y)) for x, y in placed], fill=255, width=width, joint="curve")
    ink = np.asarray(canvas.filter(ImageFilter.GaussianBlur(SCALE / 2)).resize((SIDE, SIDE)), dtype=np.float64) / 255.0
    paper = _paper(generator)
    contrast = generator.uniform(0.35, 0.8)
    pixels = paper + contrast * ink * (1.0 if generator.random() < 0.5 else -1.0)
    return Image.fromarray((255.0 * np.clip(pixels + generator.normal(0.0, 0.08, pixels.shape), 0, 1)).astype(np.uint8))


def _paper(generator: np.random.Generator) -> np.ndarray:
    """Return a background with a gradient and two blots."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    paper = 0.5 + generator.normal(0.0, 0.2) * (rows - 0.5) + generator.normal(0.0, 0.2) * (columns - 0.5)
    for _ in range(2):
        y, x = generator.uniform(size=2)
        paper += generator.normal(0.0, 0.15) * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 0.02)
    return paper


if __name__ == "__main__":
    main()
