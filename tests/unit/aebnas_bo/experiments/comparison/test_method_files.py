import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import aebnas_bo
from aebnas_bo.config import loading
from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import UsageError
from aebnas_bo.experiments.comparison.method_files import PACKAGE_METHODS, method_files
from aebnas_bo.space.network_space import NetworkSpace

CONFIGS = Path(__file__).resolve().parents[5] / "configs"
ALL = ["plain", "static", "edanas", "nachos", "aebnas", "aebnas-bo"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with one method of its own beside it."""
    own = tmp_path / "methods"
    own.mkdir()
    (own / "mine.yaml").write_text("search: {strategy: random}\n", encoding="utf-8")
    return tmp_path / "data.yaml"


def test_names_are_those_of_the_folder_beside_the_configuration_and_of_the_package(config: Path) -> None:
    own, package = config.parent / "methods", PACKAGE_METHODS
    assert method_files(["mine", "nachos"], config) == {"mine": own / "mine.yaml", "nachos": package / "nachos.yaml"}


def test_a_method_beside_the_configuration_precedes_that_of_the_package(config: Path) -> None:
    own = config.parent / "methods" / "nachos.yaml"
    own.touch()
    assert method_files(["nachos"], config) == {"nachos": own}


def test_paths_are_taken_as_they_are(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.yml"
    path.touch()
    assert method_files([str(path)], config) == {"elsewhere": path}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["nacho"],
            "no such method; .*methods has mine; the package has aebnas, aebnas-bo, edanas, nachos, plain, static",
        ),
        (["aebnas", "aebnas"], "two methods called aebnas"),
        ([], "at least one name"),
        (["nowhere/x.yaml"], "no such method"),
    ],
)
def test_names_that_lead_nowhere_are_refused(names: list[str], message: str, config: Path) -> None:
    with pytest.raises(UsageError, match=message):
        method_files(names, config)


def test_every_method_of_the_package_is_shipped_with_it() -> None:
    settings = tomllib.loads((CONFIGS.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    patterns = settings["package-data"]["aebnas_bo"]
    package = Path(aebnas_bo.__file__).parent
    files = [path.relative_to(package) for path in PACKAGE_METHODS.iterdir()]
    assert sorted(path.stem for path in files) == sorted(ALL)
    assert all(any(path.match(pattern) for pattern in patterns) for path in files)


@pytest.fixture(scope="module")
def counted_once() -> Iterator[None]:
    """Has the training images of every archive counted once, as it takes seconds to list one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "num_training_images", cache(loading.num_training_images))
        yield


@pytest.mark.parametrize(
    "data", ["digits", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cifar10-mini", "cifar10"))]
)
@pytest.mark.parametrize("name", ALL)
@pytest.mark.usefixtures("counted_once")
@pytest.mark.slow
def test_every_method_goes_with_every_data_configuration(data: str, name: str) -> None:
    path = method_files([name], CONFIGS / f"{data}.yaml")[name]
    config = load_config(CONFIGS / f"{data}.yaml", method=path)
    plain = load_config(CONFIGS / f"{data}.yaml")
    space = NetworkSpace(config.space, 3, 10)
    assert (config.data, config.space.stages) == (plain.data, plain.space.stages)
    assert space.tunes_thresholds == (name in {"nachos", "aebnas"})
    assert space.has_free_thresholds == (name in {"plain", "static", "aebnas-bo"})
    assert (len(config.space.exits) == 0) == (name in {"plain", "static"})
    assert space.skeleton.has_learned_confidence == (name == "nachos")
    assert config.final_training.exit_ensemble == (name not in {"edanas", "aebnas"})  # nor with learned confidence


def test_methods_differ_in_what_they_encode() -> None:
    def names(method: str) -> tuple[str, ...]:
        path = PACKAGE_METHODS / f"{method}.yaml"
        return NetworkSpace(load_config(CONFIGS / "digits.yaml", method=path).space, 1, 10).search_space.names

    ours = set(names("aebnas-bo"))
    assert ours - set(names("aebnas")) == {
        *(f"exit{n}_threshold" for n in (1, 2)), *(f"exit{n}_layer1_kind" for n in (1, 2))
    }  # fmt: skip
    assert not any(name.startswith("exit") for name in names("static"))
    assert [name for name in names("nachos") if name.startswith("exit")] == ["exit1_depth", "exit2_depth"]
    assert "exit1_threshold" in names("edanas")
    assert "exit1_layer1_kernel" not in names("edanas")


def test_a_name_that_no_folder_can_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a:b.yaml").touch()
    with pytest.raises(UsageError, match="the name of the method holds one of"):
        method_files([str(tmp_path / "a:b.yaml")], tmp_path / "config.yaml")
