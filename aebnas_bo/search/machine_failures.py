"""Detection of machine failures, such as a full disk, as opposed to errors caused by the evaluated network."""

from __future__ import annotations

import re
import sqlite3

from safetensors import SafetensorError
from sqlalchemy.exc import SQLAlchemyError

from aebnas_bo.errors import EstimationError, OutOfMemoryError, StorageError
from aebnas_bo.storage.storage_failures import storage_error

STORAGE = (OSError, SafetensorError, SQLAlchemyError, sqlite3.Error)
# PyTorch has no exception types for these failures.
NO_MEMORY = re.compile(r"DefaultCPUAllocator|alloc_cpu|std::bad_alloc|(CUDA|HIP|XPU|MPS backend) out of memory")
NOT_SAVED = re.compile(r"PytorchStreamWriter failed|inline_container")


def machine_failure(error: BaseException) -> StorageError | OutOfMemoryError | None:
    """Return the machine failure behind an error, or `None` if the computation itself failed.

    Causes of an error (`raise ... from ...`) are searched too, except those of an `EstimationError`.

    Args:
        error: Any error.
    """
    found: BaseException | None = error
    while found is not None and not isinstance(found, EstimationError):
        if isinstance(found, StorageError | OutOfMemoryError):
            return found
        text = str(found) if isinstance(found, RuntimeError | MemoryError) else ""
        if isinstance(found, MemoryError) or NO_MEMORY.search(text):
            reason = text.strip().partition("\n")[0]
            return OutOfMemoryError(f"out of memory{f' ({reason})' if reason else ''}; close programs, or use less")
        if isinstance(found, STORAGE) or NOT_SAVED.search(text):
            return storage_error(None, found)
        found = found.__cause__
    return None
