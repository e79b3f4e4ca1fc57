import sys

import pytest
from sqlalchemy import text

from aebnas_bo.errors import CorruptStateError, StorageError, UsageError
from aebnas_bo.search.database_engines import postgresql_engine, process_name
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial_store import TrialStore
from tests.postgresql_server import WITH_PASSWORD

NOBODY = "postgresql+psycopg://me@127.0.0.1:1/studies"
RECORD = StudyRecord("toy", 0, "f", "", ())


def test_a_missing_driver_is_named_with_the_extra_that_has_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UsageError, match=r"needs the package psycopg.*pip install 'aebnas_bo\[postgres\]'"):
        postgresql_engine(NOBODY)


def test_a_password_in_the_url_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError, match="database URL: holds a password") as caught:
        TrialStore.create("postgresql+psycopg://me:seCret@127.0.0.1:1/studies", RECORD)
    assert "seCret" not in str(caught.value)


def test_a_server_that_does_not_answer_is_a_failure_of_storage(monkeypatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "seCret")
    with pytest.raises(StorageError, match=r"refused; check that the server is running and can be reached") as caught:
        TrialStore.create(NOBODY, RECORD)
    assert NOBODY in str(caught.value)
    assert "seCret" not in str(caught.value)


def test_a_missing_database_and_a_missing_right_are_explained(postgresql) -> None:
    with pytest.raises(StorageError, match=r'database "none" does not exist; create it with createdb'):
        TrialStore.create(postgresql.url("none"), RECORD)
    url = postgresql.new_database()
    postgresql.execute("DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
    with pytest.raises(StorageError, match=r"permission denied for schema public; let its owner grant"):
        TrialStore.create(url.replace("tester@", "guest@"), RECORD)


def test_a_password_comes_from_the_environment_or_a_file_and_is_never_shown(postgresql, tmp_path, monkeypatch) -> None:
    url = postgresql.new_database()
    postgresql.execute(
        f"CREATE ROLE {WITH_PASSWORD} LOGIN SUPERUSER PASSWORD 'seCret'", database=url.rpartition("/")[2]
    )
    guarded = url.replace("tester@", f"{WITH_PASSWORD}@")
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    for wrong in ("", "seCret2"):
        monkeypatch.setenv("PGPASSWORD", wrong)
        with pytest.raises(StorageError, match=r"set PGPASSWORD or add a line to ~/\.pgpass") as caught:
            TrialStore.create(guarded, RECORD)
        assert "seCret" not in f"{caught.value} {caught.value.__cause__}"
    monkeypatch.setenv("PGPASSWORD", "seCret")
    with TrialStore.create(guarded, RECORD) as store:
        assert "seCret" not in f"{store.place!r} {store.origin} {store._engine!r}"
    monkeypatch.delenv("PGPASSWORD")
    (tmp_path / "pgpass").write_text(f"127.0.0.1:{postgresql.port}:*:{WITH_PASSWORD}:seCret\n")
    (tmp_path / "pgpass").chmod(0o600)
    TrialStore.open(store.place).close()


def test_a_database_of_other_programs_or_versions_is_refused(postgresql) -> None:
    from aebnas_bo.storage.shared_study import SharedStudy

    url = postgresql.new_database()
    with pytest.raises(CorruptStateError, match="holds no study of this program"):
        TrialStore.open(SharedStudy(url, 1))
    TrialStore.create(url, RECORD).close()
    with pytest.raises(CorruptStateError, match="holds no study 2; `aebnas-bo studies URL` lists"):
        TrialStore.open(SharedStudy(url, 2))
    postgresql.execute("ALTER TABLE trials DROP COLUMN pending", database=url.rpartition("/")[2])
    for call in (lambda: TrialStore.open(SharedStudy(url, 1)), lambda: TrialStore.create(url, RECORD)):
        with pytest.raises(CorruptStateError, match="has a table trials of another version or another program"):
            call()


def test_the_server_knows_who_is_connected_and_frees_what_a_dead_machine_held(postgresql) -> None:
    engine = postgresql_engine(postgresql.new_database())
    with engine.connect() as connection:
        assert connection.execute(text("SHOW application_name")).scalar() == process_name()
        assert connection.execute(text("SHOW tcp_keepalives_idle")).scalar() == "30"
    engine.dispose()
    assert len(process_name().encode()) <= 63
