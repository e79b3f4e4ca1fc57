"""The structure of the packages, read from their syntax trees."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A module may import from its own rank or from lower ones.
RANKS = [
    {"atomic_writing", "errors", "quiet", "seeding", "stopping"},
    {"space"},
    {"config_section", "search_config", "config"},
    {"early_exit", "data", "training"},
    {"config_loading"},
    {"supernet"},
    {"estimation"},
    {"search"},
    {"analysis"},
    {"progress", "run_folder", "forecast", "resuming", "summary", "space_description", "testing"},
    {"supernet_preparation", "latency_preparation"},
    {"study"},
    {"deploy", "fidelity", "comparison", "report"},
    {"shortlist"},
    {"timed_run"},
    {"run"},
    {"deploy_commands", "report_commands"},
    {"cli"},
]
FILES = sorted([*(ROOT / "aebnas_bo").rglob("*.py"), *(ROOT / "surrogates").rglob("*.py")])


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
    return names


def rank(part: str) -> int:
    return next(i for i, parts in enumerate(RANKS) if part in parts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    for name in imports(path):
        package, *rest = name.split(".")
        if parts[0] == "surrogates":
            assert package not in {"aebnas_bo", "ax"}, f"{path} imports {name}"
        elif package == "ax":
            assert parts[1:] == ("search", "ax_strategy"), f"{path} imports Ax"
        elif package == "aebnas_bo" and rest and parts[1] != "__init__":
            assert rank(rest[0]) <= rank(parts[1]), f"{path} imports {name}"
        assert package not in {"tests", "benchmarks"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= 100, f"{path}: {node.name}"


def test_no_file_of_the_packages_is_left_out_of_the_installation() -> None:
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(settings["tool"]["setuptools"]["packages"])
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in FILES}
    assert found == listed
