"""Failures of the machine, told apart from errors of what is computed: a full disk says nothing about a network."""

from __future__ import annotations

import re
import sqlite3

from safetensors import SafetensorError
from sqlalchemy.exc import SQLAlchemyError

from aebnas_bo.errors import EstimationError, OutOfMemoryError, StorageError
from aebnas_bo.storage.storage_failures import storage_error

STORAGE = (OSError, SafetensorError, SQLAlchemyError, sqlite3.Error)
# PyTorch has no types for these.
NO_MEMORY = re.compile(r"DefaultCPUAllocator|alloc_cpu|std::bad_alloc|(CUDA|HIP|XPU|MPS backend) out of memory")
NOT_SAVED = re.compile(r"PytorchStreamWriter failed|inline_container")


def machine_failure(error: BaseException) -> StorageError | OutOfMemoryError | None:
    """Return what is wrong with the machine, or `None` if an error is one of the computation.

    The causes of an error (`raise ... from ...`) count too, except those of an `EstimationError`.

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
            return OutOfMemoryError(f"out of memory{f' ({reason})' if reason else ''}; end other programs, or use less")
        if isinstance(found, STORAGE) or NOT_SAVED.search(text):
            return storage_error(None, found)
        found = found.__cause__
    return None
