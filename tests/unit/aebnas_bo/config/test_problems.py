import pytest

from aebnas_bo.config.problems import LONGEST_REPORT, config_error, cut, printable, shown, without_password


def test_few_problems_are_all_named_once() -> None:
    assert config_error(["a: is missing", "b: is missing", "a: is missing"]).problems == (
        "a: is missing",
        "b: is missing",
    )


def test_what_would_fill_screens_is_cut_and_counted() -> None:
    problems = config_error([f"a.{number}: is missing" for number in range(5000)]).problems
    assert sum(map(len, problems)) < LONGEST_REPORT + 100
    assert problems[-1] == f"and {5000 - len(problems) + 1} more; fix these first"
    [one] = config_error(["x" * 200_000]).problems
    assert len(one) < 700
    assert one.endswith("(200,000 characters)")


def test_values_are_echoed_short_and_in_one_line() -> None:
    assert shown([1, "a"]) == "[1, 'a']"
    assert len(shown("x" * 1000)) < 140
    assert cut("abc") == "abc"
    assert printable("a\nb\x1b[31mé") == "a\\nb\\x1b[31mé"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("got 'postgresql://me:seCret@host/d'", "got 'postgresql://me:***@host/d'"),
        ("got 'postgresql://me:se/Cret@host/d' twice", "got 'postgresql://me:***@host/d' twice"),
        ("got 'postgresql://me:seCr…", "got 'postgresql://me:***"),
        ("postgresql://me@host/d", "postgresql://me@host/d"),
        ("space: expected a preset: NAME", "space: expected a preset: NAME"),
    ],
)
def test_passwords_of_urls_are_never_part_of_a_message(text: str, expected: str) -> None:
    assert without_password(text) == expected
    assert config_error([text]).problems == (expected,)
