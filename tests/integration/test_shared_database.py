"""Studies in a PostgreSQL database, from the command line."""

import json
import shutil
from pathlib import Path

from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.shared_study import SharedStudy
from aebnas_bo.study.study import Study

from .conftest import Call, read_json, without_times

SECRET = "seCret-word"


def holds_secret(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_a_study_in_a_database_is_used_through_its_folder(
    postgresql, tmp_path: Path, call: Call, run: Call, monkeypatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    url = postgresql.new_database()
    alone = run("--budget=7", "--out=alone")
    assert alone.returncode == 0, alone.stderr
    shared = run("--budget=6", "--out=shared", f"--set=storage={url}")
    assert shared.returncode == 0, shared.stderr
    folder = RunFolder(tmp_path / "shared")
    assert not folder.study_file.exists()
    assert folder.study == SharedStudy(url, 1)

    resumed = call("run", "--resume", "--out=shared", "--budget=7", "--json")
    assert resumed.returncode == 0, resumed.stderr
    for name in ("trials.csv", "settings.csv", "pareto_front.csv"):
        assert without_times(tmp_path / "shared" / name) == without_times(tmp_path / "alone" / name)
    assert read_json(folder.summary)["hypervolume"] == read_json(tmp_path / "alone" / "summary.json")["hypervolume"]
    assert len(Study.open("shared")) == 7

    status = json.loads(call("status", "shared", "--json").stdout)
    assert (status["state"], status["trials"], status["folder"]) == ("finished", 7, "shared")
    by_url = json.loads(call("status", url, "--study=1", "--json").stdout)
    own = {"folder", "last_change_s"}
    assert {k: v for k, v in by_url.items() if k not in own} == {k: v for k, v in status.items() if k not in own}
    assert by_url["folder"] == f"study 1 of {url}"
    reported = call("report", "shared")
    assert reported.returncode == 0, reported.stderr
    trained = call("train", "shared", "--set=final_training.epochs=1")
    assert trained.returncode == 0, trained.stderr

    listed = call("studies", url)
    assert "digits" in listed.stdout
    [study] = json.loads(call("studies", url, "--json").stdout)["studies"]
    assert (study["completed"], study["running"], study["failed"], study["process"]) == (7, 0, 0, None)
    printed = "".join(one.stdout + one.stderr for one in (shared, resumed, reported, trained, listed))
    assert SECRET not in printed
    assert holds_secret(tmp_path / "shared") == []


def test_the_place_of_a_study_is_fixed_and_used_by_one_process(
    postgresql, tmp_path: Path, call: Call, run: Call
) -> None:
    url = postgresql.new_database()
    assert run("--budget=5", "--out=a", f"--set=storage={url}").returncode == 0
    moved = run("--resume", "--out=a", "--budget=6", "--set=storage=null")
    assert moved.returncode == 3
    assert "storage: the study has" in moved.stderr
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    from aebnas_bo.search.trial_store import TrialStore

    with TrialStore.open(RunFolder(tmp_path / "a").study) as store, store.proposer_lock():
        second = call("run", "--resume", "--out=copy", "--budget=6")
    assert second.returncode == 5
    assert f"study 1 of {url} is in use by process" in second.stderr


def test_mistakes_with_urls_are_explained_without_passwords(call: Call, run: Call) -> None:
    url = f"postgresql+psycopg://me:{SECRET}@127.0.0.1:1/studies"
    for result, code in (
        (call("studies", url), 2),
        (call("status", url), 2),
        (run(f"--set=storage={url}"), 3),
        (run(f"--set=storage=postgresql://127.0.0.1/studies?password={SECRET}"), 3),
        (run(f"--set=storage={{url: '{url}'}}"), 3),
        (run(f"--set=search.storage={url}"), 3),
        (call("studies", "runs/digits"), 2),
        (call("studies", url.replace(f":{SECRET}", "")), 8),
        (call("status", "nowhere", "--study=1"), 2),
        (call("report", url), 2),
        (call("train", url), 2),
    ):
        assert result.returncode == code, result.stderr
        assert SECRET not in result.stdout + result.stderr
    assert "give the run folder" in " ".join(call("report", url).stderr.split())
