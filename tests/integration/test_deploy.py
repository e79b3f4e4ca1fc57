"""From a finished search to predictions in a process that knows nothing of the run."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from aebnas_bo.data.datasets import load_splits
from aebnas_bo.data.settings import DataConfig
from aebnas_bo.data.transforms import normalize
from aebnas_bo.deploy.network_file import load_network

from .conftest import SMALL, Call

FORMATS = ("torch", "onnx")  # test_runtime.py compares the predictions of all formats
PREDICT = """
import json, sys
import torch
from aebnas_bo.deploy import load
images = torch.load(sys.argv[1], weights_only=True)
found = {}
for path in sys.argv[2:]:
    predictions = load(path).predict(images)
    found[path] = {name: getattr(predictions, name).tolist() for name in ("labels", "exit_indices", "logits")}
print(json.dumps(found))
"""


def test_a_searched_network_is_trained_exported_and_used(call: Call, tmp_path: Path, environment) -> None:
    searched = call("run", "--budget", "8", "--out", "search", *SMALL)
    assert searched.returncode == 0, searched.stderr
    trained = call("train", "search", "--select", "best-accuracy", "--epochs", "4", "--seeds", "0-1")
    assert trained.returncode == 0, trained.stderr
    assert "mean" in trained.stdout
    assert "a plain network of" in trained.stdout.splitlines()[-1]
    assert (tmp_path / "search" / "trained" / "plain.csv").exists()
    again = call("train", "search", "--select", "best-accuracy", "--epochs", "4", "--no-plain", "--json")
    assert (json.loads(again.stdout)["plain_networks"], json.loads(again.stdout)["against_plain"]) == ([], None)
    exported = call("export", "search", "--select", "best-accuracy", "--out", "files", "--json",
                    *(f"--format={name}" for name in FORMATS))  # fmt: skip
    assert exported.returncode == 0, exported.stderr
    document = json.loads(exported.stdout)
    subnet, description = load_network(tmp_path / document["network"])
    shutil.rmtree(tmp_path / "search")

    splits = load_splits(DataConfig(max_train_images=600))
    torch.save(splits.test.images, tmp_path / "images.pt")
    paths = [document["exported"][name] for name in FORMATS]
    fresh = subprocess.run(
        [sys.executable, "-c", PREDICT, "images.pt", *paths],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    with torch.no_grad():
        every = subnet(normalize(splits.test.images, splits.mean, splits.std))
    outputs_of = dict(zip((*description.architecture.active_exits, None), every, strict=True))
    rows = [output.position for output in description.outputs[:-1]]
    own = torch.stack([outputs_of[None if output.is_final else output.position] for output in description.outputs])
    weights = [torch.tensor(output.weights or [1.0]) for output in description.outputs]
    logits = torch.stack([torch.tensordot(one, own[: len(one)], dims=1) for one in weights])
    assert not rows or description.has_ensemble
    top = logits.softmax(dim=-1).topk(2, dim=-1).values
    margins = top[..., 0] - top[..., 1]
    left_at = torch.full((len(splits.test),), len(rows))
    for number in reversed(range(len(rows))):
        left_at[margins[number] >= description.thresholds[number]] = number
    expected = logits[left_at, torch.arange(len(left_at))]
    for path, found in json.loads(fresh.stdout).items():
        assert found["exit_indices"] == left_at.tolist(), path
        assert found["labels"] == expected.argmax(dim=1).tolist(), path
        torch.testing.assert_close(torch.tensor(found["logits"]), expected, atol=1e-4, rtol=0.0)
    counts = torch.bincount(left_at, minlength=len(rows) + 1).tolist()
    assert [output.exit_rate for output in description.test.outputs] == [count / len(left_at) for count in counts]
    assert description.test.accuracy == pytest.approx(
        100.0 * float((expected.argmax(dim=1) == splits.test.labels).double().mean())
    )

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        Image.fromarray(splits.test.images[number, 0].numpy()).save(pictures / f"{number}.png")
    listed = call("predict", paths[0], "pictures", "--json")
    assert listed.returncode == 0, listed.stderr
    rows_of_file = json.loads(listed.stdout)["predictions"]
    assert [row["label"] for row in rows_of_file] == expected[:3].argmax(dim=1).tolist()
    shown = call("predict", paths[0], "pictures/0.png")
    assert "0.png" in shown.stdout
    assert "M MACs per picture on average" in shown.stdout


MISTAKES = [
    (["train", "nowhere"], 2, "no such folder"),
    (["train", "nowhere", "--select", "best"], 2, "expected knee, best-accuracy"),
    (["train", "nowhere", "--epochs", "0"], 2, "--epochs"),
    (["train", "nowhere", "--tune-for", "best"], 2, "--tune-for best: expected macs<=X"),
    (["train", "nowhere", "--seeds", "b"], 2, "--seeds b: expected numbers"),
    (["train", "nowhere", "--shortlist", "1"], 2, "--shortlist"),
    (["train", "nowhere", "--shortlist", "3", "--select", "41e7"], 2, "--select 41e7 names one network"),
    (["export", "nowhere"], 2, "no such folder"),
    (["export", "nowhere", "--format", "h5"], 2, "--format h5: no such format"),
    (["export", "nowhere", "--select", "macs<2"], 2, "expected knee, best-accuracy"),
    (["predict", "nowhere.onnx", "a.png"], 2, "no such file"),
    (["predict", "damaged.onnx", "a.png"], 7, "was not written by aebnas_bo, or is damaged"),
    (["predict", "damaged.safetensors", "a.png"], 7, "cannot be read as safetensors"),
    (["predict", "network.h5", "a.png"], 2, "unknown format"),
    (["predict", "damaged.pt2", "a.png"], 2, "aebnas_bo does not load it"),
    (["latency", "damaged.pt2", "a.png"], 2, "expected a network in the format torch"),
    (["latency", "damaged.safetensors", "a.png", "--out", "folder"], 2, "is a folder; give a file"),
]


def test_mistakes_are_named(calls, tmp_path: Path) -> None:
    for name in ("damaged.onnx", "damaged.safetensors", "damaged.pt2", "network.h5"):
        (tmp_path / name).write_bytes(b"nothing of ours")
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "folder").mkdir()
    found = calls([arguments for arguments, _, _ in MISTAKES])
    for (arguments, code, part), result in zip(MISTAKES, found, strict=True):
        text = " ".join(result.stderr.split())
        assert (result.returncode, part in text, "Traceback" in text) == (code, True, False), (arguments, text)
