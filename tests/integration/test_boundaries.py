"""The structure of the packages, read from their syntax trees."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_POSITIONAL, MOST_PARAMETERS = 3, 6
LONG_SIGNATURES = {
    "aebnas_bo/study/study.py: Study.create",  # the front door: eight things that a user names, six of them seldom
    "aebnas_bo/study/study.py: Study.open",  # the same less the configuration
    # the others are not ours to choose
    "surrogates/kernels/additive_matern.py: AdditiveMaternKernel.forward",  # overrides GPyTorch's method
    "surrogates/kernels/grouped_matern.py: GroupedMaternKernel.forward",  # overrides GPyTorch's method
    "surrogates/selected_outcomes.py: SelectedOutcomes.posterior",  # overrides BoTorch's method
    "aebnas_bo/search/ax_strategy.py: ArchitectureAcquisition.optimize",  # overrides Ax's method
    "aebnas_bo/training/synchronized_batch_norm.py: _Normalize.forward",  # PyTorch passes ctx and tensors by position
    "aebnas_bo/training/synchronized_batch_norm.py: _SynchronizedMode.__torch_function__",  # overrides PyTorch's method
    "aebnas_bo/supernet/depthwise.py: _SmallMapConvolution.forward",  # PyTorch passes ctx and tensors by position
}
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


def test_imports_follow_the_layers_of_pyproject() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_one_file_imports_ax_and_none_imports_tests_or_benchmarks() -> None:
    for path in FILES:
        packages = {name.partition(".")[0] for name in imports(path)}
        assert not packages & {"tests", "benchmarks"}, path
        assert "ax" not in packages or path == ROOT / "aebnas_bo" / "search" / "ax_strategy.py", path


def test_a_file_name_says_which_file_it_is() -> None:
    names = [path.name for path in FILES if path.is_relative_to(ROOT / "aebnas_bo")]
    assert {name for name in names if names.count(name) > 1} == {"__init__.py", "settings.py"}


def test_the_root_holds_few_modules() -> None:
    assert {path.name for path in (ROOT / "aebnas_bo").glob("*.py")} == {
        "__init__.py", "run.py", "errors.py", "seeding.py"
    }  # fmt: skip


def test_files_and_functions_stay_small() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 400, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno <= 100, f"{path}: {node.name}"


def functions(node: ast.AST, where: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield every function below a node, with the names of what it stands in."""
    for child in ast.iter_child_nodes(node):
        name = where
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{where}.{child.name}" if where else child.name
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield name, child
        yield from functions(child, name)


def has_long_signature(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    given = function.args
    positional = [one.arg for one in (*given.posonlyargs, *given.args) if one.arg not in {"self", "cls"}]
    return len(positional) > MOST_POSITIONAL or len(positional) + len(given.kwonlyargs) > MOST_PARAMETERS


@pytest.mark.parametrize(
    ("signature", "is_long"),
    [("self, a, b, c", False), ("a, b, c, d", True), ("a, /, b, c, d", True), ("a, *, b, c, d, e, f", False),
     ("a, *, b, c, d, e, f, g", True)],
)  # fmt: skip
def test_a_long_signature_is_known(signature: str, is_long: bool) -> None:
    [(name, function)] = functions(ast.parse(f"async def long({signature}): ..."))
    assert (name, has_long_signature(function)) == ("long", is_long)


def test_functions_take_few_parameters() -> None:
    found = set()
    for path in FILES:
        is_command = path.parent.name == "cli" and path.stem.endswith(("_command", "_commands"))
        for name, function in functions(ast.parse(path.read_text(encoding="utf-8"))):
            if is_command and not name.startswith("_"):
                continue  # its parameters are the flags of a command
            if has_long_signature(function):
                found.add(f"{path.relative_to(ROOT).as_posix()}: {name}")
    assert found == LONG_SIGNATURES


def test_no_file_of_the_packages_is_left_out_of_the_installation() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in FILES}
    assert found == set(settings["packages"])
    data = settings["package-data"]
    listed = {path for package, patterns in data.items() for one in patterns for path in (ROOT / package).glob(one)}
    others = {path for package in data for path in (ROOT / package).rglob("*") if path.is_file()}
    assert listed == {path for path in others if path.suffix not in {".py", ".pyc"}}
    assert all(any((ROOT / package).glob(one)) for package, patterns in data.items() for one in patterns)


def test_no_file_holds_an_unresolved_merge() -> None:
    folders = ("aebnas_bo", "surrogates", "benchmarks", "tests", "docs", "configs")
    files = [*ROOT.glob("*.*"), *(path for folder in folders for path in (ROOT / folder).rglob("*.*"))]
    texts = [path for path in files if path.suffix in {".py", ".md", ".yaml", ".toml", ".html", ".css", ".js"}]
    assert len(texts) > len(FILES)
    for path in texts:
        assert not re.search(r"^(<{7} |={7}$|>{7} )", path.read_text(encoding="utf-8"), re.MULTILINE), path
