"""Finding and reading image files in a folder or a tar archive; nothing is ever extracted to disk."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from aebnas_bo.data.archives import READ_ERRORS, open_archive
from aebnas_bo.data.decoding import read_picture
from aebnas_bo.errors import DataError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
SPLITS = ("train", "test")


class Member(NamedTuple):
    """An image file by its place in the layout, the same in a folder and in an archive.

    Args:
        split: `train` or `test`.
        class_name: Name of the class folder.
        name: Path below the class folder, with `/`.
    """

    split: str
    class_name: str
    name: str


Place = Path | tarfile.TarInfo


def list_images(root: Path) -> dict[Member, Place]:
    """Return every image file of a folder or archive, without reading the images.

    Hidden files (such as the `._*` files of macOS) and files without the suffix of an image are passed over.

    Args:
        root: Holds `train/<class>/*` and perhaps `test/<class>/*`, at the top or in one enclosing folder.

    Raises:
        DataError: If `root` is missing or damaged, or several enclosing folders qualify.
    """
    if not root.exists():
        raise DataError(f"data.root: {root} does not exist; give the folder or archive with --set data.root=PATH")
    try:
        found = _folder_files(root) if root.is_dir() else _archive_files(root)
        return _by_member(root, found)
    except READ_ERRORS as error:
        raise _unreadable(root, error) from error


def read_images(root: Path, places: Mapping[Member, Place]) -> Iterator[tuple[Member, bytes]]:
    """Yield the contents of chosen files; an archive is read once, front to back.

    Args:
        root: The folder or archive that was listed.
        places: Chosen entries of `list_images`.

    Raises:
        DataError: If a file or the archive cannot be read.
    """
    files = {member: place for member, place in places.items() if isinstance(place, Path)}
    entries = {member: place for member, place in places.items() if isinstance(place, tarfile.TarInfo)}
    for member, path in files.items():
        yield member, read_picture(path)
    if not entries:
        return
    try:
        with open_archive(root) as archive:
            for member, entry in sorted(entries.items(), key=lambda item: item[1].offset_data):
                yield member, archive.contents(entry)
    except READ_ERRORS as error:
        raise _unreadable(root, error) from error


def _folder_files(root: Path) -> Iterator[tuple[PurePosixPath, Place]]:
    for split in SPLITS:
        for pattern in (f"{split}/*/**/*", f"*/{split}/*/**/*"):
            for path in root.glob(pattern):
                if path.is_file():
                    yield PurePosixPath(path.relative_to(root).as_posix()), path


def _archive_files(root: Path) -> Iterator[tuple[PurePosixPath, Place]]:
    with open_archive(root) as archive:
        for entry in archive.entries():
            if entry.isreg():
                yield PurePosixPath(entry.name), entry


def _by_member(root: Path, found: Iterable[tuple[PurePosixPath, Place]]) -> dict[Member, Place]:
    """Sort files by their enclosing folder and keep those of the outermost one."""
    by_parent: dict[str, dict[Member, Place]] = {}
    for path, place in found:
        parts = path.parts
        if path.suffix.lower() not in SUFFIXES or any(part.startswith(".") for part in parts):
            continue
        start = next((i for i in (0, 1) if len(parts) >= i + 3 and parts[i] in SPLITS), None)
        if start is not None:
            member = Member(parts[start], parts[start + 1], "/".join(parts[start + 2 :]))
            by_parent.setdefault("/".join(parts[:start]), {})[member] = place
    if "" not in by_parent and len(by_parent) > 1:
        raise DataError(
            f"data.root: expected one folder with train/ and test/ in {root}, found {', '.join(sorted(by_parent))}; "
            "give the one to use with --set data.root=PATH"
        )
    return by_parent.get("", next(iter(by_parent.values()), {}))


def _unreadable(root: Path, error: Exception) -> DataError:
    if not root.is_file():
        return DataError(f"data.root: {root} cannot be read ({error}); allow reading it or give another with data.root")
    reason = str(error).splitlines()[0].rstrip(":") if str(error) else type(error).__name__
    return DataError(
        f"data.root: expected a whole .tar, .tar.gz or .tar.xz archive, found a damaged or different file {root} "
        f"of {root.stat().st_size} bytes ({reason}); copy or download it again, or give its unpacked folder"
    )
