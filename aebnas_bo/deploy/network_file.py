"""A trained network as one safetensors file: weights, and in the header everything else."""

from __future__ import annotations

from pathlib import Path

import torch

from aebnas_bo.deploy.description import NetworkDescription, NetworkFileError
from aebnas_bo.deploy.segments import drop_tail
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.storage.tensor_file import check_fit, load_tensors, save_tensors
from aebnas_bo.supernet.subnet import Subnet

FINGERPRINT = "aebnas_bo network"
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

    A network that ends at an exit may lie there without what is behind it.

    Raises:
        NetworkFileError: If the file is damaged, of another version, or holds no network.
    """
    try:
        tensors, metadata = load_tensors(path, FINGERPRINT)
    except CorruptStateError as error:
        reason = str(error).partition(";")[0]
        raise NetworkFileError(f"{reason}; export the network again, or copy the file again") from error
    description = NetworkDescription.from_json(metadata.get("network", ""), str(path))
    subnet = Subnet(description.architecture, description.skeleton)
    if not any(name.startswith(HEAD) for name in tensors):
        drop_tail(subnet, description)
    try:
        check_fit(path, tensors, subnet.state_dict())
    except CorruptStateError as error:
        raise NetworkFileError(f"{path}: weights and architecture do not fit; export the network again") from error
    subnet.load_state_dict(tensors)
    subnet.to(memory_format=torch.channels_last)  # as it was trained, so sums round alike
    return subnet.eval(), description
