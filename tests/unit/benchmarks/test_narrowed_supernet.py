from pathlib import Path

import numpy as np
import pytest
import torch

from aebnas_bo.config.loading import load_config
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.experiments.comparison.method_files import PACKAGE_METHODS
from aebnas_bo.preparation.fingerprints import supernet_fingerprint
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.supernet.supernet import Supernet
from aebnas_bo.supernet.supernet_file import load_supernet
from benchmarks import narrowed_supernet

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "digits.yaml"


def write(tiny_run, folder: Path, monkeypatch, method: str, *settings: str) -> Path:
    run = tiny_run("data.max_train_images=200")
    arguments = ["narrowed_supernet", str(run.path), "--config", str(CONFIG), "--methods", method]
    options = [part for setting in ("data.max_train_images=200", *settings) for part in ("--set", setting)]
    monkeypatch.setattr("sys.argv", [*arguments, *options, "--cache", str(folder)])
    narrowed_supernet.main()
    return run.path


@pytest.mark.parametrize(("method", "settings"), [
    ("static", ()), ("aebnas", ()), ("aebnas", ("space.stages.0.widths=[8]", "space.stages.1.kernels=[3]")),
])  # fmt: skip
def test_networks_answer_as_in_the_wider_supernet(method: str, settings, tiny_run, tmp_path, monkeypatch) -> None:
    run = write(tiny_run, tmp_path, monkeypatch, method, *settings)
    config = load_config(CONFIG, ["data.max_train_images=200", *settings], PACKAGE_METHODS / f"{method}.yaml")
    splits = load_splits(config.data)
    space, fingerprint = NetworkSpace(config.space, 1, 10), supernet_fingerprint(config, splits.data_hash)
    narrow = Supernet(config.space, space.skeleton, 5)
    load_supernet(tmp_path / "supernets" / f"{fingerprint}.safetensors", narrow, fingerprint)
    wide_config = load_config(None, ["data.max_train_images=200"])
    wide_space = NetworkSpace(wide_config.space, 1, 10)
    wide = Supernet(wide_config.space, wide_space.skeleton, 6)
    load_supernet(run / "supernet.safetensors", wide, supernet_fingerprint(wide_config, splits.data_hash))
    images, generator = torch.randn(4, 1, 8, 8), np.random.default_rng(0)
    for _ in range(5):
        architecture = space.architecture(space.search_space.sample(generator))
        exits = architecture.exits or (None,) * len(wide_space.declaration.exits)
        same = type(architecture)(architecture.resolution, architecture.stages, exits)
        for one, other in zip(narrow(images, architecture), wide(images, same), strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("method", "settings", "message"), [
    ("edanas", (), "too little of branches.0"), ("static", ("space.stages.0.widths=[8,64]",), "too little of stages.0"),
    ("static", ("space.stem_stride=2",), "what all networks of a space share"),
    ("static", ("data.split_seed=3",), "the images"),
])  # fmt: skip
def test_what_does_not_lie_within_is_refused(method, settings, message, tiny_run, tmp_path, monkeypatch) -> None:
    with pytest.raises(SystemExit, match=message):
        write(tiny_run, tmp_path, monkeypatch, method, *settings)
    assert not list((tmp_path / "supernets").iterdir())
