import pytest

from aebnas_bo.errors import UsageError
from aebnas_bo.experiments.rank_correlation.band_option import parse_band


@pytest.mark.parametrize("text", ["1.8", "1.8,", "1,2,3", "2.6,1.8", "2,2", "0,1", "a,b", "nan,2", "1,inf", ""])
def test_a_malformed_band_is_an_error(text) -> None:
    with pytest.raises(UsageError, match="expected LOW,HIGH in millions"):
        parse_band(text)


def test_a_band_is_two_numbers() -> None:
    assert parse_band("1.8, 2.6") == (1.8, 2.6)
