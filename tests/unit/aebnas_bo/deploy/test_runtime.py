import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aebnas_bo.data.transforms import normalize
from aebnas_bo.deploy import load
from aebnas_bo.deploy.description import NetworkDescription, NetworkFileError
from aebnas_bo.deploy.network_file import save_network
from aebnas_bo.deploy.onnx_files import write_early_exit, write_segments
from aebnas_bo.deploy.program_file import write_program
from aebnas_bo.deploy.runtime import DeployedNetwork, SingleImageEngine, StepwiseEngine
from aebnas_bo.deploy.segments import output_confidence, segments
from aebnas_bo.early_exit.exit_rule import ExitTable, exit_indices
from aebnas_bo.errors import DataError, UsageError
from aebnas_bo.space.architecture import Architecture, Block, ExitBranch, Stage

EVERY_KIND = tuple(
    Stage(8, (Block(5, 2, kind), Block(3, 1, kind))) for kind in ("dense", "inverted_residual", "convnext")
)
EXPORTED = ("onnx", "onnx-segments", "torch-export")  # which takes seconds
FORMATS = ("torch", *(pytest.param(name, marks=pytest.mark.slow) for name in EXPORTED))
LOADED = FORMATS[:-1]
WRITTEN = [(name, "ensemble") for name in EXPORTED] + [("onnx-segments", "ends at an exit")]
WRITTEN += [("onnx", variant) for variant in ("cumulative, learned, scaled", "every kind")]
VARIANTS = {
    "ensemble": {"weights": ((), (0.5, 0.75), (0.5, 0.25, 0.75))},
    "cumulative, learned, scaled": {
        "confidence": "learned",
        "exit_rule": "cumulative",
        "thresholds": (0.8, 0.83),
        "temperatures": (1.5, 1.0, 2.0),
    },
    "scaled": {"confidence": "max_softmax", "temperatures": (0.5, 2.0, 3.0), "thresholds": (0.85, 0.36)},
    "one exit off": {"thresholds": (None, 0.15), "confidence": "negative_entropy"},
    "no exit": {"thresholds": (None, None)},
    "every kind": {"thresholds": (None, None), "architecture": Architecture(8, EVERY_KIND, (ExitBranch(()),) * 2)},
    "ends at an exit": {"thresholds": (0.8, 0.0), "confidence": "learned"},
}


def write(folder: Path, format_: str, network) -> Path:
    subnet, description = network
    parts = segments(subnet, description)
    if format_ == "torch":
        save_network(folder / "network.safetensors", subnet, description)
    elif format_ == "onnx":
        write_early_exit(folder / "network.onnx", parts, description)
    elif format_ == "torch-export":
        write_program(folder / "network.pt2", parts, description)
    else:
        files = write_segments(folder, parts, description)
        (folder / "manifest.json").write_text(json.dumps({"segments": files}))
    return folder


def opened(folder: Path) -> DeployedNetwork:
    """What a folder holds; a program, which `load` refuses, as PyTorch itself loads it."""
    program = folder / "network.pt2"
    if not program.exists():
        return load(folder)
    with zipfile.ZipFile(program) as archive:
        [extra] = [name for name in archive.namelist() if name.endswith("extra/network.json")]
        description = NetworkDescription.from_json(archive.read(extra).decode(), extra)
    return DeployedNetwork(description, SingleImageEngine(description, torch.export.load(program).module()))


@torch.no_grad()
def expected(network, pixels: torch.Tensor):
    """The whole network over all images, and where each leaves by the table the search itself uses."""
    subnet, description = network
    images = normalize((255 * pixels).round().byte(), description.mean, description.std)
    rows = [output.position if output.name != "final" else -1 for output in description.outputs]
    logits = [subnet(images)[row] for row in rows]
    logits = [
        sum(weight * one for weight, one in zip(output.weights, logits, strict=False)) if output.weights else own
        for output, own in zip(description.outputs, logits, strict=True)
    ]
    sure = torch.stack([output_confidence(one, description, number) for number, one in enumerate(logits)])
    table = ExitTable(sure, torch.zeros_like(sure, dtype=torch.bool), (1,) * len(rows), description.exit_rule)
    left_at = exit_indices(table.certainty, description.thresholds)
    answers = torch.stack([one[:, : description.num_classes] for one in logits])
    return left_at, answers[left_at, torch.arange(len(left_at))]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rule", ["each", "cumulative"])
