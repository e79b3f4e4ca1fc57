import pickle
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from aebnas_bo.backbones.weights import load_weights
from aebnas_bo.errors import ConfigError


def test_weights_are_loaded_and_hashed(tmp_path: Path) -> None:
    backbone, path = nn.Linear(2, 3), tmp_path / "w.safetensors"
    save_file({"weight": torch.ones(3, 2), "bias": torch.zeros(3)}, path)
    assert load_weights(backbone, path) == sha256(path.read_bytes()).hexdigest()
    assert backbone.weight.eq(1.0).all()


def test_counters_of_batches_may_be_missing(tmp_path: Path) -> None:
    backbone, path = nn.BatchNorm2d(2), tmp_path / "w.safetensors"
    save_file({name: one for name, one in backbone.state_dict().items() if one.ndim}, path)
    load_weights(backbone, path)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weight": torch.ones(3, 2)}, r"it lacks 1 tensor \(bias\)"),
        ({"weight": torch.ones(3, 2), "bias": torch.ones(3), "extra": torch.ones(1)}, r"1 unknown tensor \(extra\)"),
        ({"weight": torch.ones(5, 2), "bias": torch.ones(3)}, r"weight is \[5, 2\] instead of \[3, 2\]"),
    ],
)
def test_weights_that_do_not_fit_change_nothing(tensors: dict, message: str, tmp_path: Path) -> None:
    backbone, path = nn.Linear(2, 3), tmp_path / "w.safetensors"
    before = backbone.weight.detach().clone()
    save_file(tensors, path)
    with pytest.raises(ConfigError, match=message):
        load_weights(backbone, path)
    assert backbone.weight.equal(before)


def test_a_pickle_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps({"weight": 1}))
    with pytest.raises(ConfigError, match=r"not in the format safetensors .*safetensors.torch.save_file"):
        load_weights(nn.Linear(2, 3), path)
    torch.save(nn.Linear(2, 3).state_dict(), path)
    with pytest.raises(ConfigError, match="not in the format safetensors"):
        load_weights(nn.Linear(2, 3), path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_weights(nn.Linear(2, 3), tmp_path / "none.safetensors")
