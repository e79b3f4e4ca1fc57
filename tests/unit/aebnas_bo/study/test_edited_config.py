import logging
import os
from pathlib import Path

import pytest

from aebnas_bo.config.loading import dump_config, load_config, parse_config
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.study.edited_config import keep_edited

STORED = dump_config(load_config(None, ["search.budget=12"]))
EDITED = STORED.replace("budget: 12", "budget: 300")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.mark.parametrize("text", [STORED, STORED.replace("\n", "\r\n"), None])
def test_a_file_as_stored_or_none_is_passed_over(folder, text, caplog) -> None:
    if text is not None:
        folder.config.write_bytes(text.encode())
    keep_edited(folder, STORED)
    assert not caplog.records
    assert os.listdir(folder.path) == ([] if text is None else ["config.yaml"])


def test_an_edited_file_is_kept_and_its_settings_are_named(folder, caplog) -> None:
    folder.config.write_text(EDITED)
    keep_edited(folder, STORED)
    assert os.listdir(folder.path) == ["config.edited.yaml"]
    kept = folder.path / "config.edited.yaml"
    assert kept.read_text() == EDITED
    assert "(search.budget: 300)" in caplog.text
    assert parse_config(kept.read_text(), "").search.budget == 300  # as the message says, --config takes it
    folder.config.write_text("# a remark\n" + STORED)
    keep_edited(folder, STORED)
    assert kept.read_text() == EDITED
    assert (folder.path / "config.edited-2.yaml").read_text().startswith("# a remark")


@pytest.mark.parametrize("kind", ["not UTF-8", "no configuration", "folder", "pipe"])
def test_whatever_stands_there_is_kept(folder, kind, caplog) -> None:
    if kind == "folder":
        folder.config.mkdir()
    elif kind == "pipe":
        os.mkfifo(folder.config)
    else:
        folder.config.write_bytes(b"\xff" if kind == "not UTF-8" else b"- 1\n")
    with caplog.at_level(logging.WARNING):
        keep_edited(folder, STORED)
    assert "config.edited.yaml" in caplog.text
    assert os.listdir(folder.path) == ["config.edited.yaml"]
