"""The repository keeps the tables and figures that people read, each with the command that makes it again."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "benchmarks" / "results"
LARGEST = 2_000_000  # bytes of all results
KINDS = {".csv", ".json", ".md", ".png", ".safetensors", ".txt"}


def kept() -> list[Path]:
    return [path for path in RESULTS.rglob("*") if path.is_file()]


def test_results_are_small_and_no_databases() -> None:
    assert {path.suffix for path in kept()} <= KINDS
    assert sum(path.stat().st_size for path in kept()) <= LARGEST
    assert [path.name for path in kept() if path.suffix == ".safetensors"] == ["network.safetensors"]


def test_no_table_has_rows_of_single_evaluations() -> None:
    assert not {path.name for path in kept()} & {"trials.csv", "settings.csv", "hypervolume.csv", "summary.json"}


def test_every_file_has_a_line_that_says_how_it_is_made() -> None:
    lines = re.findall(r"^\| (`.+?`) \|", (RESULTS / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = [name.strip("`") for line in lines for name in line.split(", ")]
    for name in named:
        assert (RESULTS / name).exists(), name
    for path in kept():
        relative = path.relative_to(RESULTS).as_posix()
        assert relative == "README.md" or any(
            relative == name or (name.endswith("/") and relative.startswith(name)) for name in named
        ), f"{relative}: no line in benchmarks/results/README.md"


@pytest.mark.parametrize("page", [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"], ids=lambda page: page.name)
def test_pages_name_results_that_are_there(page: Path) -> None:
    for name in re.findall(r"benchmarks/results/[\w./-]*\w", page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name


def test_every_picture_in_docs_is_shown() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
    for path in (ROOT / "docs" / "images").iterdir():
        assert f"images/{path.name}" in text, path.name
