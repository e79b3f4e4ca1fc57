import csv
import errno
from pathlib import Path

import pytest

from aebnas_bo.deploy.looks_at_test_images import LOOKS_FILE, Look, known_looks, look_of, looks_text, note_look
from aebnas_bo.deploy.model_card import model_card
from aebnas_bo.deploy.network_file import save_network
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import CorruptStateError, StorageError
from aebnas_bo.storage.run_folder import RunFolder

CHEAP, DEAR = TuningGoal("max_macs", 12_345.0), TuningGoal("min_accuracy", 98.5)


def test_look_says_what_thresholds_were_tuned_for() -> None:
    assert look_of("k", 3, "aaa111", goal=CHEAP) == Look("k", "3", "aaa111", "macs<=0.012345")
    assert look_of("k", 3, "aaa111", goal=DEAR).tuning == "accuracy>=98.5"


def test_others_are_counted_once_each(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    first, second = look_of("k", 0, "aaa111", goal=CHEAP), look_of("k", 0, "aaa111", goal=DEAR)
    assert known_looks(folder) == []
    assert [note_look(folder, look) for look in (first, first, second, second, first)] == [0, 0, 1, 1, 1]
    assert note_look(folder, look_of("k", 1, "aaa111", goal=CHEAP)) == 2
    assert note_look(folder, look_of("k", 0, "bbb222", goal=CHEAP)) == 3
    assert len(known_looks(folder)) == 4
    assert len((folder.trained / LOOKS_FILE).read_text().splitlines()) == 5


def test_networks_of_an_earlier_version_count(make_network, tmp_path: Path) -> None:
    folder, (subnet, description) = RunFolder(tmp_path), make_network()
    for seed in (0, 1):
        path = folder.trained / f"{description.key}-seed{seed}"
        path.mkdir(parents=True)
        origin = description.origin.model_copy(update={"seed": seed})
        save_network(path / "network.safetensors", subnet, description.model_copy(update={"origin": origin}))
    assert len(known_looks(folder)) == 2
    assert note_look(folder, look_of(description.key, 0, "aaa111", goal=CHEAP)) == 1  # its own is no other
    assert note_look(folder, look_of("another", 0, "aaa111", goal=CHEAP)) == 3


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: data.replace(b"aaa", b"aab"), lambda _: b"\xff"]
)
def test_a_damaged_file_is_named_with_the_way_out(tmp_path: Path, damage) -> None:
    folder = RunFolder(tmp_path)
    look = look_of("k", 0, "aaa111", goal=CHEAP)
    note_look(folder, look)
    path = folder.trained / LOOKS_FILE
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    for read in (lambda: known_looks(folder), lambda: note_look(folder, look)):
        with pytest.raises(CorruptStateError, match=r"test_looks\.csv is damaged .*; delete it"):
            read()
    assert path.read_bytes() == before
    path.unlink()
    assert known_looks(folder) == []
    path.mkdir()
    with pytest.raises(CorruptStateError, match=r"test_looks\.csv cannot be read \(it is a folder, .*\); delete it"):
        known_looks(folder)


@pytest.mark.parametrize(
    ("others", "text"),
    [(0, "no other network of this run"), (1, "one other network of this run"), (7, "7 other networks of this run")],
)
def test_looks_text_counts_others(others: int, text: str) -> None:
    assert text in looks_text(others)


def test_model_card_says_how_many_others_were_measured(make_network) -> None:
    description = make_network()[1]
    texts = [
        model_card(description.model_copy(update={"earlier_test_looks": count}), "file") for count in (None, 0, 1, 3)
    ]
    found = [text.partition("## Data and training")[2].partition("## Limits")[0] for text in texts]
    assert ["before" in text for text in found] == [False, True, True, True]
    assert "No other network of the study had been measured on them before." in found[1]
    assert "1 other network of the study" in found[2]
    assert "3 other networks of the study" in found[3]


def test_half_a_row_on_a_full_disk_is_taken_back(tmp_path: Path, monkeypatch) -> None:
    folder = RunFolder(tmp_path)
    note_look(folder, Look("a", "0", "r", "t"))
    before = (folder.trained / LOOKS_FILE).read_bytes()

    class Full:
        """A file that takes the first bytes of a row alone."""

        def __init__(self, file) -> None:
            self.file = file

        def writerows(self, rows) -> None:
            self.file.write("b,0")
            self.file.flush()
            self.file.write(",r")  # is still in its buffer
            raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(csv, "writer", lambda file, **_: Full(file))
        with pytest.raises(StorageError, match=LOOKS_FILE):
            note_look(folder, Look("b", "0", "r", "t"))
    assert (folder.trained / LOOKS_FILE).read_bytes() == before
    assert note_look(folder, Look("c", "0", "r", "t")) == 1
    assert [look.key for look in known_looks(folder)] == ["a", "c"]
