from dataclasses import replace
from pathlib import Path

import pytest

from aebnas_bo.config.loading import dump_config
from aebnas_bo.errors import CorruptStateError, UsageError
from aebnas_bo.report.stored_run import StoredRun, read_run
from aebnas_bo.search.trial_store import TrialStore
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


def test_the_configuration_of_the_study_counts_and_no_edited_file(tiny_run, finished: StoredRun) -> None:
    folder = tiny_run()
    search = finished.config.search.model_copy(update={"budget": 30, "min_accuracy": 99.0})
    larger = finished.config.model_copy(update={"search": search})
    for text in (dump_config(larger), "a: [", "search: {budgt: 3}"):
        folder.config.write_text(text)
        assert (read_run(folder).config, read_run(folder).state) == (finished.config, "finished")
    folder.config.unlink()
    assert read_run(folder).config == finished.config
    with TrialStore.open(folder.study) as store:  # as going on with a larger budget does
        store.set_config(dump_config(larger))
    assert (read_run(folder).config.search.budget, read_run(folder).state) == (30, "stopped")


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        read_run(RunFolder(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="holds no study"):
        read_run(RunFolder(tmp_path))


@pytest.mark.parametrize("content", [b"x" * 5000, b""])
def test_damage_is_reported_with_its_file(tiny_run, content: bytes) -> None:
    folder = tiny_run()
    folder.study.write_bytes(content)
    with pytest.raises(CorruptStateError, match=r"study\.db"):
        read_run(folder)
