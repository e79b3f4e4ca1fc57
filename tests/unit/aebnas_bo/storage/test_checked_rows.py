import csv
import io

import pytest

from aebnas_bo.storage.checked_rows import CHECK, checked_row, read_checked_rows

HEADER = ["name", "figure"]


def written(*rows: list[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[*HEADER, CHECK], *map(checked_row, rows)])
    return text.getvalue()


def test_what_was_written_is_read() -> None:
    text = written(["a, b", 0.1 + 0.2], ["c", 3])
    assert read_checked_rows(io.StringIO(text), HEADER) == [["a, b", str(0.1 + 0.2)], ["c", "3"]]
    assert read_checked_rows(io.StringIO(written()), HEADER) == []
    with pytest.raises(ValueError, match="unexpected columns"):
        read_checked_rows([], HEADER)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",3,", ",4,", "line 3 was changed"),
        ("name", "nama", "unexpected columns"), ("\nc", "c", "line 2 was changed"),
        ("\nc", '\n"c', "not CSV text"), ("\nc,", "\nc,,", "line 3 was changed"),
    ],
)  # fmt: skip
def test_a_changed_letter_is_found(old: str, new: str, message: str) -> None:
    text = written(["a", 0.5], ["c", 3]).replace(old, new, 1)
    with pytest.raises(ValueError, match=message):
        read_checked_rows(io.StringIO(text), HEADER)
