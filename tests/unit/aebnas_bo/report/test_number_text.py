import pytest

from aebnas_bo.report.number_text import duration_text, macs_text, percent_text, signed_text


@pytest.mark.parametrize(
    ("macs", "text"),
    [(0, "0"), (160, "160"), (999, "999"), (999.6, "1.00 k"), (17_600, "17.6 k"), (999_600, "1.00 M"),
     (1.46e6, "1.46 M"), (127_683, "128 k"), (9.996e3, "10.0 k"), (2.5e9, "2.50 G")],
)  # fmt: skip
def test_macs_have_three_digits(macs: float, text: str) -> None:
    assert macs_text(macs).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100 %"), (0.9346, "93.5 %"), (0.00262, "0.262 %"), (0.0, "0 %"), (1.234, "123 %")]
)
def test_shares_are_percent(share: float, text: str) -> None:
    assert percent_text(share).replace("\u00a0", " ") == text


def test_signs_are_true_ones_and_zero_has_none() -> None:
    assert [signed_text(value, 1) for value in (1.24, -0.36, -0.04, 0.0)] == ["+1.2", "−0.4", "0.0", "0.0"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.049, "0.05 s"), (9.996, "10 s"), (119.4, "119 s"), (160, "2 min 40 s"), (11_100, "3 h 5 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
