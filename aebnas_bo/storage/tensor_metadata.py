"""The metadata of files of weights, read without PyTorch."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from aebnas_bo.errors import CorruptStateError
from aebnas_bo.storage.regular_files import check_regular


def load_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of what `save_tensors` wrote, which costs nothing but is not checked.

    Raises:
        CorruptStateError: If the file cannot be read.
    """
    check_readable(path)
    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptStateError(f"{path} cannot be read as safetensors ({error}); {way_out(path)}") from error


def check_readable(path: Path) -> None:
    """Check that a file is a regular one and can be opened; safetensors calls every other file missing.

    Raises:
        CorruptStateError: If it cannot.
    """
    try:
        check_regular(path)  # opening a pipe would wait for its writer
        path.open("rb").close()
    except FileNotFoundError as error:
        raise CorruptStateError(f"{path} is missing; resuming the run trains it again") from error
    except PermissionError as error:
        raise CorruptStateError(f"{path} may not be read ({error.strerror}); allow it, with chmod u+r") from error
    except OSError as error:
        raise CorruptStateError(f"{path} cannot be read ({error.strerror}); {way_out(path)}") from error


def way_out(path: Path) -> str:
    """Return what to do about a file of weights that cannot be used."""
    return f"delete {path} to train again, or start another run folder"
