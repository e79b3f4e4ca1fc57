import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from aebnas_bo.config.loading import dump_config
from aebnas_bo.errors import ConfigError, CorruptStateError, UsageError
from aebnas_bo.report.stored_run import StoredRun, read_run
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.run_lock import RunLock


@pytest.fixture(scope="module")
def finished(tiny_runs) -> StoredRun:
    return read_run(tiny_runs())


def test_a_finished_run_is_read_and_its_folder_stays_as_it_is(tiny_runs) -> None:
    folder = tiny_runs()
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.path.rglob("*")}
    run = read_run(folder)
    assert (run.state, run.process, len(run.trials), run.config.search.budget) == ("finished", None, 14, 14)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.path.rglob("*")} == before


def test_states_follow_from_process_supernet_and_budget(finished: StoredRun) -> None:
    half = replace(finished, trials=finished.trials[:7])
    assert half.state == "stopped"
    assert replace(half, process="process 1").state == "searching"
    assert replace(half, process="process 1", has_supernet=False).state == "training supernet"
    assert replace(finished, process="process 1").state == "writing results"
    running = (*finished.trials[:-1], replace(finished.trials[-1], status="RUNNING"))
    assert replace(finished, trials=running).state == "stopped"
    assert len(replace(finished, trials=running).ended) == 13


def test_the_process_at_work_is_named(tiny_run) -> None:
    folder = tiny_run()
    with RunLock(folder.path):
        assert "process" in (read_run(folder).process or "")
    assert read_run(folder).process is None


def test_the_latest_budget_counts_and_the_study_knows_its_configuration_too(tiny_run, finished: StoredRun) -> None:
    folder = tiny_run()
    search = finished.config.search.model_copy(update={"budget": 30})
    folder.config.write_text(dump_config(finished.config.model_copy(update={"search": search})))
    assert (read_run(folder).config.search.budget, read_run(folder).state) == (30, "stopped")
    folder.config.unlink()
    assert read_run(folder).config == finished.config


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        read_run(RunFolder(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="holds no study"):
        read_run(RunFolder(tmp_path))


@pytest.mark.parametrize(("damaged", "lost"), [("accuracx", "accuracy"), ("finak", "exit rates")])
def test_a_flipped_letter_is_found(tiny_run, damaged: str, lost: str) -> None:
    folder = tiny_run()
    sound = {"accuracx": "accuracy", "finak": "final"}[damaged]
    with sqlite3.connect(folder.study) as connection:
        connection.execute(f"UPDATE trials SET points = replace(points, '{sound}', '{damaged}') WHERE number = 3")
    with pytest.raises(CorruptStateError, match=f"trial 3 lacks {lost}"):
        read_run(folder)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("study.db", b"x" * 5000, CorruptStateError),
        ("study.db", b"", CorruptStateError),
        ("config.yaml", b"a: [", ConfigError),
        ("config.yaml", b"search: {budgt: 3}", ConfigError),
        ("config.yaml", b"\xff\xfe", CorruptStateError),
    ],
)
def test_damage_is_reported_with_its_file(tiny_run, name: str, content: bytes, error: type[Exception]) -> None:
    folder = tiny_run()
    (folder.path / name).write_bytes(content)
    with pytest.raises(error, match=name.replace(".", r"\.")):
        read_run(folder)
