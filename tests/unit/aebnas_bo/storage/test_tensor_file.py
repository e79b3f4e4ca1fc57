"""Weights on disk: what is written comes back, and whatever else lies there is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from aebnas_bo.errors import CorruptStateError
from aebnas_bo.space.declaration import ExitChoices, NetworkSpaceDeclaration, StageChoices
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.storage.tensor_file import load_tensors, save_tensors
from aebnas_bo.storage.tensor_metadata import load_metadata
from aebnas_bo.supernet.supernet import Supernet
from aebnas_bo.supernet.supernet_file import images_of_supernet, load_supernet, save_supernet


def _supernet(seed: int, width: int = 4, num_exits: int = 1) -> Supernet:
    stage = StageChoices(widths=(width,), depths=(1,), kernels=(3,), expansions=(1, 2), stride=1)
    declaration = NetworkSpaceDeclaration(
        resolutions=(8,),
        stem_channels=4,
        stem_stride=1,
        head_channels=0,
        branch_stride=1,
        activation="relu",
        stages=(stage, stage),
        exits=tuple(ExitChoices(after_stage=1, depths=(0, 1)) for _ in range(num_exits)),
    )
    return Supernet(declaration, NetworkSpace(declaration, 1, 3).skeleton, seed)


def _equal(one: Supernet, other: Supernet) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_supernet_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved, loaded = _supernet(0), _supernet(1)
    save_supernet(tmp_path / "supernet.safetensors", saved, "mine")
    load_supernet(tmp_path / "supernet.safetensors", loaded, "mine")
    assert _equal(saved, loaded)
    assert [file.name for file in tmp_path.iterdir()] == ["supernet.safetensors"]


def test_tensors_come_back_with_their_metadata(tmp_path: Path) -> None:
    path = tmp_path / "state"
    tensors = {"a": torch.arange(6.0).view(2, 3).T, "b": torch.tensor(7), "c": torch.zeros(0)}
    save_tensors(path, tensors, {"fingerprint": "f", "epoch": "3"})
    found, metadata = load_tensors(path, "f")
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert metadata["epoch"] == "3"


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state"
    save_tensors(path, {"a": torch.randn(4), "b": torch.randn(2, 3)}, {"fingerprint": "f", "epoch": "12"})
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 7
        path.write_bytes(damaged)
        with pytest.raises(CorruptStateError, match=r"delete .* to train again|newer version"):
            load_tensors(path, "f")


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state"
    save_tensors(path, {"a": torch.randn(4)}, {"fingerprint": "f"})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptStateError, match=r"delete .* to train again"):
            load_tensors(path, "f")


def test_missing_file_is_a_corrupt_state(tmp_path: Path) -> None:
    with pytest.raises(CorruptStateError, match="is missing; resuming the run trains it again"):
        load_tensors(tmp_path / "absent", "f")


def test_foreign_fingerprint_is_refused(tmp_path: Path) -> None:
    path, supernet = tmp_path / "supernet", _supernet(1)
    save_supernet(path, _supernet(0), "theirs")
    with pytest.raises(CorruptStateError, match=r"another space, data set, seed or training; delete"):
        load_supernet(path, supernet, "mine")
    assert _equal(supernet, _supernet(1))


def test_file_of_another_writer_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "state")
    with pytest.raises(CorruptStateError, match="has format None, expected"):
        load_tensors(tmp_path / "state", "f")


@pytest.mark.parametrize(
    ("saved", "problem"),
    [
        (_supernet(0, num_exits=0), r"lacks branches.0.bare_classifier.bias \(2 in all\)"),
        (_supernet(0, width=6), "has a misshapen"),
    ],
)
def test_weights_of_another_shape_are_refused_before_any_is_used(tmp_path: Path, saved: Supernet, problem: str) -> None:
    supernet = _supernet(1)
    save_supernet(tmp_path / "supernet", saved, "mine")
    with pytest.raises(CorruptStateError, match=problem):
        load_supernet(tmp_path / "supernet", supernet, "mine")
    assert _equal(supernet, _supernet(1))


def test_superfluous_weights_are_refused(tmp_path: Path) -> None:
    save_supernet(tmp_path / "supernet", _supernet(0), "mine")
    with pytest.raises(CorruptStateError, match=r"has unknown branches\.0\.bare_classifier\.bias"):
        load_supernet(tmp_path / "supernet", _supernet(0, num_exits=0), "mine")


def test_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "supernet"
    save_supernet(path, _supernet(0), "mine")

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        save_supernet(path, _supernet(1), "mine")
    loaded = _supernet(2)
    load_supernet(path, loaded, "mine")
    assert _equal(loaded, _supernet(0))
    assert list(tmp_path.iterdir()) == [path]


def test_a_supernet_says_what_images_it_is_for(tmp_path: Path) -> None:
    save_supernet(tmp_path / "s.safetensors", _supernet(0), "f")
    assert images_of_supernet(tmp_path / "s.safetensors", "f") == (1, 3)
    data = bytearray((tmp_path / "s.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "damaged.safetensors").write_bytes(data)
    assert images_of_supernet(tmp_path / "damaged.safetensors", "f") == (1, 3)  # no weight is read
    (tmp_path / "half.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(CorruptStateError, match="cannot be read as safetensors"):
        images_of_supernet(tmp_path / "half.safetensors", "f")
    (tmp_path / "old.safetensors").write_bytes(data.replace(b'"format_version":"1"', b'"format_version":"0"'))
    with pytest.raises(CorruptStateError, match="has format 0, expected 1"):
        images_of_supernet(tmp_path / "old.safetensors", "f")
    (tmp_path / "new.safetensors").write_bytes(data.replace(b'"format_version":"1"', b'"format_version":"2"'))
    with pytest.raises(CorruptStateError, match=r"newer version of aebnas_bo \(format 2, this one reads up to 1\)"):
        images_of_supernet(tmp_path / "new.safetensors", "f")
    with pytest.raises(CorruptStateError, match="another space"):
        images_of_supernet(tmp_path / "s.safetensors", "g")
    save_tensors(tmp_path / "other.safetensors", {"weight": torch.zeros(1)}, {"fingerprint": "f"})
    with pytest.raises(CorruptStateError, match="holds no supernet"):
        images_of_supernet(tmp_path / "other.safetensors", "f")


def test_metadata_is_read_alone(tmp_path: Path) -> None:
    save_tensors(tmp_path / "s.safetensors", {"weight": torch.zeros(1)}, {"epoch": "3"})
    assert load_metadata(tmp_path / "s.safetensors")["epoch"] == "3"
    (tmp_path / "s.safetensors").write_bytes(b"half")
    with pytest.raises(CorruptStateError, match=r"s\.safetensors cannot be read"):
        load_metadata(tmp_path / "s.safetensors")
    with pytest.raises(CorruptStateError):
        load_metadata(tmp_path / "nowhere.safetensors")
