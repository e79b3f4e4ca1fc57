import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_installed_command_starts() -> None:
    command = [sys.executable, "-m", "aebnas_bo.cli", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0
    for name in ("run", "space", "compare", "latency-table"):
        assert name in result.stdout


def test_spaces_are_described_and_mistakes_are_named(calls) -> None:
    described, missing, few, wrong, band = calls(
        [
            ["space", "--parameters"],
            ["space", "nowhere.yaml"],
            ["fidelity", "--num-architectures", "2"],
            ["fidelity", "--set", "fidelity.top_k=[0]"],
            ["fidelity", "--band", "2.6,1.8"],
        ]
    )
    assert described.returncode == 0, described.stderr
    for part in ("28 choices and 2 continuous", "M MACs", "exit1_threshold", "stage2_width"):
        assert part in described.stdout
    assert missing.returncode == 3
    assert "nowhere.yaml" in missing.stderr
    assert few.returncode == 2
    assert "--num-architectures" in few.stderr
    assert wrong.returncode == 3
    assert band.returncode == 2
    assert "--band 2.6,1.8: expected LOW,HIGH" in band.stderr
    assert not any("Traceback" in called.stderr for called in (described, missing, few, wrong, band))


def test_own_spaces_begin_with_a_preset(calls, tmp_path: Path) -> None:
    Path(tmp_path / "run.yaml").write_text("space: mine.yaml\n", encoding="utf-8")
    shown, auto, of_images, unknown, misplaced = calls(
        [
            ["space", "--show", "tiny"],
            ["space", "--show", "auto"],
            ["space", "--show", "auto", "--image-size", "64", "--max-average-macs", "2"],
            ["space", "--show", "cifar3"],
            ["space", "--show", "tiny", "--image-size", "64"],
        ]
    )
    (tmp_path / "mine.yaml").write_text(shown.stdout.replace("[8, 12]", "[6, 12]"), encoding="utf-8")
    (tmp_path / "auto.yaml").write_text(of_images.stdout, encoding="utf-8")
    (tmp_path / "wrong.yaml").write_text(shown.stdout.replace("[8, 12]", "[12, 8]") + "exit: 3\n", encoding="utf-8")
    mine, whole, auto_again, of_run, wrong = calls(
        [
            ["space", "mine.yaml"],
            ["space", "run.yaml"],
            ["space", "auto.yaml"],
            ["space", "run.yaml", "--show", "auto", "--max-average-macs", "0.1"],
            ["space", "wrong.yaml"],
        ]
    )
    assert (auto.returncode, unknown.returncode, misplaced.returncode, wrong.returncode) == (2, 2, 2, 3)
    assert "--show auto needs --image-size PIXELS" in auto.stderr
    assert "'cifar32'" in unknown.stderr
    assert "go with --show auto" in misplaced.stderr
    for described in (mine, whole, auto_again):
        assert described.returncode == 0, described.stderr
        assert "cheapest" in described.stdout
        assert "most expensive" in described.stdout
    assert "6 12" in mine.stdout
    assert "colour images of 10 classes" in mine.stdout
    assert "images of the configuration (1 channel, 10 classes)" in whole.stdout
    assert "64x64 pixels and at most 2 M average MACs" in of_images.stdout
    assert "resolutions: [8]" in of_run.stdout  # of the embedded digits
    assert wrong.stderr.splitlines() == [
        "error: wrong.yaml: stages.0.widths: must be ascending, got [12, 8]; expected [8, 12]",
        "error: wrong.yaml: exit: no such setting; did you mean exits?",
    ]


@pytest.mark.parametrize(("name", "options"), [("tiny", ""), ("auto", " --image-size 16")])
def test_a_preset_in_place_of_a_file_gets_the_commands_that_describe_it(name, options, call, tmp_path: Path) -> None:
    refused = call("space", name)
    advice = " ".join(refused.stderr.split()).replace("PIXELS", "16")
    assert refused.returncode == 2
    assert f"run aebnas-bo space --show {name}{options} > {name}.yaml, then aebnas-bo space {name}.yaml" in advice
    (tmp_path / f"{name}.yaml").write_text(call("space", "--show", *(name + options).split()).stdout)
    assert call("space", f"{name}.yaml").stdout.startswith(f"{name}.yaml: ")


def test_fidelity_from_the_command_line(calls, tmp_path: Path) -> None:
    few = ["--set=supernet.epochs=2", "--set=final_training.epochs=1", "--set=fidelity.bootstrap_samples=100"]
    arguments = ["fidelity", "--num-architectures", "4", "--out", str(tmp_path / "study"), *few]
    result, again, resumed = calls([[*arguments, "--json"], arguments, [*arguments, "--resume", "--quiet"]])
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["folder"] == str(tmp_path / "study")
    assert document["agreements"][0]["quantity"] == "accuracy"
    assert again.returncode == 2
    assert "--resume" in again.stderr
    assert resumed.returncode == 0, resumed.stderr
    assert "Kendall tau" in resumed.stdout
    assert document["verdict"].split(":")[0] in resumed.stdout
    assert document["verdict"].startswith("Estimates ")


def test_methods_are_compared_from_the_command_line(calls, tmp_path: Path) -> None:
    few = [
        "--set=supernet.epochs=1", "--set=supernet.random_subnets=0", "--set=search.design_trials=3",
        "--set=search.batch_size=2", "--set=search.pool_size=8", "--set=search.rounds=0",
    ]  # fmt: skip
    config, out = str(Path(__file__).resolve().parents[2] / "configs" / "digits.yaml"), ["--out", str(tmp_path / "all")]
    arguments = ["compare", config, "--methods", "static,aebnas", "--budget", "5", *few, *out]
    result, again, wrong, missing = calls(
        [
            [*arguments, "--json"],
            arguments,
            ["compare", config, "--methods", "nacho", *out],
            ["compare", "nowhere.yaml"],
        ]
    )
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert [run["method"] for run in document["runs"]] == ["static", "aebnas"]
    assert "| static | 1 |" in (tmp_path / "all" / "comparison.md").read_text(encoding="utf-8")
    assert "results are in" in again.stdout
    assert "trials" not in again.stderr  # nothing is run again
    assert wrong.returncode == 2
    assert "the package has aebnas, aebnas-bo, edanas, nachos, plain, static" in wrong.stderr
    assert missing.returncode == 3
    assert "nowhere.yaml: cannot be read" in missing.stderr


def test_a_search_with_latencies_measured_elsewhere(calls, tmp_path: Path) -> None:
    narrow = ["--set=space.stages.0.widths=[8]", "--set=space.stages.1.widths=[16]"]
    config = tmp_path / "digits.yaml"
    config.write_text("data: {max_train_images: 300}\nsupernet: {epochs: 1}\nsearch: {design_trials: 5}\n")
    latency = "--set=search.objectives=[accuracy, average_macs, latency_ms]"
    table, run = str(tmp_path / "table.json"), ["run", "--config", str(config), "--quiet", *narrow, latency]
    run += [f"--set=estimation.latency_table={table}", "--out", str(tmp_path / "run")]
    early, nowhere, made, searched, resumed, other, limited = calls(
        [
            run,
            ["latency-table", str(config), "--out", str(config / "table.json")],
            ["latency-table", str(config), *narrow, "--out", table, "--json"],
            [*run, "--budget", "6", "--max-latency-ms", "0.9"],
            ["run", "--resume", "--budget", "8", "--out", str(tmp_path / "run"), "--json", "--quiet"],
            [*run[:-1], str(tmp_path / "other"), "--set=space.stem_channels=12"],
            [
                "run",
                "--config",
                str(config),
                "--quiet",
                *narrow,
                f"--set=estimation.latency_table={table}",
                "--budget",
                "6",
                "--max-latency-ms",
                "0.9",
                "--out",
                str(tmp_path / "limited"),
                "--json",
            ],
        ]
    )
    assert early.returncode == 3
    assert "table.json: cannot be read" in early.stderr
    assert nowhere.returncode == 2
    assert "cannot be written" in nowhere.stderr
    assert "latencies of parts" not in nowhere.stderr
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["parts"] > 50
    assert searched.returncode == 0, searched.stderr
    assert "latency_ms (ms)" in searched.stdout
    assert "observations have latency_ms <= 0.9" in searched.stdout or "no network found has" in searched.stdout
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["trials"]["COMPLETED"] == 8
    assert set(json.loads(resumed.stdout)["reference_point"]) == {"accuracy", "average_macs", "latency_ms"}
    assert other.returncode == 3
    assert "parts of this space" in other.stderr
    assert not (tmp_path / "other").exists()
    assert limited.returncode == 0, limited.stderr
    assert set(json.loads(limited.stdout)["reference_point"]) == {"accuracy", "average_macs"}  # limited, not minimised
    assert not any("Traceback" in called.stderr for called in (early, made, searched, resumed, other, limited))
