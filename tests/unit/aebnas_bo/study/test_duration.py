import pytest

from aebnas_bo.errors import UsageError
from aebnas_bo.study.duration import parse_minutes


@pytest.mark.parametrize(
    ("text", "minutes"), [("90s", 1.5), ("30m", 30.0), ("1.5h", 90.0), (" 2 H ", 120.0), (".5m", 0.5), ("3.m", 3.0)]
)
def test_durations_are_read_in_minutes(text: str, minutes: float) -> None:
    assert parse_minutes(text) == pytest.approx(minutes)


@pytest.mark.parametrize("text", ["30", "m", "", "-5m", "0m", "0.0h", "1e2m", "2d", "1h30m"])
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match="expected a positive number with a unit, such as 90s, 30m or 2h"):
        parse_minutes(text)
