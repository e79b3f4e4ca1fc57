"""Check of an ONNX file before onnxruntime loads it: self-contained, with known operators only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from aebnas_bo.deploy.description import NetworkFileError
from aebnas_bo.deploy.network_limits import MOST_NUMBER
from aebnas_bo.errors import reason_of

if TYPE_CHECKING:
    import onnx
    from google.protobuf.message import Message

# Operators that the exporter writes, for given backbones too, and similar ones that other versions of it may write.
# None of them calls a local function, loops, or draws random numbers.
OPERATORS = frozenset({
    "Abs", "Add", "And", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip", "Concat", "Constant", "Conv",
    "CumSum", "DepthToSpace", "Div", "Elu", "Equal", "Erf", "Exp", "Expand", "Flatten", "Floor", "Gather",
    "GatherElements", "GatherND", "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "Greater", "GreaterOrEqual",
    "GroupNormalization", "HardSigmoid", "HardSwish", "Identity", "If", "InstanceNormalization", "IsNaN",
    "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax", "MatMul", "Max", "MaxPool", "Min",
    "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pad", "Pow", "Range", "Reciprocal", "ReduceL2", "ReduceMax",
    "ReduceMean", "ReduceMin", "ReduceSum", "Relu", "Reshape", "Resize", "Round", "ScatterND", "Shape", "Sigmoid",
    "Slice", "Softmax", "Softplus", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "TopK", "Transpose",
    "Unsqueeze", "Where"
})  # fmt: skip
# Message types of a model with dense tensors only: no functions, sparse tensors or maps.
PARTS = frozenset({
    "AttributeProto", "Dimension", "GraphProto", "ModelProto", "NodeProto", "OperatorSetIdProto",
    "StringStringEntryProto", "Tensor", "TensorProto", "TensorShapeProto", "TypeProto", "ValueInfoProto"
})  # fmt: skip
ITEM_BYTES = {1: 4, 6: 4, 7: 8, 9: 1}  # bytes per item of float32, int32, int64 and bool, by ONNX type number
INTEGERS = {6: np.int32, 7: np.int64}
SLICE_ENDS = (2**63 - 1, -(2**63))  # the end and the start of a slice of any length
DIVISIONS = frozenset({"Div", "Mod"})
NORMALIZATIONS = frozenset({"GroupNormalization", "InstanceNormalization"})
FLOAT = 1  # ONNX type number
TENSOR_FIELDS = frozenset({"dims", "data_type", "name", "raw_data", "doc_string"})


def checked_model(data: bytes, origin: str) -> tuple[bytes, dict[str, str]]:
    """Check an ONNX file.

    Args:
        data: Its contents.
        origin: Its name, for messages.

    Returns:
        The contents of the model without unchecked parts, and its metadata.

    Raises:
        NetworkFileError: If it refers to other files, has unknown parts or operators, or tensors of inconsistent size.
    """
    import onnx  # noqa: PLC0415  an extra: only those who use ONNX need it

    try:
        model = onnx.load_model_from_string(data)
        for part in _parts(model):
            _check_part(part)
        if any(one.domain for one in model.opset_import):
            raise ValueError("it needs operators of another domain")
        _check_divisions(model)
        _check_normalizations(model)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        if len(metadata) != len(model.metadata_props):
            raise ValueError("its metadata has a duplicate key")
        model.DiscardUnknownFields()
        return model.SerializeToString(), metadata
    except Exception as error:  # the parser has no specific exception type
        raise NetworkFileError(
            f"{origin} is not an ONNX network that aebnas_bo can read ({reason_of(error)}); export the network again"
        ) from error


def _parts(model: onnx.ModelProto) -> Iterator[Message]:
    """Yield a model and all messages in it."""
    waiting: list[Message] = [model]
    while waiting:
        part = waiting.pop()
        yield part
        for field, value in part.ListFields():
            if field.message_type is not None:
                waiting += [value] if hasattr(value, "ListFields") else list(value)


def _check_part(part: Message) -> None:
    name = part.DESCRIPTOR.name
    if name not in PARTS:
        raise ValueError(f"it has a part of the unknown type {name}")
    if name == "NodeProto" and (part.domain or part.op_type not in OPERATORS):
        raise ValueError(f"it uses the unknown operator {part.domain}{part.op_type}"[:80])
    if name == "AttributeProto" and any(abs(one) > MOST_NUMBER for one in (part.i, *part.ints)):
        raise ValueError(f"it has a number above {MOST_NUMBER}")
    if name == "TensorProto":
        _check_tensor(part)


def _check_divisions(model: onnx.ModelProto) -> None:
    """Check that whole numbers are divided by positive constants only.

    Division of the lowest number by -1, and by 0 on some machines, ends the process.
    """
    nodes = [part for part in _parts(model) if part.DESCRIPTOR.name == "NodeProto" and part.op_type in DIVISIONS]
    if not nodes:
        return
    types, constants = _types_and_constants(model)
    for node in nodes:
        divisor = node.input[1]
        found = constants.get(divisor, [])
        is_positive = bool(found) and all(numbers.size and numbers.min() > 0 for numbers in found)
        if types.get(divisor, set()) != {FLOAT} and not (is_positive and len(types.get(divisor, set())) <= 1):
            raise ValueError(f"it divides by {divisor}, which is neither a float nor a positive constant"[:120])


def _check_normalizations(model: onnx.ModelProto) -> None:
    """Check that no normalization over pixels reads an empty tensor, which ends the process."""
    import onnx  # noqa: PLC0415

    nodes = [part for part in _parts(model) if part.DESCRIPTOR.name == "NodeProto" and part.op_type in NORMALIZATIONS]
    if not nodes:
        return
    batches = {dim.dim_param for value in model.graph.input for dim in value.type.tensor_type.shape.dim[:1]} - {""}
    shapes = {
        part.name: part.type.tensor_type.shape.dim
        for part in _parts(onnx.shape_inference.infer_shapes(model, strict_mode=True))
        if part.DESCRIPTOR.name == "ValueInfoProto"
    }
    for node in nodes:
        first, *others = shapes.get(node.input[0]) or [None]
        has_images = first is not None and (first.dim_value > 0 or first.dim_param in batches)
        if not has_images or not all(dim.dim_value > 0 for dim in others):
            raise ValueError(f"it normalizes {node.input[0]}, whose size is not known or 0"[:120])


def _types_and_constants(model: onnx.ModelProto) -> tuple[dict[str, set[int]], dict[str, list[np.ndarray]]]:
    """Return the types of all values and the numbers of all integer constants, by name."""
    import onnx  # noqa: PLC0415

    types: dict[str, set[int]] = {}
    constants: dict[str, list[np.ndarray]] = {}

    def add(name: str, tensor: Message) -> None:
        types.setdefault(name, set()).add(tensor.data_type)
        if tensor.data_type in INTEGERS:
            constants.setdefault(name, []).append(np.frombuffer(tensor.raw_data, INTEGERS[tensor.data_type]))

    for part in _parts(onnx.shape_inference.infer_shapes(model, strict_mode=True)):
        kind = part.DESCRIPTOR.name
        if kind == "ValueInfoProto":
            types.setdefault(part.name, set()).add(part.type.tensor_type.elem_type)
        elif kind == "GraphProto":
            for tensor in part.initializer:
                add(tensor.name, tensor)
        elif kind == "NodeProto" and part.op_type == "Constant":
            for attribute in part.attribute:
                if attribute.HasField("t"):
                    add(part.output[0], attribute.t)
    return types, constants


def _check_tensor(tensor: Message) -> None:
    fields = {field.name: value for field, value in tensor.ListFields()}
    if {"external_data", "data_location"} & fields.keys():
        raise ValueError("it has external weights, which aebnas_bo never writes")
    foreign = fields.keys() - TENSOR_FIELDS
    dims, kind, data = list(fields.get("dims", [])), fields.get("data_type", 0), fields.get("raw_data", b"")
    if foreign or kind not in ITEM_BYTES or any(size < 0 for size in dims):
        raise ValueError("it has weights of an unknown type")
    if math.prod(dims) * ITEM_BYTES[kind] != len(data):
        raise ValueError(f"it has weights of {len(data)} bytes for the shape {dims}"[:120])
    numbers = np.frombuffer(data, INTEGERS[kind]).tolist() if kind in INTEGERS else []
    if any(abs(one) > MOST_NUMBER and one not in SLICE_ENDS for one in numbers):
        raise ValueError(f"it has a number above {MOST_NUMBER}")
