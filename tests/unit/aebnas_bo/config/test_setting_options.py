import pytest

from aebnas_bo.config.setting_options import Tree, apply_options, option_path


def applied(tree: Tree, *options: str) -> tuple[Tree, list[str]]:
    problems: list[str] = []
    apply_options(tree, options, problems)
    return tree, problems


def test_options_reach_into_sections_and_lists() -> None:
    tree: Tree = {"a": {"b": [{"c": 1}, {"c": 2}]}, "n": None}
    expected = {"a": {"b": [{"c": 1}, {"c": [3]}], "d": {"e": 0.001}}, "n": {"x": None}}
    assert applied(tree, "a.b.1.c=[3]", " a.d.e =1e-3", "n.x=") == (expected, [])


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("a", "--set a: expected section.key=value"),
        ("=3", "--set =3: expected section.key=value"),
        ("a..b=3", "expected section.key=value"),
        (".".join("a" * 50) + "=3", "expected section.key=value"),
        ("a.2=3", "a.2: no such setting (--set a.2=3)"),
        ("a.x=3", "a.x: no such setting"),
        ("a." + "9" * 5000 + "=3", "no such setting"),
        ("a.0.b.c=3", "a.0.b.c: no such setting"),
        ("b={x: 1, x: 2}", "--set b={x: 1, x: 2}: x is given twice"),
        ("b=\udcff", "is not UTF-8 text"),
        ("b=" + "9" * 5000, "a number of 5000 digits"),
        ("b=a\0", "the character U+0000 is not allowed"),
    ],
)
def test_an_option_that_cannot_be_applied_is_one_short_problem(option: str, problem: str) -> None:
    tree, [found] = applied({"a": [1, 2]}, option)
    assert problem in found
    assert len(found) < 500
    assert found.isprintable()
    assert tree == {"a": [1, 2]}


def test_the_path_of_an_option() -> None:
    assert option_path(" a.b =c=d") == "a.b"
