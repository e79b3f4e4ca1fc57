"""Networks as exported programs of PyTorch (`.pt2`): no code of ours is needed to run them.

`torch.export.load` evaluates size expressions, and running a program executes its guards: both are text in the file. A
program is therefore read only on request; the checks of its members find damage, not an attack.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from aebnas_bo.deploy.checksum import UNSEALED, check_seal, seal
from aebnas_bo.deploy.description import NetworkDescription, NetworkFileError
from aebnas_bo.deploy.segments import EarlyExitNetwork, Segment
from aebnas_bo.errors import UsageError
from aebnas_bo.estimation.silenced_remarks import without_remarks
from aebnas_bo.storage.atomic_files import write_bytes

EXTRA = "network.json"
# All members of a program of plain tensors. Any other member could hold a pickle.
KNOWN_MEMBERS = re.compile(
    r"[^/]+/(data/weights/weight_\d+|data/(weights|constants)/model_\w+_config\.json|data/constants/tensor_\d+"
    r"|data/sample_inputs/model\.pt|models/model\.json|extra/network\.json|archive_format|archive_version|byteorder"
    r"|\.data/version|\.data/serialization_id|\.format_version|\.storage_alignment)"
)
# What reading a damaged archive provokes.
DAMAGE = (OSError, EOFError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error, pickle.UnpicklingError)

Run = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


def write_program(path: Path, parts: Sequence[Segment], description: NetworkDescription) -> None:
    """Write a program that maps `1 x C x S x S` pixels in [0, 1] to logits, confidence and exit index.

    Args:
        path: The file, `*.pt2`.
        parts: The network's segments.
        description: What it says about itself.
    """
    example = torch.zeros(1, description.skeleton.in_channels, description.image_size, description.image_size)
    buffer = io.BytesIO()
    with without_remarks():
        program = torch.export.export(EarlyExitNetwork(parts, description).eval(), (example,))
        _strip(program)
        torch.export.save(program, buffer, extra_files={EXTRA: description.to_json()})
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = UNSEALED.encode()
    write_bytes(path, seal(buffer.getvalue()))


def _strip(program: torch.export.ExportedProgram) -> None:
    """Remove names and lines of source files, which would show where the program was made."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                for name in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node"):
                    node.meta.pop(name, None)


def read_program(path: Path, *, trust: bool) -> tuple[Run, NetworkDescription]:
    """Read a program, which can run code of the person who made it.

    Args:
        path: The file, `*.pt2`.
        trust: Whether the caller trusts the source of the file; without trust nothing of it is read.

    Raises:
        UsageError: If the file is not trusted.
        NetworkFileError: If the file is damaged, of another version, or none of ours.
    """
    if not trust:
        raise UsageError(
            f"{path} is a PyTorch program, which can run code of the person who made it; add --trust (in Python: "
            "trust=True) if you made the file yourself or trust its source, or use the format torch or onnx, which "
            "cannot run code"
        )
    try:
        data = path.read_bytes()
        check_seal(data, str(path))
        text = _checked(data)
    except NetworkFileError:
        raise
    except DAMAGE as error:
        raise NetworkFileError(f"{path} is damaged or no network of ours ({error}); export it again") from error
    description = NetworkDescription.from_json(text, str(path))
    try:
        with without_remarks():
            program = torch.export.load(io.BytesIO(data))
        run: Run = program.module()
    except Exception as error:  # whatever a program of another version of PyTorch provokes
        raise NetworkFileError(
            f"{path} cannot be read by PyTorch {torch.__version__} ({error}); export the network again with it"
        ) from error
    return run, description


def _checked(data: bytes) -> str:
    """Check that the archive has known members and no pickle, and return the description's text."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        foreign = [name for name in names if not KNOWN_MEMBERS.fullmatch(name)]
        if foreign:
            raise ValueError(f"unexpected part {foreign[0]}")
        for name in names:
            if name.endswith("_config.json"):
                entries = json.loads(archive.read(name))["config"].values()
                if any(entry.get("use_pickle") for entry in entries):
                    raise ValueError(f"{name} asks for a pickle")
            if name.endswith(".pt"):
                torch.load(io.BytesIO(archive.read(name)), weights_only=True)
        [description] = [name for name in names if name.endswith(f"extra/{EXTRA}")]
        return archive.read(description).decode("utf-8")
