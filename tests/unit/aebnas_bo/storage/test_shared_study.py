from pathlib import Path

import pytest

from aebnas_bo.errors import CorruptStateError
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.sealed_json import write_sealed
from aebnas_bo.storage.shared_study import SharedStudy, database_url_problem, is_database_url

PLACE = SharedStudy("postgresql+psycopg://me@host:5433/studies", 7)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me@host/studies", "postgresql://host:5433/studies", "postgresql:///studies?host=/run/pg",
        "postgresql+psycopg://me%40home@host/a%2Fb?sslmode=require",
    ],
)  # fmt: skip
def test_urls_of_databases_are_accepted(url: str) -> None:
    assert database_url_problem(url) is None
    assert is_database_url(url)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql+psycopg://me:seCret@host/studies", "holds a password.*PGPASSWORD"),
        ("postgresql+psycopg://me:@host/studies", "holds a password"),
        ("postgresql://host/studies?password=seCret", "holds a password"),
        ("postgresql://host/studies?sslpassword=seCret", "holds a password"),
        ("postgresql://me:se/Cret@host/studies", "expected.*%2F"),
        ("postgresql://me:seCret", "expected"),
        ("mysql://me@host/studies", "expected postgresql"),
        ("sqlite:///study.db", "expected postgresql"),
        ("postgresql://me@host", "expected postgresql"),
        ("postgresql://[seCret/studies", "expected postgresql"),
        ("studies", "expected postgresql"),
    ],
)
def test_other_urls_are_refused_and_their_passwords_never_shown(url: str, problem: str) -> None:
    from re import search

    found = database_url_problem(url)
    assert found is not None
    assert search(problem, found)
    assert "Cret" not in found


def test_a_path_is_no_url() -> None:
    assert not is_database_url("runs/digits-seed0")


def test_a_folder_knows_its_study_in_a_shared_database(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert (folder.holds_study, folder.study) == (False, tmp_path / "study.db")
    PLACE.write(folder.shared_study_file)
    assert (folder.holds_study, folder.study) == (True, PLACE)
    assert str(folder.study) == "study 7 of postgresql+psycopg://me@host:5433/studies"
    text = folder.shared_study_file.read_text()
    folder.shared_study_file.write_text(text.replace("7", "8", 1))
    with pytest.raises(CorruptStateError, match=r"study\.json does not match its own hash"):
        _ = folder.study
    folder.study_file.touch()  # a file of its own comes first
    assert folder.study == folder.study_file


@pytest.mark.parametrize(
    "document",
    [{}, {"url": PLACE.url}, {"url": PLACE.url, "study_id": 0}, {"url": PLACE.url, "study_id": "7"},
     {"url": "postgresql://me:seCret@host/studies", "study_id": 7}, {"url": 7, "study_id": 7}],
)  # fmt: skip
def test_a_file_that_names_no_study_is_damaged(tmp_path: Path, document: dict[str, object]) -> None:
    write_sealed(tmp_path / "study.json", document)
    with pytest.raises(CorruptStateError, match="does not name a study") as caught:
        SharedStudy.read(tmp_path / "study.json")
    assert "seCret" not in str(caught.value)
