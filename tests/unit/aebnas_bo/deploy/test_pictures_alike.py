"""What a network file reads of a picture equals what the network was trained on, for every kind of picture."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aebnas_bo.config.loading import load_config
from aebnas_bo.deploy.description import NetworkDescription, Origin
from aebnas_bo.deploy.description_of_weights import Measurable, describe_network
from aebnas_bo.deploy.network_file import load_network, save_network
from aebnas_bo.deploy.runtime import load
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.space.plain_family import plain_network
from aebnas_bo.supernet.subnet import Subnet

ORIGIN = Origin(
    study="made up", dataset="kinds", train_images=32, seed=0, epochs=1, start="scratch", version="0", fingerprint="0"
)
Make = Callable[[np.ndarray], Image.Image]


def clear(shape: np.ndarray) -> Image.Image:
    image = Image.new("RGBA", (12, 8))
    image.putalpha(Image.fromarray(shape))
    return image


KINDS: dict[str, tuple[Make, dict[str, object]]] = {
    "grey": (Image.fromarray, {}),
    "grey as colour": (Image.fromarray, {"channels": 3}),
    "colour as grey": (
        lambda shape: Image.fromarray(np.stack([shape, 255 - shape, shape // 3], axis=-1)),
        {"channels": 1},
    ),
    "transparent": (clear, {}),
    "transparent on grey": (clear, {"background": 90}),
    "12 of 16 bits": (lambda shape: Image.fromarray(shape.astype(np.uint16) * np.uint16(16)), {}),
    "letterboxed": (Image.fromarray, {"fit": "letterbox"}),
    "cropped": (Image.fromarray, {"fit": "crop"}),
}


def problem_of(root: Path, make: Make, settings: dict[str, object]) -> Problem:
    generator = np.random.default_rng(0)
    for split, count in (("train", 16), ("test", 6)):
        for number in range(count):
            folder = root / split / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            make(generator.integers(0, 2, (8, 12), dtype=np.uint8) * 200).save(folder / f"{number:02}.png")
    given = {"dataset": "imagefolder", "root": root, "image_size": 8, **settings}
    return Problem.load(load_config(None, [f"data.{name}={value}" for name, value in given.items()]))


def write_network(problem: Problem, path: Path) -> NetworkDescription:
    splits = problem.splits
    architecture, skeleton = plain_network(4, image_size=8, in_channels=splits.in_channels, num_classes=2)
    subnet = Subnet(architecture, skeleton).eval()
    goal = TuningGoal("max_macs", 1e12)
    measurable = Measurable(architecture, skeleton, splits, problem.config.estimation, goal)
    description, _ = describe_network(measurable, subnet, ORIGIN, device="cpu")
    save_network(path, subnet, description)
    return description


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_reads_pictures_as_it_was_trained_on_them(kind: str, tmp_path: Path) -> None:
    problem = problem_of(tmp_path / "pictures", *KINDS[kind])
    path = tmp_path / "network.safetensors"
    write_network(problem, path)
    network = load(path)
    images = problem.splits.test.images.float() / 255.0
    files = sorted((tmp_path / "pictures/test").glob("*/*"))
    assert torch.equal(network.pixels(files), images)
    assert torch.equal(network.pixels([Image.open(file) for file in files]), images)
    assert len(images.flatten(1).unique(dim=0)) == 6


def test_files_of_earlier_versions_keep_the_colour_below_transparent_parts(make_network, tmp_path: Path) -> None:
    subnet, description = make_network()
    older = description.model_dump(mode="json")
    del older["picture_conversion"]
    path = tmp_path / "network.safetensors"
    save_network(path, subnet, NetworkDescription.model_validate_json(json.dumps(older)))
    assert load_network(path)[1].picture_conversion.background is None
    clear(np.zeros((8, 12), dtype=np.uint8)).save(tmp_path / "clear.png")
    assert float(load(path).pixels([tmp_path / "clear.png"]).max()) == 0.0
