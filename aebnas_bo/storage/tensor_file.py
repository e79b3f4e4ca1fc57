"""Files of tensors: safetensors with an embedded hash, written atomically.

The hash detects flipped bits, which safetensors does not, and atomic writing prevents incomplete files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from aebnas_bo.errors import CorruptStateError
from aebnas_bo.storage.atomic_files import write_bytes
from aebnas_bo.storage.tensor_metadata import check_readable, way_out
from aebnas_bo.storage.version import TENSOR_FORMAT


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors with metadata atomically.

    Args:
        path: The file.
        tensors: The tensors, which are moved to the CPU and made contiguous.
        metadata: Texts for the file's header.

    Raises:
        StorageError: If it cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {**metadata, "format_version": TENSOR_FORMAT}
    header["sha256"] = _hash(plain, header)
    write_bytes(path, save(plain, metadata=header))  # `save_file` has a temporary file of its own, which kills leave


def load_tensors(path: Path, fingerprint: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Load and check a file written by `save_tensors`.

    Args:
        path: The file.
        fingerprint: The `fingerprint` its metadata must hold.

    Returns:
        Tensors and metadata.

    Raises:
        CorruptStateError: If the file is damaged, of another version, or of another configuration.
    """
    advice = way_out(path)
    check_readable(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dictionary
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptStateError(f"{path} cannot be read as safetensors ({error}); {advice}") from error
    _check_version(path, metadata)
    if metadata.pop("sha256", None) != _hash(tensors, metadata):
        raise CorruptStateError(f"{path} is damaged: it does not match its hash; {advice}")
    _check_fingerprint(path, metadata, fingerprint)
    return tensors, metadata


Layout = dict[str, tuple[str, tuple[int, ...]]]
"""Dtype, as named by safetensors (`F32`, `I64` ...), and shape of each tensor."""


def load_layout(path: Path, fingerprint: str) -> tuple[Layout, dict[str, str]]:
    """Load the header of a file written by `save_tensors`, without reading or checking tensors.

    Args:
        path: The file.
        fingerprint: The `fingerprint` its metadata must hold.

    Returns:
        Types and shapes of the tensors, and the metadata.

    Raises:
        CorruptStateError: If the header is damaged, of another version, or of another configuration.
    """
    check_readable(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            layout = {name: (str(one.get_dtype()), tuple(one.get_shape())) for name, one in slices.items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptStateError(f"{path} cannot be read as safetensors ({error}); {way_out(path)}") from error
    _check_version(path, metadata)
    _check_fingerprint(path, metadata, fingerprint)
    return layout, metadata


def check_fit(path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Check that a file holds tensors of the expected names and shapes, before any of them is used.

    Raises:
        CorruptStateError: If a tensor is missing, unexpected or of another shape.
    """
    missing, foreign = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    shared = sorted(expected.keys() & found.keys())
    misshapen = [name for name in shared if found[name].shape != expected[name].shape]
    for problem, names in (("lacks", missing), ("has unknown", foreign), ("has a misshapen", misshapen)):
        if names:
            raise CorruptStateError(
                f"{path} does not match this search space: it {problem} {names[0]} ({len(names)} in all); "
                f"{way_out(path)}"
            )


def _check_version(path: Path, metadata: Mapping[str, str]) -> None:
    found = metadata.get("format_version")
    if found is not None and found.isdecimal() and int(found[:9]) > int(TENSOR_FORMAT):
        raise CorruptStateError(
            f"{path} was written by a newer version of aebnas_bo (format {found[:9]}, this one reads up to "
            f"{TENSOR_FORMAT}): update aebnas_bo"
        )
    if found != TENSOR_FORMAT:
        raise CorruptStateError(f"{path} has format {found}, expected {TENSOR_FORMAT}; {way_out(path)}")


def _check_fingerprint(path: Path, metadata: Mapping[str, str], fingerprint: str) -> None:
    if metadata.get("fingerprint") != fingerprint:
        raise CorruptStateError(f"{path} belongs to another space, data set, seed or training; {way_out(path)}")


def _hash(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Return the SHA-256 of tensors and metadata, so that changed metadata is detected too."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.view(-1).view(dtype=torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()
