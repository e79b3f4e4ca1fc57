import errno
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy.exc
from safetensors import SafetensorError

from aebnas_bo.errors import EstimationError, OutOfMemoryError, SearchSpaceError, StorageError
from aebnas_bo.search.machine_failures import machine_failure


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a.db"), StorageError, "a.db: No space left on device; free"),
        (PermissionError(errno.EACCES, "Permission denied"), StorageError, "Permission denied; allow reading"),
        (OSError(errno.EMFILE, "Too many open files"), StorageError, "ulimit -n"),
        (SafetensorError("Error while serializing: I/O error: (os error 28)"), StorageError, "No space left on device"),
        (sqlite3.OperationalError("database is locked"), StorageError, "database is locked"),
        (sqlalchemy.exc.OperationalError("INSERT", {}, Exception("readonly database")), StorageError, "readonly"),
        (RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"), StorageError, "failed wr"),
        (MemoryError(), OutOfMemoryError, "out of memory; close programs"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), OutOfMemoryError, "CUDA out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), OutOfMemoryError, "can't allocate"),
    ],
)
def test_failures_of_the_machine_are_known(error: Exception, kind: type[Exception], text: str) -> None:
    found = machine_failure(error)
    assert type(found) is kind
    assert text in str(found)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("x"), SearchSpaceError("no row"),
     ZeroDivisionError(), EstimationError("outputs are not finite"), RuntimeError("CUDA error: device-side assert")],
)  # fmt: skip
def test_errors_of_the_computation_are_none(error: Exception) -> None:
    assert machine_failure(error) is None


def test_the_cause_of_an_error_counts_unless_an_estimator_has_judged_it() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    wrapped, judged = RuntimeError("cannot train"), EstimationError("no data for this network")
    wrapped.__cause__ = judged.__cause__ = full
    assert isinstance(machine_failure(wrapped), StorageError)
    assert machine_failure(judged) is None


def test_a_storage_error_is_passed_on_as_it_is(tmp_path: Path) -> None:
    error = StorageError("known")
    assert machine_failure(error) is error
