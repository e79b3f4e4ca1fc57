import pytest

from aebnas_bo.experiments.comparison.chosen_network import SUPERNET_WEIGHTS, ChosenNetwork
from aebnas_bo.experiments.comparison.comparison_study import MethodRun
from aebnas_bo.experiments.comparison.comparison_tables import (
    METHOD_COLOURS,
    OTHER_COLOURS,
    method_colours,
    terminal_table,
)
from aebnas_bo.experiments.comparison.method_files import PACKAGE_METHODS
from tests.fitting import check_fit


def test_methods_that_come_with_the_package_have_colours_of_their_own() -> None:
    assert set(METHOD_COLOURS) == {path.stem for path in PACKAGE_METHODS.glob("*.yaml")}
    assert len({*METHOD_COLOURS.values(), *OTHER_COLOURS}) == len(METHOD_COLOURS) + len(OTHER_COLOURS)


def test_a_method_has_the_same_colour_beside_whatever_others() -> None:
    assert method_colours(["mine", "static", "mine"]) == {
        "mine": OTHER_COLOURS[0],
        "static": METHOD_COLOURS["static"],
    }
    many = [f"mine-{number}" for number in range(len(OTHER_COLOURS) + 1)]
    assert method_colours(many)[many[-1]] == OTHER_COLOURS[0]


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits_a_terminal_and_nothing_of_it_is_cut(width: int) -> None:
    def network(seed: int) -> ChosenNetwork:
        return ChosenNetwork(
            "0123456789ab", 91.25 + seed, 90.5 + seed, 12.3456 + seed, 12.1, 34.5678, 4, (0.2, 0.3, 0.1, 0.1, 0.3),
            SUPERNET_WEIGHTS,
        )  # fmt: skip

    runs = [
        MethodRun(name, seed, (9000.0, 9123.456 + seed), network(seed), 12.5, 12345.6 + seed)
        for name in ("aebnas-bo", "a-method-with-a-name-of-its-own")
        for seed in (0, 1)
    ]
    text = check_fit(terminal_table(runs), width)
    assert "a-method-with-a-name-of-its-own" in text
    assert "91.75 ± 0.71" in text
