"""File of a trained network: safetensors with the weights, and the description in the header."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import torch

from aebnas_bo.backbones.pieces import given_pieces
from aebnas_bo.deploy.description import NetworkDescription, NetworkFileError
from aebnas_bo.deploy.network_limits import MOST_FILE_BYTES, MOST_TEXT_BYTES
from aebnas_bo.deploy.segments import drop_tail
from aebnas_bo.errors import CorruptStateError, UsageError
from aebnas_bo.storage.regular_files import check_regular
from aebnas_bo.storage.tensor_file import Layout, load_layout, load_tensors, save_tensors
from aebnas_bo.supernet.given_subnet import GivenSubnet
from aebnas_bo.supernet.subnet import Subnet

FINGERPRINT = "aebnas_bo network"
DTYPES = {
    torch.float32: "F32", torch.int64: "I64",  # weights and counters; the others occur in given backbones
    torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16", torch.int32: "I32", torch.uint8: "U8",
    torch.bool: "BOOL",
}  # fmt: skip
HEAD = "head."  # prefix of the head's tensors


def save_network(path: Path, subnet: Subnet, description: NetworkDescription) -> None:
    """Write a network atomically.

    Args:
        path: The file, `*.safetensors`.
        subnet: The network.
        description: Description for the header.
    """
    tensors = subnet.state_dict()
    if subnet.skeleton.given is not None:  # pieces may share weights, which the format does not allow
        tensors = {name: one.clone() for name, one in tensors.items()}
    save_tensors(path, tensors, {"fingerprint": FINGERPRINT, "network": description.to_json()})


def load_network(path: Path, *, trusts_code: bool = False) -> tuple[Subnet, NetworkDescription]:
    """Load a network in evaluation mode.

    The file of a network that ends at an exit may lack later layers. The header is checked first, so that no more
    memory is used than the size of the file, except by the library of a given backbone.

    Args:
        path: The file.
        trusts_code: Whether to import the Python module that the file of a network on a given backbone may name.

    Raises:
        NetworkFileError: If the file is damaged, of another version, too large, or holds no network.
        UsageError: If it names a Python module, and code is not trusted.
        ConfigError: If a given backbone cannot be created.
    """
    try:
        _check_size(path)
        layout, metadata = load_layout(path, FINGERPRINT)
        description = NetworkDescription.from_json(metadata.get("network", ""), str(path))
        given = description.skeleton.given
        if given is not None and given.source == "module" and not trusts_code:
            raise UsageError(
                f"{path} names the Python module of its backbone, {given.name}; importing it can run any code. If you "
                "trust the author of the file, add --trust (in Python: trust=True)"
            )
        with torch.device("meta") if given is None else nullcontext():
            subnet = _built(description, layout)
            expected = subnet.state_dict()
        if layout != {name: (DTYPES.get(one.dtype), tuple(one.shape)) for name, one in expected.items()}:
            raise NetworkFileError(f"{path}: weights and architecture do not match; export the network again")
        tensors, _ = load_tensors(path, FINGERPRINT)
    except CorruptStateError as error:
        raise _unreadable(error) from error
    if given is None:
        subnet = _built(description, layout)
    subnet.load_state_dict(tensors)
    subnet.to(memory_format=torch.channels_last)  # as in training, so that sums are rounded equally
    return subnet.eval(), description


def load_description(path: Path) -> NetworkDescription:
    """Load the description of a network, with the checks of `load_network`.

    For a network on a given backbone, names and sizes of its weights are not checked, because that takes as long as
    tracing the backbone.

    Args:
        path: The file.

    Raises:
        NetworkFileError: See `load_network`.
    """
    try:
        _check_size(path)
        _, metadata = load_layout(path, FINGERPRINT)
        description = NetworkDescription.from_json(metadata.get("network", ""), str(path))
        if description.skeleton.given is None:
            return load_network(path)[1]
        load_tensors(path, FINGERPRINT)  # checks the hash
    except CorruptStateError as error:
        raise _unreadable(error) from error
    return description


def _unreadable(error: CorruptStateError) -> NetworkFileError:
    reason = str(error).partition(";")[0]
    return NetworkFileError(f"{reason}; export the network again, or copy the file again")


def _built(description: NetworkDescription, layout: Layout) -> Subnet:
    """Construct a network of the parts in a file, with uninitialised weights."""
    skeleton = description.skeleton
    if skeleton.given is None:
        subnet = Subnet(description.architecture, skeleton)
    else:
        subnet = GivenSubnet(description.architecture, skeleton, given_pieces(skeleton.given))
    if not any(name.startswith(HEAD) for name in layout):
        drop_tail(subnet, description)
    return subnet


def _check_size(path: Path) -> None:
    """Check the sizes of a file and of its header, which starts with its length in 8 bytes."""
    try:
        check_regular(path, MOST_FILE_BYTES)
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
    except OSError as error:
        raise NetworkFileError(f"{path} cannot be read ({error.strerror}); give an exported file") from error
    if length > 2 * MOST_TEXT_BYTES:
        raise NetworkFileError(
            f"{path} cannot be read as safetensors (it states a header of {length:,} bytes); export the network again"
        )
