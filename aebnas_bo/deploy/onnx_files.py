"""Networks as ONNX: one file with real branches for single images, or one file per segment for batches."""

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
    """Write one file that stops at the exit where its image leaves.

    Its input `images` is `1 x C x S x S` float32 pixels in [0, 1]; its outputs are `logits` (`1 x K`), `confidence`
    (`1`) and `exit_index` (`1`, int64, counted from 0 over the outputs in use).

    Args:
        path: The file, `*.onnx`.
        parts: The network's segments.
        description: What it says about itself.

    Raises:
        UsageError: If the packages that write ONNX are not installed.
    """
    example = torch.zeros(1, description.skeleton.in_channels, description.image_size, description.image_size)
    interface = _Interface(["images"], ["logits", "confidence", "exit_index"], has_batches=False)
    model = EarlyExitNetwork(parts, description).eval()
    _write(path, model, example, interface=interface, metadata={DESCRIPTION_KEY: description.to_json()})


def write_segments(folder: Path, parts: Sequence[Segment], description: NetworkDescription) -> list[str]:
    """Write one file per segment, for any number of images; return the files' names.

    The first reads `images` (`B x C x S x S` float32 pixels in [0, 1]), every other one as `features` what the one
    before it gave as `passed_on`. All give `logits` (`B x K`, one more column if confidence is learned).

    Args:
        folder: Where to.
        parts: The network's segments.
        description: What each says about the whole network.

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
    """Names of what a program takes and gives, and whether it takes any number of images."""

    inputs: list[str]
    outputs: list[str]
    has_batches: bool


class _Last(nn.Module):
    """The last segment, which passes nothing on."""

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
        raise NetworkFileError(f"{path}: PyTorch gave no ONNX program")
    proto = program.model_proto
    _strip(proto.graph)
    for key, value in {**metadata, SEAL_KEY: UNSEALED}.items():
        proto.metadata_props.add(key=key, value=value)
    data = seal(proto.SerializeToString())
    checked_model(data, str(path))  # another PyTorch may write operators that are not read
    write_bytes(path, data)


def _strip(graph: onnx.GraphProto) -> None:
    """Remove the names and lines of source files that the exporter notes at every node; no user needs them."""
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
    """Open an ONNX file of ours.

    Args:
        path: The file.
        num_threads: Threads of its operators.

    Returns:
        A session, the description and, of a segment's file, the segment's number from 0.

    Raises:
        UsageError: If onnxruntime is not installed.
        NetworkFileError: If the file is damaged, of another version, or none of ours.
    """
    require(READERS)
    try:
        data = read_regular(path, MOST_FILE_BYTES)
    except OSError as error:
        raise NetworkFileError(f"{path} cannot be read ({error.strerror}); give a file that was exported") from error
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
    """Check names and types of what a file takes and gives, and the size of the images it takes."""
    size, channels = description.image_size, description.skeleton.in_channels
    is_first, is_last = not segment, segment in (None, len(description.outputs) - 1)
    outputs = [("logits", FLOAT)] if is_last else [("passed_on", FLOAT), ("logits", FLOAT)]
    if segment is None:
        outputs += [("confidence", FLOAT), ("exit_index", "tensor(int64)")]
    [*inputs] = [(one.name, one.type) for one in session.get_inputs()]
    is_known = inputs == [("images" if is_first else "features", FLOAT)]
    if not is_known or [(one.name, one.type) for one in session.get_outputs()] != outputs:
        raise NetworkFileError(f"{origin} takes or gives something else than a network of ours; export it again")
    shape = list(session.get_inputs()[0].shape)[1:]
    if is_first and shape != [channels, size, size]:
        raise NetworkFileError(f"{origin} takes images of another size than it says, {shape}; export it again")


def run_session(session: onnxruntime.InferenceSession, features: Tensor) -> list[Tensor]:
    """Run a session on what its only input takes.

    Raises:
        NetworkFileError: If onnxruntime cannot run it.
    """
    try:
        found = session.run(None, {session.get_inputs()[0].name: features.contiguous().numpy()})
    except Exception as error:  # onnxruntime's errors have no common type but this
        raise NetworkFileError(f"onnxruntime cannot run the network ({reason_of(error)}); export it again") from error
    return [torch.from_numpy(part) for part in found]


def open_session(data: bytes, num_threads: int, origin: str) -> onnxruntime.InferenceSession:
    """Open the contents of an ONNX file that were checked, or come from no file.

    Args:
        data: The contents.
        num_threads: Threads of its operators.
        origin: The file's name, for messages.

    Raises:
        UsageError: If onnxruntime is not installed.
        NetworkFileError: If onnxruntime refuses it.
    """
    require(READERS)
    import onnxruntime  # noqa: PLC0415  an extra: only those who run ONNX need it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = 4  # errors are raised
    # Contents could look like the other format that onnxruntime reads, which was not checked.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common type but this
        raise NetworkFileError(
            f"{origin} cannot be run by onnxruntime ({reason_of(error)}); export the network again"
        ) from error


def require(packages: Sequence[str]) -> None:
    """Check that optional packages are there.

    Raises:
        UsageError: If one is missing.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UsageError(f"ONNX needs {', '.join(missing)}: pip install 'aebnas_bo[onnx]'")
