import pytest

from aebnas_bo.deploy.batch_sizes_option import LARGEST_BATCH, parse_batch_sizes
from aebnas_bo.errors import UsageError


def test_batch_sizes_are_read() -> None:
    assert parse_batch_sizes("1, 64,1") == [1, 64]
    assert parse_batch_sizes(str(LARGEST_BATCH)) == [LARGEST_BATCH]


@pytest.mark.parametrize("text", ["", "0", "1,-2", "one", "1.5", "65537", "9" * 5000, "²"])
def test_wrong_batch_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--batch-sizes .*expected whole numbers from 1 to 65536") as refusal:
        parse_batch_sizes(text)
    assert len(str(refusal.value)) < 250
