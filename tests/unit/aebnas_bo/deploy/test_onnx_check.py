import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from aebnas_bo.deploy import load
from aebnas_bo.deploy.checksum import UNSEALED, seal
from aebnas_bo.deploy.description import NetworkFileError
from aebnas_bo.deploy.onnx_check import checked_model
from aebnas_bo.deploy.onnx_files import DESCRIPTION_KEY, SEAL_KEY, open_session

SECRET = np.arange(4, dtype=np.float32)


def made_model() -> onnx.ModelProto:
    """A model that adds four weights to four numbers."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("images", "logits")]
    weights = numpy_helper.from_array(SECRET, "weights")
    node = helper.make_node("Add", ["images", "weights"], ["logits"])
    graph = helper.make_graph([node], "graph", ends[:1], ends[1:], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def sealed(model: onnx.ModelProto, description: str = "{}") -> bytes:
    for key, value in ((DESCRIPTION_KEY, description), (SEAL_KEY, UNSEALED)):
        model.metadata_props.add(key=key, value=value)
    return seal(model.SerializeToString())


def outside(model: onnx.ModelProto, location: str) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def test_a_whole_model_passes_and_runs() -> None:
    model = made_model()
    model.metadata_props.add(key="key", value="value")
    data, metadata = checked_model(model.SerializeToString(), "net.onnx")
    assert metadata == {"key": "value"}
    [found] = open_session(data, 1, "net.onnx").run(None, {"images": np.ones(4, np.float32)})
    assert found.tolist() == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("where", ["absolute", "above", "beside", "link", "memory"])
def test_weights_outside_of_the_file_are_refused_before_onnxruntime_sees_them(
    where: str, tmp_path: Path, monkeypatch
) -> None:
    folder = tmp_path / "exported"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for place in (tmp_path / "secret", folder / "beside"):
        place.write_bytes(SECRET.tobytes())
    (folder / "link").symlink_to(tmp_path / "secret")
    location = {
        "absolute": str(tmp_path / "secret"), "above": "../secret", "beside": "beside", "link": "link",
        "memory": "*/_ORT_MEM_ADDR_/*",
    }[where]  # fmt: skip
    model = made_model()
    outside(model, location)
    (folder / "network.onnx").write_bytes(sealed(model))
    opened: list[object] = []
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *given, **_: opened.append(given))
    with pytest.raises(NetworkFileError, match=r"network\.onnx is not an ONNX network .*external weights.*export"):
        load(folder)
    assert opened == []


def in_an_attribute(model: onnx.ModelProto) -> None:
    other = made_model()
    outside(other, "beside")
    model.graph.node.append(helper.make_node("Constant", [], ["there"], value=other.graph.initializer[0]))


def in_a_branch(model: onnx.ModelProto) -> None:
    other = made_model()
    outside(other, "beside")
    model.graph.node.append(helper.make_node("If", ["images"], ["there"], then_branch=other.graph))


def in_a_function(model: onnx.ModelProto) -> None:
    model.functions.add(name="own", domain="mine")


def an_operator_of_others(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.example"


def others_imported(model: onnx.ModelProto) -> None:
    model.opset_import.add(domain="com.example", version=1)


def repetition(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Loop"


def sparse_weights(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().dims.append(1 << 40)


def promised_weights(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [1 << 40]


def weights_in_another_field(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].float_data.append(1.0)


def negative_size(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [-2, -2]


def text(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("text", TensorProto.STRING, [1], ["a"]))


def large_number(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([1 << 40]), "number"))


def large_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("axes", [1, 1 << 40]))


def lowest_number_by_minus_one(model: onnx.ModelProto) -> None:
    """Such a division ends the process."""
    for name, value in (("lowest", -(2**63)), ("minus", -1)):
        model.graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
    model.graph.node.append(helper.make_node("Div", ["lowest", "minus"], ["whole"]))


def computed_divisor(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([65536]), "number"))
    model.graph.node.append(helper.make_node("Neg", ["number"], ["divisor"]))
    model.graph.node.append(helper.make_node("Mod", ["number", "divisor"], ["whole"]))


def two_descriptions(model: onnx.ModelProto) -> None:
    for value in ("one", "two"):
        model.metadata_props.add(key=DESCRIPTION_KEY, value=value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (in_an_attribute, "external weights"),
        (in_a_branch, "external weights"),
        (in_a_function, "part of the unknown type FunctionProto"),
        (an_operator_of_others, "unknown operator com.exampleAdd"),
        (others_imported, "operators of another domain"),
        (repetition, "unknown operator Loop"),
        (sparse_weights, "part of the unknown type SparseTensorProto"),
        (promised_weights, r"weights of 16 bytes for the shape \[1099511627776\]"),
        (weights_in_another_field, "weights of an unknown type"),
        (negative_size, "weights of an unknown type"),
        (text, "weights of an unknown type"),
        (large_number, "number above 65536"),
        (large_attribute, "number above 65536"),
        (two_descriptions, "a duplicate key"),
        (lowest_number_by_minus_one, "divides by minus, which is neither a float nor a positive constant"),
        (computed_divisor, "divides by divisor, which is neither a float nor a positive constant"),
    ],
)
def test_what_no_network_of_ours_has_is_refused(change: Callable[[onnx.ModelProto], None], problem: str) -> None:
    model = made_model()
    change(model)
    with pytest.raises(
        NetworkFileError, match=rf"net\.onnx is not an ONNX network that aebnas_bo can read \(it.*{problem}"
    ):
        checked_model(model.SerializeToString(), "net.onnx")


def test_a_divisor_is_no_float_because_the_file_says_so() -> None:
    model = made_model()
    computed_divisor(model)
    model.graph.value_info.append(helper.make_tensor_value_info("divisor", TensorProto.FLOAT, [1]))
    with pytest.raises(NetworkFileError, match="Inferred elem type differs from existing elem type"):
        checked_model(model.SerializeToString(), "net.onnx")


def test_floats_and_positive_constants_are_divisors() -> None:
    model = made_model()
    model.graph.initializer.append(numpy_helper.from_array(np.array([2, 3]), "numbers"))
    model.graph.node[0].output[0] = "sum"
    model.graph.node.append(helper.make_node("Div", ["numbers", "numbers"], ["ones"]))
    model.graph.node.append(helper.make_node("Exp", ["images"], ["computed"]))
    model.graph.node.append(helper.make_node("Div", ["sum", "computed"], ["logits"]))
    data, _ = checked_model(model.SerializeToString(), "net.onnx")
    [found] = open_session(data, 1, "net.onnx").run(None, {"images": np.zeros(4, np.float32)})
    assert found.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_what_is_not_known_does_not_reach_onnxruntime() -> None:
    model = made_model()
    unknown = b"\xfa\x3f\x03abc"  # field 1023 of three bytes
    data, _ = checked_model(model.SerializeToString() + unknown, "net.onnx")
    assert data == model.SerializeToString()


def test_the_other_format_of_onnxruntime_is_not_read() -> None:
    looks_like_it = b"\x08\x0a\x12\x07ORTMabc"  # an ONNX model whose producer is named so
    assert onnx.load_model_from_string(looks_like_it).producer_name == "ORTMabc"
    with pytest.raises(NetworkFileError, match=r"net\.onnx cannot be run by onnxruntime") as caught:
        open_session(looks_like_it, 1, "net.onnx")
    assert "ORT model" not in str(caught.value)


def test_a_pipe_or_a_device_is_no_network(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "network.onnx")
    (tmp_path / "network.safetensors").symlink_to("/dev/zero")
    for name, kind in (("network.onnx", "pipe"), ("network.safetensors", "device")):
        with pytest.raises(NetworkFileError, match=rf"{name} cannot be read \(it is a {kind}"):
            load(tmp_path / name)


def normalizing(start: int | None) -> onnx.ModelProto:
    """A model that normalizes its images, or those from one number on, which depends on their sum."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2, 3, 3]) for name in ("images", "logits")]
    weights = [numpy_helper.from_array(np.ones(2, np.float32), name) for name in ("scale", "shift")]
    nodes = [helper.make_node("InstanceNormalization", ["images", "scale", "shift"], ["logits"])]
    if start is not None:
        numbers = {"far": [9], "axis": [start]}
        weights += [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in numbers.items()]
        nodes[0].input[0] = "part"
        nodes = [
            helper.make_node("ReduceSum", ["images"], ["sum"], keepdims=0),
            helper.make_node("Cast", ["sum"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Unsqueeze", ["whole", "axis0"], ["start"]),
            helper.make_node("Slice", ["images", "start", "far", "axis"], ["part"]),
            *nodes,
        ]
        weights.append(numpy_helper.from_array(np.array([0], np.int64), "axis0"))
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_images_are_normalized_by_channel() -> None:
    data, _ = checked_model(normalizing(None).SerializeToString(), "net.onnx")
    [found] = open_session(data, 1, "net.onnx").run(None, {"images": np.ones((4, 2, 3, 3), np.float32)})
    assert found.shape == (4, 2, 3, 3)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_normalization_of_nothing_does_not_reach_onnxruntime(axis: int) -> None:
    with pytest.raises(NetworkFileError, match="it normalizes part, whose size is not known or 0"):
        checked_model(normalizing(axis).SerializeToString(), "net.onnx")
