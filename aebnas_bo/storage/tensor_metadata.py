"""Reading of metadata of tensor files without PyTorch."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from aebnas_bo.errors import CorruptStateError
from aebnas_bo.storage.regular_files import check_regular


def load_metadata(path: Path) -> dict[str, str]:
    """Load the metadata of a file written by `save_tensors`; this is fast but does not check the hash.

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
    """Check that a file is regular and can be opened; safetensors reports all other files as missing.

    Raises:
        CorruptStateError: If it is not regular or cannot be opened.
    """
    try:
        check_regular(path)  # opening a pipe would block
        path.open("rb").close()
    except FileNotFoundError as error:
        raise CorruptStateError(f"{path} is missing; resuming the run trains it again") from error
    except PermissionError as error:
        raise CorruptStateError(
            f"{path} is not readable ({error.strerror}); allow reading it, with chmod u+r"
        ) from error
    except OSError as error:
        raise CorruptStateError(f"{path} cannot be read ({error.strerror}); {way_out(path)}") from error


def way_out(path: Path) -> str:
    """Return the advice for an unusable file of weights."""
    return f"delete {path} to train again, or start another run folder"
