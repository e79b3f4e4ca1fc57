import subprocess
import sys


def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "aebnas_bo.cli", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


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
