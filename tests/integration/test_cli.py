import json
import os
import subprocess
import sys
from pathlib import Path


def call(*arguments: str, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "aebnas_bo.cli", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)


def test_space_is_described() -> None:
    result = call("space")
    assert result.returncode == 0, result.stderr
    for part in ("24 parameters", "M MACs", "exit1_threshold", "stage2_width"):
        assert part in result.stdout


def test_a_missing_file_is_a_configuration_error() -> None:
    result = call("space", "nowhere.yaml")
    assert result.returncode == 3
    assert "nowhere.yaml" in result.stderr
    assert "Traceback" not in result.stderr


def test_help_names_the_commands() -> None:
    result = call("--help")
    assert result.returncode == 0
    assert "run" in result.stdout
    assert "space" in result.stdout


def test_fidelity_from_the_command_line(tmp_path: Path) -> None:
    few = ["--set=supernet.epochs=2", "--set=final_training.epochs=1", "--set=fidelity.bootstrap_samples=100"]
    arguments = ["fidelity", "--num-architectures", "4", "--out", str(tmp_path / "study"), *few]
    environment = {**os.environ, "AEBNAS_BO_CACHE": str(tmp_path / "cache")}
    result = call(*arguments, "--json", env=environment)
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["folder"] == str(tmp_path / "study")
    assert document["agreements"][0]["quantity"] == "accuracy"
    again = call(*arguments, env=environment)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    resumed = call(*arguments, "--resume", "--quiet", env=environment)
    assert resumed.returncode == 0, resumed.stderr
    assert "Kendall tau" in resumed.stdout


def test_a_mistake_in_a_fidelity_flag_is_named() -> None:
    result = call("fidelity", "--num-architectures", "2")
    assert result.returncode == 2
    assert "--num-architectures" in result.stderr
    assert call("fidelity", "--set", "fidelity.top_k=[0]").returncode == 3


def test_methods_are_compared_from_the_command_line(tmp_path: Path) -> None:
    few = [
        "--set=supernet.epochs=1", "--set=supernet.random_subnets=0", "--set=search.design_trials=3",
        "--set=search.batch_size=2", "--set=search.pool_size=8", "--set=search.rounds=0",
    ]  # fmt: skip
    configs = Path(__file__).resolve().parents[2] / "configs"
    arguments = ["compare", str(configs / "digits.yaml"), "--methods", "static,aebnas", "--budget", "5", *few]
    environment = {**os.environ, "AEBNAS_BO_CACHE": str(tmp_path / "cache")}
    result = call(*arguments, "--out", str(tmp_path / "all"), "--json", env=environment)
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert [run["method"] for run in document["runs"]] == ["static", "aebnas"]
    assert "| static | 1 |" in (tmp_path / "all" / "comparison.md").read_text(encoding="utf-8")
    again = call(*arguments, "--out", str(tmp_path / "all"), env=environment)
    assert "everything is in" in again.stdout
    assert "trials" not in again.stderr  # nothing is run again
    wrong = call("compare", str(configs / "digits.yaml"), "--methods", "nacho", "--out", str(tmp_path / "all"))
    assert wrong.returncode == 2
    assert "there is aebnas, aebnas-bo, edanas, nachos, static" in wrong.stderr
    missing = call("compare", "nowhere.yaml")
    assert missing.returncode == 3
    assert "nowhere.yaml: cannot be read" in missing.stderr


def test_a_search_with_latencies_measured_elsewhere(calls, tmp_path: Path) -> None:
    narrow = ["--set=space.stages.0.widths=[8]", "--set=space.stages.1.widths=[16]"]
    config = tmp_path / "digits.yaml"
    config.write_text("data: {max_train_images: 300}\nsupernet: {epochs: 1}\nsearch: {design_trials: 5}\n")
    latency = "--set=search.objectives=[accuracy, average_macs, latency_ms]"
    table, run = str(tmp_path / "table.json"), ["run", "--config", str(config), "--quiet", *narrow, latency]
    run += [f"--set=estimation.latency_table={table}", "--out", str(tmp_path / "run")]
    early, nowhere, made, searched, resumed, other, forbidden = calls(
        [
            run,
            ["latency-table", str(config), "--out", str(config / "table.json")],
            ["latency-table", str(config), *narrow, "--out", table, "--json"],
            [*run, "--budget", "6", "--max-latency-ms", "0.9"],
            ["run", "--resume", "--budget", "8", "--out", str(tmp_path / "run"), "--json", "--quiet"],
            [*run[:-1], str(tmp_path / "other"), "--set=space.stem_channels=12"],
            ["run", "--max-latency-ms", "3", "--out", str(tmp_path / "none")],
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
    assert not (tmp_path / "other" / "study.db").exists()
    assert forbidden.returncode == 3
    assert "add latency_ms to objectives" in forbidden.stderr
    assert not any("Traceback" in called.stderr for called in (early, made, searched, resumed, other, forbidden))
