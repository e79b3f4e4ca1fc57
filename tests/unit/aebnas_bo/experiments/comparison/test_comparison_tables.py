from aebnas_bo.experiments.comparison.comparison_tables import METHOD_COLOURS, OTHER_COLOURS, method_colours
from aebnas_bo.experiments.comparison.method_files import PACKAGE_METHODS


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
