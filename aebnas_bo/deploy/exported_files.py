"""Search for exported networks and pictures, without importing PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aebnas_bo.data.image_sources import SUFFIXES, pictures_below
from aebnas_bo.errors import DataError, UsageError

NETWORK_FILE = "network.safetensors"
MANIFEST = "manifest.json"
FILES = (NETWORK_FILE, "network.onnx", MANIFEST)
PROGRAM_SUFFIX = ".pt2"
MOST_NAMED = 4  # folders in a message


def network_file(path: Path) -> Path:
    """Return the file of an exported network.

    Args:
        path: The file, or the folder it was exported to.

    Raises:
        UsageError: If there is no such file, its format is unknown or only PyTorch loads it.
    """
    if path.is_dir():
        there = [path / name for name in FILES if (path / name).exists()]
        programs = sorted(path.glob(f"*{PROGRAM_SUFFIX}"))
        if not there and programs:
            return network_file(programs[0])
        if not there:
            raise UsageError(f"{path}: holds no exported network; {_way_out(path, FILES)}")
        return there[0]
    if not path.exists():
        raise UsageError(f"{path}: no such file; give a file that `aebnas-bo export` wrote")
    if path.suffix == PROGRAM_SUFFIX:
        raise UsageError(
            f"{path}: is a PyTorch program, which can execute arbitrary code; aebnas_bo does not load it. Use a file "
            "of the format torch or onnx, or torch.export.load if you created the program yourself"
        )
    if path.suffix not in {Path(name).suffix for name in FILES}:
        raise UsageError(f"{path}: unknown format; expected .safetensors, .onnx or the {MANIFEST} of segments")
    return path


def file_of_weights(path: Path) -> Path:
    """Return the file of a network exported in the format `torch`.

    Args:
        path: The file, or the folder it was exported to.

    Raises:
        UsageError: If there is no such file, or it is of another format.
    """
    file = path / NETWORK_FILE if path.is_dir() else path
    if path.is_dir() and not file.exists():
        raise UsageError(f"{path}: holds no network in the format torch; {_way_out(path, FILES[:1])}")
    if file.suffix != ".safetensors" or not file.exists():
        raise UsageError(f"{path}: expected a network in the format torch ({NETWORK_FILE}), not in another format")
    return file


def _way_out(folder: Path, names: Sequence[str]) -> str:
    """Return which folders below a folder hold a network, or else which files are expected."""
    below = sorted({file.parent for name in names for file in folder.glob(f"*/{name}")})
    if below:
        return f"name a folder below it that does: {', '.join(map(str, below[:MOST_NAMED]))}"
    return f"expected {'one of ' if len(names) > 1 else ''}{', '.join(names)}"


def picture_files(paths: Sequence[Path]) -> list[Path]:
    """Return the given files, and all pictures below the given folders in order of their names.

    Raises:
        DataError: If a path does not exist, or a folder holds no picture or something that cannot be read.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = _pictures_below(path)
            if not found:
                raise DataError(f"{path}: holds no pictures ({', '.join(sorted(SUFFIXES))})")
            files += found
        elif path.exists():
            files.append(path)
        else:
            raise DataError(f"{path}: no such picture or folder")
    return files


def _pictures_below(folder: Path) -> list[Path]:
    try:
        return pictures_below(folder)
    except OSError as error:
        raise DataError(
            f"{error.filename or folder}: cannot be read ({error.strerror}); allow reading it, or give the pictures "
            f"themselves instead of {folder}"
        ) from error
