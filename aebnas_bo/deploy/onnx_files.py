"""ONNX files of networks: one file with conditional branches for single images, or one file per segment for batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from aebnas_bo.deploy.checksum import UNSEALED, check_seal, seal
from aebnas_bo.deploy.description import NetworkDescription, NetworkFileError
from aebnas_bo.deploy.network_limits import MOST_FILE_BYTES
from aebnas_bo.deploy.onnx_check import checked_model
from aebnas_bo.deploy.segments import EarlyExitNetwork, Segment
from aebnas_bo.errors import UsageError, reason_of
from aebnas_bo.estimation.silenced_remarks import without_remarks
from aebnas_bo.storage.atomic_files import write_bytes
from aebnas_bo.storage.regular_files import read_regular

if TYPE_CHECKING:
    import onnx
    import onnxruntime

OPSET = 20
DESCRIPTION_KEY, SEAL_KEY, SEGMENT_KEY = "aebnas_bo.network", "aebnas_bo.seal", "aebnas_bo.segment"
WRITERS, READERS = ("onnx", "onnxscript"), ("onnx", "onnxruntime")
FLOAT = "tensor(float)"


def write_early_exit(path: Path, parts: Sequence[Segment], description: NetworkDescription) -> None:
    """Write one file that stops at the exit at which the image leaves.

    Its input `images` is `1 x C x S x S` float32 pixels in [0, 1]; its outputs are `logits` (`1 x K`), `confidence`
    (`1`) and `exit_index` (`1`, int64, counted from 0 over the outputs in use).

    Args:
        path: The file, `*.onnx`.
        parts: The network's segments.
        description: Description for its metadata.

    Raises:
        UsageError: If the packages that write ONNX are not installed.
    """
    example = torch.zeros(1, description.skeleton.in_channels, description.image_size, description.image_size)
    interface = _Interface(["images"], ["logits", "confidence", "exit_index"], has_batches=False)
    model = EarlyExitNetwork(parts, description).eval()
    _write(path, model, example, interface=interface, metadata={DESCRIPTION_KEY: description.to_json()})


def write_segments(folder: Path, parts: Sequence[Segment], description: NetworkDescription) -> list[str]:
    """Write one file per segment, for any number of images; return the files' names.

    The first segment reads `images` (`B x C x S x S` float32 pixels in [0, 1]). Every other segment reads as `features`
    the output `passed_on` of the previous one. All return `logits` (`B x K`, or `B x (K + 1)` with learned confidence).

    Args:
        folder: Output folder.
        parts: The network's segments.
        description: Description of the network for the metadata of each file.

    Raises:
        UsageError: If the packages that write ONNX are not installed.
    """
    features = torch.zeros(2, description.skeleton.in_channels, description.image_size, description.image_size)
    names = []
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        inputs, outputs = ["images" if number == 0 else "features"], ["logits"] if is_last else ["passed_on", "logits"]
        interface = _Interface(inputs, outputs, has_batches=True)
        names.append(f"segment{number + 1}.onnx")
        metadata = {DESCRIPTION_KEY: description.to_json(), SEGMENT_KEY: str(number)}
        model = _Last(part) if is_last else part
        _write(folder / names[-1], model, features, interface=interface, metadata=metadata)
        with torch.no_grad():
            features = part(features)[0]
    return names


@dataclass(frozen=True)
class _Interface:
    """Names of a program's inputs and outputs, and whether the number of images is variable."""

    inputs: list[str]
    outputs: list[str]
    has_batches: bool


class _Last(nn.Module):
    """Last segment, which returns logits only."""

    def __init__(self, part: Segment) -> None:
        super().__init__()
        self.part = part

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.part(features)[1]
        return logits


def _write(
    path: Path,
    model: nn.Module,
    example: Tensor,
    *,
    interface: _Interface,
    metadata: dict[str, str],
) -> None:
    require(WRITERS)
    shapes = ({0: torch.export.Dim("batch")},) if interface.has_batches else None
    with without_remarks():
        program = torch.onnx.export(
            model.eval(), (example,), dynamo=True, input_names=interface.inputs,
            output_names=interface.outputs, dynamic_shapes=shapes, opset_version=OPSET, verbose=False,
        )  # fmt: skip
    if program is None:
        raise NetworkFileError(f"{path}: PyTorch returned no ONNX program")
    proto = program.model_proto
    _strip(proto.graph)
    for key, value in {**metadata, SEAL_KEY: UNSEALED}.items():
        proto.metadata_props.add(key=key, value=value)
    data = seal(proto.SerializeToString())
    checked_model(data, str(path))  # another version of PyTorch may write operators that are rejected on loading
    write_bytes(path, data)


