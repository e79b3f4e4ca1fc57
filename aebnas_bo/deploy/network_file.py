"""A trained network as one safetensors file: weights, and in the header everything else."""

from __future__ import annotations

from pathlib import Path

import torch

from aebnas_bo.deploy.description import NetworkDescription, NetworkFileError
from aebnas_bo.deploy.network_limits import MOST_FILE_BYTES, MOST_TEXT_BYTES
from aebnas_bo.deploy.segments import drop_tail
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.storage.regular_files import check_regular
from aebnas_bo.storage.tensor_file import Layout, load_layout, load_tensors, save_tensors
from aebnas_bo.supernet.subnet import Subnet

FINGERPRINT = "aebnas_bo network"
DTYPES = {torch.float32: "F32", torch.int64: "I64"}  # of a network's weights and counters
HEAD = "head."  # what the names of the head's tensors begin with


def save_network(path: Path, subnet: Subnet, description: NetworkDescription) -> None:
    """Write a network; the file appears whole or not at all.

    Args:
        path: The file, `*.safetensors`.
        subnet: The network.
        description: What goes into the header.
    """
    save_tensors(path, subnet.state_dict(), {"fingerprint": FINGERPRINT, "network": description.to_json()})


def load_network(path: Path) -> tuple[Subnet, NetworkDescription]:
    """Read a network, ready to be evaluated.

    A network that ends at an exit may lie there without what is behind it. The header is checked first: nothing is read
    or built that is larger than the file.

    Raises:
        NetworkFileError: If the file is damaged, of another version, too large, or holds no network.
    """
    try:
        _check_size(path)
        layout, metadata = load_layout(path, FINGERPRINT)
        description = NetworkDescription.from_json(metadata.get("network", ""), str(path))
        with torch.device("meta"):
            expected = _built(description, layout).state_dict()
        if layout != {name: (DTYPES.get(one.dtype), tuple(one.shape)) for name, one in expected.items()}:
            raise NetworkFileError(f"{path}: weights and architecture do not fit; export the network again")
        tensors, _ = load_tensors(path, FINGERPRINT)
    except CorruptStateError as error:
        reason = str(error).partition(";")[0]
        raise NetworkFileError(f"{reason}; export the network again, or copy the file again") from error
    subnet = _built(description, layout)
    subnet.load_state_dict(tensors)
    subnet.to(memory_format=torch.channels_last)  # as it was trained, so sums round alike
    return subnet.eval(), description


def _built(description: NetworkDescription, layout: Layout) -> Subnet:
    """Return a network of the parts that a file holds, with weights of no meaning."""
    subnet = Subnet(description.architecture, description.skeleton)
    if not any(name.startswith(HEAD) for name in layout):
        drop_tail(subnet, description)
    return subnet


def _check_size(path: Path) -> None:
    """Check the sizes of a file and of its header, which begins with its length in 8 bytes."""
    try:
        check_regular(path, MOST_FILE_BYTES)
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
    except OSError as error:
        raise NetworkFileError(f"{path} cannot be read ({error.strerror}); give a file that was exported") from error
    if length > 2 * MOST_TEXT_BYTES:
        raise NetworkFileError(
            f"{path} cannot be read as safetensors (it states a header of {length:,} bytes); export the network again"
        )
