"""The benchmark from end to end, with a command that pretends, on images of 8x8 pixels."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aebnas_bo.config.loading import load_config
from benchmarks import worth, worth_command, worth_plain
from benchmarks.worth_jobs import Job
from benchmarks.worth_plain import run_plain

pytestmark = pytest.mark.slow

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "worth"
COMMAND = """
import pathlib, sys
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
with open(out.with_suffix(".calls"), "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
sum(range(3_000_000))
(out / "trained" / "abc-seed0").mkdir(parents=True, exist_ok=True)
(out / "study.db").touch()
if "BROKEN" in open(sys.argv[sys.argv.index("--config") + 1]).read():
    sys.exit(4)
(out / "trained" / "abc-seed0" / "operating_points.csv").write_text(
    "budget,exit1_threshold,validation_accuracy,validation_average_macs,test_accuracy,test_average_macs\\n"
    "0.03,0.5,60.0,0.03,61.0,0.031\\n0.01,,50.0,0.01,52.0,0.011\\n"
)
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration of two classes that differ in brightness, and a command that leaves two operating points."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 6)):
        for label in range(2):
            place = tmp_path / "pictures" / split / str(label)
            place.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(100 * label, 100 * label + 100, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    (tmp_path / "small.yaml").write_text(
        "name: small\ndata: {dataset: imagefolder, root: pictures, image_size: 8}\naugmentation: {crop_padding: 1}\n"
    )
    (tmp_path / "command.py").write_text(COMMAND)
    monkeypatch.setattr(worth_command, "COMMAND", (sys.executable, str(tmp_path / "command.py")))
    return tmp_path / "small.yaml"


def call(config: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    out = ["--out", str(config.parent / "out"), "--minutes", "0.01", "--budgets", "0.02", "0.05", "--widths", "2", "4"]
    monkeypatch.setattr("sys.argv", ["worth", str(config), *out, "--seeds", "0", *arguments])
    with pytest.raises(SystemExit) as caught:
        worth.main()
    return int(caught.value.code or 0)


def rows_of(config: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((config.parent / "out" / "rows.csv").open()))


def test_worth_runs_all_parts_once_and_writes_tables_and_figure(config, monkeypatch, capsys) -> None:
    monkeypatch.setattr("benchmarks.worth_comparison.MOST_TIME", 0.0)
    assert call(config, monkeypatch) == 0
    rows, out = rows_of(config), config.parent / "out"
    assert [row["part"] for row in rows].count("ours") == 2
    assert {(row["part"], row["network"]) for row in rows if row["part"] != "ours"} == {
        (part, network) for part in ("plain", "exit") for network in ("w2", "w4")
    }
    assert all(not row["validation_accuracy"] for row in rows if row["part"] == "plain")
    assert (out / "worth.png").read_bytes().startswith(b"\x89PNG")
    assert "| 0.02 | 0 |" in capsys.readouterr().out
    assert "Refused: the command with seed 0 took" in (out / "worth.md").read_text()
    monkeypatch.setattr(worth, "run_plain", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(worth, "run_command", lambda *_: pytest.fail("searched again"))
    assert call(config, monkeypatch) == 0
    assert rows_of(config) == rows


def test_worth_calls_the_command_as_a_user_would_and_goes_on(config, monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.worth_comparison.MOST_TIME", 1000.0)
    assert call(config, monkeypatch, "--parts", "ours") == 0
    out = config.parent / "out"
    first = float(rows_of(config)[0]["processor_seconds"])
    assert first > 0
    [lines] = [csv.DictReader((out / "worth.csv").open())]
    assert [(line["budget"], line["our_accuracy"], line["plain_accuracy"]) for line in lines] == [
        ("0.02", "52.0", ""), ("0.05", "61.0", ""), ("all", "56.5", ""),
    ]  # fmt: skip
    (out / "parts" / "ours-seed0.csv").unlink()
    assert call(config, monkeypatch, "--parts", "ours") == 0
    calls = (out / "studies" / "seed0.calls").read_text().splitlines()
    expected = (
        f"--config {config} --time-budget 0.01m --seed 0 --device cpu --quiet --out {out}/studies/seed0 "
        "--max-average-macs 0.05"
    )
    assert calls == [expected, f"{expected} --resume"]
    assert float(rows_of(config)[0]["processor_seconds"]) > first  # of both calls


def test_worth_reports_a_command_that_fails_and_runs_the_other_jobs(config, monkeypatch, capsys) -> None:
    config.write_text(config.read_text() + "# BROKEN\n")
    assert call(config, monkeypatch, "--parts", "ours", "plain") == 1
    assert "ours-seed0: the command ended with exit code 4; " in capsys.readouterr().err
    assert {row["part"] for row in rows_of(config)} == {"plain"}


def test_worth_refuses_results_of_other_settings_and_takes_the_advice(config, monkeypatch, capsys) -> None:
    assert call(config, monkeypatch, "--parts", "plain") == 0
    config.write_text(config.read_text().replace("crop_padding: 1", "crop_padding: 2"))
    assert call(config, monkeypatch, "--parts", "plain") == 2
    assert "plain-w2-seed0.csv: was made with other settings, in another time" in capsys.readouterr().err
    for path in (config.parent / "out" / "parts").glob("*"):
        path.unlink()
    assert call(config, monkeypatch, "--parts", "plain") == 0
    assert call(config, monkeypatch, "--parts", "plain", "--minutes", "0.02") == 2


def test_worth_checks_the_plain_family_by_the_reference(config, monkeypatch) -> None:
    assert call(config, monkeypatch, "--parts", "plain") == 0
    assert call(config, monkeypatch, "--reference") == 0
    assert {row["part"] for row in rows_of(config)} == {"plain", "reference"}
    page = (config.parent / "out" / "worth.md").read_text()
    assert "| network | MACs (M) | seeds | final recipe (%) | reference (%) | difference |" in page
    assert page.count("\n| w") == 2


def test_worth_asks_for_budgets_of_an_unknown_data_set(config, monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.argv", ["worth", str(config), "--widths", "4"])
    with pytest.raises(SystemExit, match="2"):
        worth.main()
    assert "no budgets are known for small, only for cifar10-mini" in capsys.readouterr().err


def job(config: Path, part: str, minutes: float = 0.01) -> Job:
    return Job(config, config.parent / "out", minutes, part, seed=0, width=2, num_networks=2)


@pytest.mark.parametrize(("part", "count"), [("plain", 48), ("exit", 31)])
def test_plain_networks_without_an_exit_are_trained_on_all_images(config, monkeypatch, part: str, count: int) -> None:
    seen = []
    original = worth_plain.train_from_scratch

    def train(architecture, skeleton, data, **named):
        seen.append(len(data.images))
        return original(architecture, skeleton, data, **named)

    monkeypatch.setattr(worth_plain, "train_from_scratch", train)
    run_plain(job(config, part), load_config(config))
    assert seen[-1] == count


def test_plain_training_has_its_share_of_the_time_and_keeps_its_epochs(config, monkeypatch) -> None:
    trained = []

    def train(architecture, skeleton, data, *, config, seed, recorder=None):
        for _ in range(config.epochs if recorder else 0):
            clock[0] += 0.5
            recorder.on_epoch(None)
        trained.append(config.epochs)
        return worth_plain.Subnet(architecture, skeleton).eval()

    clock = [0.0]
    monkeypatch.setattr(worth_plain, "train_from_scratch", train)
    monkeypatch.setattr(worth_plain.time, "process_time", lambda: clock[0])
    # two networks share six seconds; an epoch takes half a second
    run_plain(job(config, "plain", minutes=0.1), load_config(config))
    assert trained == [worth_plain.TIMED_EPOCHS, 6]
    plan = json.loads((config.parent / "out/epochs/plain-w2-seed0.json").read_text())
    assert (plan["epochs"], plan["seconds_per_epoch"]) == (6, 0.5)
    run_plain(job(config, "plain", minutes=0.1), load_config(config))
    assert trained[2:] == [6]
    run_plain(job(config, "plain", minutes=0.2), load_config(config))
    assert trained[3:] == [worth_plain.TIMED_EPOCHS, 12]


def test_reference_ends_with_its_time_and_learns(config) -> None:
    state = torch.random.get_rng_state()
    result = run_plain(job(config, "reference", minutes=0.05), load_config(config))
    assert result.processor_seconds == pytest.approx(1.5, abs=0.5)
    assert result.points[0].test_accuracy > 90.0
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("name", sorted(worth.BUDGETS))
def test_configurations_hold_images_alone_and_widths_reach_all_budgets(name: str) -> None:
    from aebnas_bo.space.macs import exit_costs
    from aebnas_bo.space.plain_family import plain_network

    config = load_config(CONFIGS / f"{name}.yaml", ["supernet.epochs=30", "final_training.epochs=80"])
    assert config.name == name
    default = load_config(None)
    of_images = {section: getattr(default, section) for section in ("name", "data", "augmentation", "space")}
    assert config.model_copy(update=of_images) == default
    budgets, widths = worth.BUDGETS[name], worth.WIDTHS[name]
    assert budgets[-1] / budgets[0] == pytest.approx(10.0)
    classes = {"cifar10-mini": 10, "cifar100-20": 20, "gtsrb": 43, "trashnet": 6, "drawn-digits": 10}[name]
    low, high = (
        exit_costs(*plain_network(width, image_size=config.data.image_size, in_channels=3, num_classes=classes))
        for width in (widths[0], widths[-1])
    )
    assert low.cumulative[-1] < 1e6 * budgets[0]
    assert high.cumulative[-1] > 1e6 * budgets[-1]