def _strip(graph: onnx.GraphProto) -> None:
    """Remove the names and lines of source files that the exporter stores at every node."""
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _strip(attribute.g)
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""


def read_session(path: Path, num_threads: int) -> tuple[onnxruntime.InferenceSession, NetworkDescription, int | None]:
    """Open an ONNX file written by this package.

    Args:
        path: The file.
        num_threads: Threads of its operators.

    Returns:
        A session, the description and, for the file of a segment, its number from 0.

    Raises:
        UsageError: If onnxruntime is not installed.
        NetworkFileError: If the file is damaged, of another version, or not written by this package.
    """
    require(READERS)
    try:
        data = read_regular(path, MOST_FILE_BYTES)
    except OSError as error:
        raise NetworkFileError(f"{path} cannot be read ({error.strerror}); give an exported file") from error
    check_seal(data, str(path))
    checked, metadata = checked_model(data, str(path))
    description = NetworkDescription.from_json(metadata.get(DESCRIPTION_KEY, ""), str(path))
    numbers = {str(number): number for number in range(len(description.outputs))}
    if metadata.get(SEGMENT_KEY, "0") not in numbers:
        raise NetworkFileError(f"{path} is a segment that its network does not have; export the network again")
    segment = numbers[metadata[SEGMENT_KEY]] if SEGMENT_KEY in metadata else None
    session = open_session(checked, num_threads, str(path))
    _check_interface(session, description, segment, origin=str(path))
    return session, description, segment


def _check_interface(
    session: onnxruntime.InferenceSession, description: NetworkDescription, segment: int | None, *, origin: str
) -> None:
    """Check names and types of a file's inputs and outputs, and its image size."""
    size, channels = description.image_size, description.skeleton.in_channels
    is_first, is_last = not segment, segment in (None, len(description.outputs) - 1)
    outputs = [("logits", FLOAT)] if is_last else [("passed_on", FLOAT), ("logits", FLOAT)]
    if segment is None:
        outputs += [("confidence", FLOAT), ("exit_index", "tensor(int64)")]
    [*inputs] = [(one.name, one.type) for one in session.get_inputs()]
    is_known = inputs == [("images" if is_first else "features", FLOAT)]
    if not is_known or [(one.name, one.type) for one in session.get_outputs()] != outputs:
        raise NetworkFileError(f"{origin} has unexpected inputs or outputs; export the network again")
    shape = list(session.get_inputs()[0].shape)[1:]
    if is_first and shape != [channels, size, size]:
        raise NetworkFileError(f"{origin} has an image size other than described, {shape}; export the network again")


def run_session(session: onnxruntime.InferenceSession, features: Tensor) -> list[Tensor]:
    """Run a session on its single input.

    Raises:
        NetworkFileError: If onnxruntime cannot run it.
    """
    try:
        found = session.run(None, {session.get_inputs()[0].name: features.contiguous().numpy()})
    except Exception as error:  # onnxruntime's errors have no other common type
        raise NetworkFileError(f"onnxruntime cannot run the network ({reason_of(error)}); export it again") from error
    return [torch.from_numpy(part) for part in found]


def open_session(data: bytes, num_threads: int, origin: str) -> onnxruntime.InferenceSession:
    """Open the contents of an ONNX file, which must be checked or created in this process.

    Args:
        data: The contents.
        num_threads: Threads of its operators.
        origin: The file's name, for messages.

    Raises:
        UsageError: If onnxruntime is not installed.
        NetworkFileError: If onnxruntime rejects it.
    """
    require(READERS)
    import onnxruntime  # noqa: PLC0415  an extra: only those who run ONNX need it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = 4  # errors are raised
    # Without this, onnxruntime could take the contents for its other format, which was not checked.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common type but this
        raise NetworkFileError(
            f"{origin} cannot be run by onnxruntime ({reason_of(error)}); export the network again"
        ) from error


def require(packages: Sequence[str]) -> None:
    """Check that optional packages are installed.

    Raises:
        UsageError: If a package is missing.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UsageError(f"ONNX needs {', '.join(missing)}: pip install 'aebnas_bo[onnx]'")
