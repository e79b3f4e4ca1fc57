from pathlib import Path

import pytest

from aebnas_bo.analysis.trained_point import TrainedPoint
from aebnas_bo.deploy.shortlist_file import HEADER, SHORTLIST_FILE, read_rows, read_shortlist
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.storage.checked_rows import CHECK, checked_row


def write(folder: Path, rows: list[str]) -> None:
    lines = [[*HEADER, CHECK], *(checked_row(row.split(",")) for row in rows)]
    (folder / SHORTLIST_FILE).write_text("".join(",".join(map(str, line)) + "\n" for line in lines))


def test_the_last_rung_of_a_network_for_a_goal_is_its_point(tmp_path: Path) -> None:
    rows = [
        "1,2,macs<=2,aaaa,91,80,1.5,0,0,1,1,plain",
        "2,5,macs<=2,aaaa,91,85,1.6,0,0,1,1,plain",
        "1,2,macs<=1,aaaa,91,70,0.9,0,0,1,0,plain",
    ]
    write(tmp_path, rows)
    assert len(read_rows(tmp_path)) == 3
    assert read_shortlist(tmp_path) == [
        TrainedPoint("aaaa", "short", 5, 85.0, 1.6, "network aaaa, short training of 5 epochs"),
        TrainedPoint("aaaa", "short", 2, 70.0, 0.9, "network aaaa, short training of 2 epochs"),
    ]  # fmt: skip


def test_a_changed_digit_is_found(tmp_path: Path) -> None:
    write(tmp_path, ["1,2,macs<=2,aaaa,91,80,1.5,0,0,1,1,plain"])
    path = tmp_path / SHORTLIST_FILE
    path.write_text(path.read_text().replace(",80,", ",81,"))
    with pytest.raises(CorruptStateError, match=r"shortlist\.csv is damaged; delete it"):
        read_shortlist(tmp_path)


def test_no_short_list_has_no_points(tmp_path: Path) -> None:
    assert read_shortlist(tmp_path) == []


@pytest.mark.parametrize(
    "content", [b"a,b\n1,2\n", ",".join(HEADER).encode() + b"\n1,2,m,aaaa,x,y,z,,,,,\n", b"\xff", b"\0", b""]
)
def test_a_damaged_table_is_named_with_the_way_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SHORTLIST_FILE).write_bytes(content)
    with pytest.raises(CorruptStateError, match=r"shortlist\.csv is damaged; delete it"):
        read_shortlist(tmp_path)
