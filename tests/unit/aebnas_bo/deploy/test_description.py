import json

import pytest

from aebnas_bo.deploy.description import NetworkDescription, NetworkFileError, Original


def test_description_survives_json(make_network) -> None:
    _, description = make_network()
    assert NetworkDescription.from_json(description.to_json(), "file") == description
    assert description.thresholds == (0.5, 0.25)
    assert [output.position for output in description.outputs[:-1]] == [0, 1]


def test_files_of_earlier_versions_are_read(make_network) -> None:
    document = json.loads(make_network()[1].to_json())
    for split in ("validation", "test"):
        del document[split]["by_class"]
    assert NetworkDescription.from_json(json.dumps(document), "file").test.by_class is None


def test_predictions_by_class_are_of_all_classes(make_network) -> None:
    document = json.loads(make_network()[1].to_json())
    document["test"]["by_class"] = {"images": [2, 1], "correct": [2, 1], "confusions": []}
    with pytest.raises(NetworkFileError, match="predictions by class must have 4 classes"):
        NetworkDescription.from_json(json.dumps(document), "file")


def test_the_share_that_is_kept_of_a_given_backbone_is_stated(make_network) -> None:
    _, description = make_network()
    assert description.kept_text == ""
    original = Original(validation_accuracy=80.0, test_accuracy=100.0, macs=4 * description.test.average_macs)
    kept = description.model_copy(update={"original": original})
    assert kept.kept_text.startswith("keeps 90.0 % of the original accuracy (")
    assert kept.kept_text.endswith("of the test images) at 25 % of its average MACs")
    assert NetworkDescription.from_json(kept.to_json(), "file") == kept


def changed(description: NetworkDescription, **changes: object) -> str:
    return json.dumps({**json.loads(description.to_json()), **changes})


def test_another_version_is_named(make_network) -> None:
    _, description = make_network()
    with pytest.raises(NetworkFileError, match=r"net.onnx was written by another version \(format 2, .* reads 1\)"):
        NetworkDescription.from_json(changed(description, format_version=2), "net.onnx")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"key": "0" * 12}, "the file states 000000000000"),
        ({"class_names": ["cat", "dog"]}, "expected 4 class names, got 2"),
        ({"mean": [0.5]}, "a mean and a standard deviation for each of 3 channels"),
        ({"std": [0.2, 0.0, 0.1]}, "greater than 0"),
        ({"confidence": "hope"}, "confidence"),
        ({"outputs": []}, "outputs"),
        ({"surprise": 1}, "surprise"),
        ({"é" * 1000: 1}, r"\(é{40}: Extra inputs are not permitted\)"),
        ({"confidence": "learned"}, "the confidence is learned, but no exit has an output for it"),
        ({"image_size": 1 << 40}, "image_size: Input should be less than or equal to 4096"),
    ],
)
def test_contradictions_are_found(make_network, changes, problem) -> None:
    _, description = make_network()
    with pytest.raises(NetworkFileError, match=problem):
        NetworkDescription.from_json(changed(description, **changes), "file")


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 0, 2), (2, 1), (0, 2, 2)])
def test_outputs_are_exits_in_order_and_at_most_the_last_the_final_classifier(make_network, order) -> None:
    _, description = make_network()
    outputs = json.loads(description.to_json())["outputs"]
    with pytest.raises(NetworkFileError, match="outputs must be exits of the architecture in order"):
        NetworkDescription.from_json(changed(description, outputs=[outputs[k] for k in order]), "file")


def test_a_network_may_end_at_an_exit(make_network) -> None:
    _, description = make_network(thresholds=(0.5, 0.0))
    again = NetworkDescription.from_json(description.to_json(), "file")
    assert again == description
    assert [(output.name, output.threshold) for output in again.outputs] == [("exit1", 0.5), ("exit2", None)]
    assert again.thresholds == (0.5,)
    assert [output.title for output in again.outputs] == ["exit1", "exit2, where the network ends"]


def test_every_output_but_the_last_needs_a_threshold_and_the_last_none(make_network) -> None:
    _, description = make_network()
    outputs = json.loads(description.to_json())["outputs"]
    for last, at, threshold in ((2, 0, None), (2, 2, 0.5), (1, 1, 0.25)):
        wrong = [dict(output) for output in outputs]
        wrong[at]["threshold"] = threshold
        with pytest.raises(NetworkFileError, match="every output except the last must have a threshold"):
            NetworkDescription.from_json(changed(description, outputs=wrong[: last + 1]), "file")


@pytest.mark.parametrize(
    ("at", "changes", "problem"),
    [
        (1, {"weights": [0.5]}, "a weight for itself and for each output before it"),
        (1, {"weights": [0.5, 0.5, 0.5]}, "a weight for itself and for each output before it"),
        (1, {"weights": [-0.5, 0.5]}, "greater than or equal to 0"),
        (1, {"weights": [0.5, 0.5], "temperature": 2.0}, "a temperature of 1"),
    ],
)
def test_weights_of_an_exit_ensemble_fit_the_outputs(make_network, at, changes, problem) -> None:
    outputs = json.loads(make_network()[1].to_json())["outputs"]
    outputs[at].update(changes)
    with pytest.raises(NetworkFileError, match=problem):
        NetworkDescription.from_json(changed(make_network()[1], outputs=outputs), "file")


def test_outputs_predict_alone_where_confidence_is_learned(make_network) -> None:
    _, description = make_network(confidence="learned")
    outputs = json.loads(description.to_json())["outputs"]
    outputs[1]["weights"] = [0.5, 0.5]
    with pytest.raises(NetworkFileError, match="cannot have weights where confidence is learned"):
        NetworkDescription.from_json(changed(description, outputs=outputs), "file")


@pytest.mark.parametrize("split", ["validation", "test"])
def test_figures_are_of_the_outputs_in_use(split, make_network) -> None:
    document = json.loads(make_network()[1].to_json())
    del document[split]["outputs"][1]
    with pytest.raises(NetworkFileError, match="figures must match the outputs in use, in their order"):
        NetworkDescription.from_json(json.dumps(document), "file")


def test_a_network_too_large_to_be_built_is_refused(make_network) -> None:
    _, description = make_network()
    skeleton = {**json.loads(description.to_json())["skeleton"], "stem_channels": 1 << 40}
    with pytest.raises(NetworkFileError, match="numbers from 0 to 65536 in a network"):
        NetworkDescription.from_json(changed(description, skeleton=skeleton), "file")
    with pytest.raises(NetworkFileError, match=r"describes a network in 17,000,0\d\d bytes, more than 16,777,216"):
        NetworkDescription.from_json(" " * 17_000_000 + "{}", "file")
    with pytest.raises(NetworkFileError, match=r"\(format x{20}, this one reads 1\)"):
        NetworkDescription.from_json(changed(description, format_version="x" * 1000), "file")


@pytest.mark.parametrize("text", ["", "{}", "[1]", "no json", "[" * 100_000])
def test_what_is_no_description_is_refused(text) -> None:
    with pytest.raises(NetworkFileError, match="file has no valid description of a network"):
        NetworkDescription.from_json(text, "file")