def test_images_leave_where_the_table_says_also_at_thresholds_that_are_just_reached(rule, seed, make_network) -> None:
    _, description = make_network(confidence="max_softmax", exit_rule=rule, temperatures=(1.0, 1.5, 0.5))
    generator = torch.Generator().manual_seed(seed)
    logits = 2.0 * torch.randn(3, 500, description.num_classes, generator=generator)
    sure = torch.stack([output_confidence(one, description, number) for number, one in enumerate(logits)])
    table = ExitTable(sure, torch.zeros_like(sure, dtype=torch.bool), (1, 2, 3), rule)
    thresholds = [float(certainty.quantile(0.6, interpolation="nearest")) for certainty in table.certainty[:2]]
    outputs = [
        output.model_copy(update={"threshold": threshold})
        for output, threshold in zip(description.outputs, [*thresholds, None], strict=True)
    ]
    description = description.model_copy(update={"outputs": tuple(outputs)})
    steps = [lambda images, one=one: (images, one[images]) for one in logits]
    found = StepwiseEngine(description, steps).run(torch.arange(500), leaves_early=True)
    assert torch.equal(found.exit_indices, exit_indices(table.certainty, thresholds))
    assert len(found.exit_indices.unique()) == 3


@pytest.fixture(scope="module")
def exported(make_network, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Gives the folder of a variant in a format, written once: exporting takes seconds."""
    base = tmp_path_factory.mktemp("exported")

    def folder(format_: str, variant: str = "ensemble") -> Path:
        target = base / variant.replace(" ", "_") / format_
        if not target.exists():
            target.mkdir(parents=True)
            write(target, format_, make_network(**VARIANTS[variant]))
        return target

    return folder


@pytest.fixture
def copied(exported, tmp_path: Path) -> Callable[[str], Path]:
    """Gives a copy of a network in a format, to be damaged."""
    return lambda format_: shutil.copytree(exported(format_), tmp_path / format_)


@pytest.mark.parametrize(
    ("format_", "variant"),
    [("torch", variant) for variant in VARIANTS]
    + [pytest.param(*written, marks=pytest.mark.slow) for written in WRITTEN],
)
def test_every_format_runs_what_the_network_is(make_network, pixels, exported, format_, variant) -> None:
    network = make_network(**VARIANTS[variant])
    left_at, logits = expected(network, pixels)
    predictions = opened(exported(format_, variant)).predict((255 * pixels).round().byte(), batch_size=16)
    assert torch.equal(predictions.exit_indices, left_at)
    assert torch.equal(predictions.labels, logits.argmax(dim=1))
    torch.testing.assert_close(predictions.logits, logits, atol=1e-4, rtol=0.0)
    assert len(left_at.unique()) == len(network[1].outputs)  # images leave everywhere


def test_images_that_have_left_are_not_run_further(pixels, exported) -> None:
    network = load(exported("torch"))
    sizes = []
    engine = network._engine
    engine._steps = [
        lambda features, step=step: (sizes.append(len(features)), step(features))[1] for step in engine._steps
    ]
    predictions = network.predict(pixels)
    counts = torch.bincount(predictions.exit_indices, minlength=3).tolist()
    assert sizes == [40, 40 - counts[0], 40 - counts[0] - counts[1]]
    sizes.clear()
    assert set(network.predict(pixels, leaves_early=False).exit_indices.tolist()) == {2}
    assert sizes == [40, 40, 40]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_network_leaves_on_cuda_where_it_does_on_the_cpu(pixels, exported) -> None:
    here, there = (load(exported("torch"), device).predict(pixels) for device in ("cpu", "cuda"))
    assert torch.equal(here.exit_indices, there.exit_indices)
    torch.testing.assert_close(here.logits, there.logits, atol=1e-3, rtol=0.0)


def test_pictures_of_any_size_and_kind_are_taken(exported, tmp_path) -> None:
    network = load(exported("torch"))
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (10, 10, 3), dtype=np.uint8))
    picture.save(tmp_path / "a.png")
    picture.resize((31, 17)).convert("L").save(tmp_path / "b.jpg")
    by_path = network.predict([tmp_path / "a.png", str(tmp_path / "b.jpg"), picture])
    assert torch.equal(by_path.logits[0], by_path.logits[2])
    by_array = network.predict(np.asarray(picture).transpose(2, 0, 1)[None])
    torch.testing.assert_close(by_array.logits[0], by_path.logits[0])
    nothing = network.predict([])
    assert (len(nothing.labels), nothing.logits.shape) == (0, (0, 4))


def test_grey_networks_read_colour_pictures(make_network, tmp_path) -> None:
    network = load(write(tmp_path, "torch", make_network(channels=1)))
    Image.new("RGB", (20, 20), (200, 10, 10)).save(tmp_path / "red.png")
    assert len(network.predict([tmp_path / "red.png"]).labels) == 1


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        (torch.zeros(2, 3, 8, 8), r"expected images of shape N x 3 x 10 x 10, got \(2, 3, 8, 8\)"),
        (torch.zeros(3, 10, 10), "expected images of shape"),
        (torch.zeros(2, 1, 10, 10), "expected images of shape"),
        (torch.full((1, 3, 10, 10), 255.0), r"pixels in \[0, 1\], got 255 to 255"),
        (torch.full((1, 3, 10, 10), float("nan")), r"pixels in \[0, 1\]"),
        (torch.zeros(1, 3, 10, 10, dtype=torch.int64), "expected uint8 or floating-point images, got torch.int64"),
        ("a.png", "expected a list of pictures"),
        (["nowhere.png"], "nowhere.png cannot be read"),
        (["/dev/zero"], r"/dev/zero cannot be read \(it is a device"),
        ([Image.new("F", (10, 10))], "the range of mode F is unknown"),
    ],
)
def test_wrong_images_are_refused(exported, images, problem) -> None:
    with pytest.raises(DataError, match=problem):
        load(exported("torch")).predict(images)


def test_a_damaged_picture_is_named(exported, tmp_path) -> None:
    network = load(exported("torch"))
    for data in (b"\x89PNG nonsense", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"):
        (tmp_path / "broken.png").write_bytes(data)
        with pytest.raises(DataError, match=r"broken\.png cannot be decoded .*damaged or not one of JPEG"):
            network.predict([tmp_path / "broken.png"])


@pytest.mark.parametrize("format_", LOADED)
def test_a_flipped_bit_is_found_wherever_it_is(copied, format_) -> None:
    folder = copied(format_)
    [path, *_] = sorted(file for file in folder.iterdir() if file.suffix != ".json")
    whole = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(whole), 12):
        data = bytearray(whole)
        data[place] ^= 4
        path.write_bytes(data)
        with pytest.raises(NetworkFileError, match=path.name):
            load(folder)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NetworkFileError, match=path.name):
        load(folder)


@pytest.mark.parametrize("name", ["network.safetensors", "network.onnx", "manifest.json"])
def test_foreign_files_are_refused(tmp_path, name) -> None:
    (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(NetworkFileError, match=name):
        load(tmp_path / name)


@pytest.mark.slow
def test_a_program_of_pytorch_is_refused_unread(copied, tmp_path) -> None:
    (tmp_path / "other.pt2").write_bytes(b"something else")
    folder = copied("torch-export")
    for path in (folder, folder / "network.pt2", tmp_path / "other.pt2"):
        with pytest.raises(UsageError, match=r"\.pt2: is a PyTorch program, .* does not load it.*format torch or onnx"):
            load(path)


@pytest.mark.slow
def test_segments_of_another_network_or_out_of_order_are_refused(copied) -> None:
    folder = copied("onnx-segments")
    for names in (["segment2.onnx", "segment1.onnx", "segment3.onnx"], ["segment1.onnx"], []):
        (folder / "manifest.json").write_text(json.dumps({"segments": names}))
        with pytest.raises(NetworkFileError, match="not the ordered segments of one network"):
            load(folder)
    with pytest.raises(UsageError, match="is one segment of a network"):
        load(folder / "segment1.onnx")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"segments": 3}', '{"segments": [3]}', '{"segments": {"a": 1}}', "9" * 5000, b"\xff"]
)
def test_a_manifest_of_something_else_is_refused(tmp_path, text) -> None:
    (tmp_path / "manifest.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(NetworkFileError, match=r"manifest\.json is damaged or not a valid manifest") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_segments_outside_the_folder_are_not_read(copied, tmp_path) -> None:
    folder = copied("onnx-segments")
    names = json.loads((folder / "manifest.json").read_text())["segments"]
    (tmp_path / "elsewhere").mkdir()
    (folder / names[1]).rename(tmp_path / "elsewhere" / names[1])
    (folder / names[1]).symlink_to(tmp_path / "elsewhere" / names[1])
    for name in (names[1], f"../elsewhere/{names[1]}", str(tmp_path / "elsewhere" / names[1]), "x" * 1000, ""):
        (folder / "manifest.json").write_text(json.dumps({"segments": [names[0], name, names[2]]}))
        with pytest.raises(NetworkFileError, match=r"manifest\.json names a file outside its folder"):
            load(folder)


@pytest.mark.slow
def test_a_folder_of_links_into_one_folder_is_read(copied, tmp_path) -> None:
    folder, links = copied("onnx-segments"), tmp_path / "links"
    links.mkdir()
    for path in folder.iterdir():
        (links / path.name).symlink_to(path)
    assert load(links).description == load(folder).description


@pytest.mark.slow
def test_damaged_weights_do_not_become_answers(make_network, pixels, tmp_path) -> None:
    subnet, description = make_network()
    subnet.head[-1].linear.bias.data[0] = float("nan")
    for format_ in ("torch", "onnx-segments"):
        (tmp_path / format_).mkdir()
        network = load(write(tmp_path / format_, format_, (subnet, description)))
        with pytest.raises(NetworkFileError, match="the network returns NaN or infinity"):
            network.predict(pixels, leaves_early=False)


def test_unknown_places_and_formats_are_named(tmp_path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load(tmp_path / "nowhere.onnx")
    with pytest.raises(UsageError, match="holds no exported network"):
        load(tmp_path)
    (tmp_path / "network.h5").touch()
    with pytest.raises(UsageError, match="unknown format"):
        load(tmp_path / "network.h5")


@pytest.mark.slow
def test_files_that_stop_by_themselves_cannot_be_told_not_to(pixels, exported) -> None:
    network = load(exported("onnx"))
    with pytest.raises(UsageError, match="early exits are built into this file"):
        network.predict(pixels, leaves_early=False)


@pytest.mark.parametrize("format_", FORMATS)
def test_files_say_nothing_of_the_machine_they_were_written_on(exported, format_) -> None:
    here = str(Path(__file__).resolve().parents[4]).encode()
    for path in exported(format_).iterdir():
        assert b"site-packages" not in path.read_bytes()
        assert here not in path.read_bytes()


def test_what_callers_pass_by_mistake_is_named(make_network, tmp_path) -> None:
    save_network(tmp_path / "network.safetensors", *make_network())
    network = load(tmp_path / "network.safetensors")
    picture = Image.new("RGB", (20, 20))
    data = io.BytesIO()
    Image.effect_noise((200, 200), 90).save(data, "JPEG")
    cut = Image.open(io.BytesIO(data.getvalue()[:2000]))
    for images, message in (
        (picture, "got a single picture; put it into a list"),
        ([np.zeros((20, 20, 3), np.uint8)], "got ndarray; pass arrays as one"),
        ([data.getvalue()], "got bytes; pass arrays"),
        ([cut], "a picture of 200x200 pixels cannot be read"),
    ):
        with pytest.raises(DataError, match=message):
            network.predict(images)
    with pytest.raises(UsageError, match="batch_size: expected a positive number, got 0"):
        network.predict([picture], batch_size=0)


def test_a_device_that_is_not_there_is_named(make_network, tmp_path, monkeypatch) -> None:
    save_network(tmp_path / "network.safetensors", *make_network())
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UsageError, match="device cuda: PyTorch finds no CUDA device; use cpu"):
        load(tmp_path / "network.safetensors", "cuda")
    with pytest.raises(UsageError, match="device gpu: unknown device"):
        load(tmp_path / "network.safetensors", "gpu")
