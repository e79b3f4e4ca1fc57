"""Finding and reading image files in a folder or a tar archive; nothing is ever extracted to disk."""

from __future__ import annotations

import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from aebnas_bo.data.archives import READ_ERRORS, open_archive
from aebnas_bo.data.decoding import read_picture
from aebnas_bo.data.file_trees import ArchiveTree, Child, FileTree, FolderTree, Parts, Place, files_below
from aebnas_bo.data.names import printable
from aebnas_bo.errors import DataError

SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".webp", ".avif", ".gif", ".tif", ".tiff",
        ".ppm", ".pgm", ".pbm", ".pnm",
    }
)  # fmt: skip
SPLITS = ("train", "validation", "test")
SPLIT_FOLDERS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
# How pictures begin, for files whose names do not say what they are.
STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"BM", b"GIF8", b"II*\0", b"MM\0*", b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
START_BYTES = 16
MOST_REASONS, MOST_NAMES = 5, 3  # that a line names


class Member(NamedTuple):
    """An image file by its place in the layout, the same in a folder and in an archive.

    Args:
        split: `train`, `validation` or `test`.
        class_name: Name of the class folder.
        name: Path below the class folder, with `/`.
    """

    split: str
    class_name: str
    name: str


@dataclass
class Listing:
    """What a folder or archive holds.

    Args:
        places: Every image file.
        passed_over: How many other things there are, by what they are.
        folders: Name of the folder of each split.
        empty: Class folders without images, as `train/cat`.
        others: Folders beside those of the splits.
    """

    places: dict[Member, Place] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)
    folders: dict[str, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def list_images(root: Path) -> dict[Member, Place]:
    """Return every image file of a folder or archive; as `look_through`."""
    return look_through(root).places


def look_through(root: Path) -> Listing:
    """Find every image file of a folder or archive, without reading the images.

    Hidden files (such as the `._*` files of macOS) are passed over, and files without the suffix of an image; files
    without any suffix count if they begin as images do. Links are followed, in archives within the archive.

    Args:
        root: Holds `train/<class>/*` and perhaps `val/<class>/*` and `test/<class>/*`, at the top or in one enclosing
            folder.

    Raises:
        DataError: If `root` is missing or damaged, several enclosing folders qualify, or a split has two folders.
    """
    if not root.exists():
        raise DataError(f"data.root: {root} does not exist; give the folder or archive with --set data.root=PATH")
    try:
        return _listing(root, FolderTree(root, START_BYTES) if root.is_dir() else _archive_tree(root))
    except READ_ERRORS as error:
        raise _unreadable(root, error) from error


def pictures_below(folder: Path) -> list[Path]:
    """Return every image file below a folder, in the order of their paths; hidden files and folders are passed over.

    Args:
        folder: The folder; links are followed.
    """
    tree = FolderTree(folder, START_BYTES)
    children = (child for _, child in files_below(tree, folder))
    return sorted(child.place for child in children if isinstance(child.place, Path) and _why_not(tree, child) is None)


def read_images(
    root: Path, places: Mapping[Member, Place], on_error: Callable[[DataError], None] | None = None
) -> Iterator[tuple[Member, bytes]]:
    """Yield the contents of chosen files; an archive is read once, front to back.

    Args:
        root: The folder or archive that was listed.
        places: Chosen entries of `list_images`.
        on_error: Called for a file that cannot be read, which is left out then.

    Raises:
        DataError: If a file or the archive cannot be read.
    """
    files = {member: place for member, place in places.items() if isinstance(place, Path)}
    entries = {member: place for member, place in places.items() if isinstance(place, tarfile.TarInfo)}
    for member, path in files.items():
        try:
            data = read_picture(path)
        except DataError as error:
            if on_error is None:
                raise
            on_error(error)
            continue
        yield member, data
    if not entries:
        return
    try:
        with open_archive(root) as archive:
            offset, data = -1, b""
            for member, entry in sorted(entries.items(), key=lambda item: item[1].offset_data):
                if entry.offset_data != offset:  # of two links to a file the second must not turn back
                    offset, data = entry.offset_data, archive.contents(entry)
                yield member, data
    except READ_ERRORS as error:
        raise _unreadable(root, error) from error


def _archive_tree(root: Path) -> ArchiveTree:
    starts: dict[int, bytes] = {}
    return ArchiveTree(list(_archive_entries(root, starts)), starts)


def _archive_entries(root: Path, starts: dict[int, bytes]) -> Iterator[tarfile.TarInfo]:
    """Yield the members, and note how those begin whose names do not say whether they are images."""
    with open_archive(root) as archive:
        for entry in archive.entries():
            yield entry
            if entry.isreg() and not PurePosixPath(entry.name).suffix:
                starts[entry.offset_data] = archive.start(entry, START_BYTES)


def _listing(root: Path, tree: FileTree) -> Listing:
    """Return what is at the top or, if there are no images, in the one enclosing folder that has some."""
    children = tree.children(tree.root)
    outer = _listing_of(root, tree, children)
    if outer.places:
        return outer
    enclosing = [child for child in children if child.folder is not None and not child.name.startswith(".")]
    inner = {
        child.name: _listing_of(root, tree, _readable_children(tree, child.folder))
        for child in enclosing
        if child.folder is not None and child.name.casefold() not in SPLIT_FOLDERS
    }
    inner = {name: listing for name, listing in inner.items() if listing.places}
    if len(inner) > 1:
        raise DataError(
            f"data.root: expected one folder with train/ and test/ in {root}, found {', '.join(inner)}; "
            "give the one to use with --set data.root=PATH"
        )
    return next(iter(inner.values()), outer)


def _readable_children(tree: FileTree, folder: Path | Parts) -> list[Child]:
    """Return what is in a folder that may have nothing to do with images, and be closed to us."""
    try:
        return tree.children(folder)
    except PermissionError:
        return []


def _listing_of(root: Path, tree: FileTree, children: list[Child]) -> Listing:
    listing = Listing()
    for child in children:
        split = SPLIT_FOLDERS.get(child.name.casefold())
        if child.folder is None or split is None:
            if child.folder is not None and not child.name.startswith("."):
                listing.others.append(child.name)
            continue
        if split in listing.folders:
            raise DataError(
                f"data.root: expected one folder for {split} images in {root}, found {listing.folders[split]} and "
                f"{child.name}; rename or remove one of them"
            )
        listing.folders[split] = child.name
        for inner in tree.children(child.folder):
            _add_class(listing, tree, split=split, child=inner)
    return listing


def _add_class(listing: Listing, tree: FileTree, *, split: str, child: Child) -> None:
    """Add the images of a class folder, or note what else there is."""
    folder = listing.folders[split]
    if child.folder is None or child.name.startswith("."):
        reason = _why_not(tree, child)
        listing.passed_over[reason or f"outside of class folders in {folder}/"] += 1
        return
    before = len(listing.places)
    for path, inner in files_below(tree, child.folder):
        reason = _why_not(tree, inner)
        if reason is None and inner.place is not None:
            listing.places[Member(split, child.name, "/".join(path))] = inner.place
        else:
            listing.passed_over[reason or ""] += 1
    if len(listing.places) == before:
        listing.empty.append(f"{folder}/{child.name}")


def _why_not(tree: FileTree, child: Child) -> str | None:
    """Return what something is if it is no image, else `None`."""
    if child.name.startswith("."):
        return "hidden"
    if child.kind == "dead link":
        return "links that lead nowhere"
    if child.place is None:
        return "no files"
    suffix = PurePosixPath(child.name).suffix.lower()
    if not suffix and isinstance(child.place, tarfile.TarInfo):  # a link may lead to a file whose name says more
        suffix = PurePosixPath(child.place.name).suffix.lower()
    if suffix in SUFFIXES:
        return None
    return suffix or (None if _begins_as_image(tree.start(child.place)) else "without suffix")


def _begins_as_image(start: bytes) -> bool:
    is_webp = start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    return start.startswith(STARTS) or is_webp or start[4:12] in (b"ftypavif", b"ftypavis")


def passed_over(listing: Listing) -> tuple[str, ...]:
    """Return what was found and is not used, each with its number or name.

    Args:
        listing: What was found.
    """
    found = [f"{count} {reason}" for reason, count in listing.passed_over.most_common(MOST_REASONS)]
    rest = listing.passed_over.total() - sum(count for _, count in listing.passed_over.most_common(MOST_REASONS))
    found += [f"{rest} others"] if rest else []
    found += [f"{len(listing.empty)} class folders without images ({_some(listing.empty)})"] if listing.empty else []
    found += [f"folders beside {listing.folders['train']}/ ({_some(listing.others)})"] if listing.others else []
    return tuple(found)


def _some(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > MOST_NAMES else ""
    return printable(", ".join(sorted(names)[:MOST_NAMES])) + more


def _unreadable(root: Path, error: Exception) -> DataError:
    if not root.is_file():
        return DataError(f"data.root: {root} cannot be read ({error}); allow reading it or give another with data.root")
    if zipfile.is_zipfile(root):
        return DataError(
            f"data.root: {root} is a zip archive, which is not read; unpack it and give the folder, or pack it as .tar"
        )
    reason = str(error).splitlines()[0].rstrip(":") if str(error) else type(error).__name__
    return DataError(
        f"data.root: expected a whole .tar, .tar.gz or .tar.xz archive, found a damaged or different file {root} "
        f"of {root.stat().st_size} bytes ({reason}); copy or download it again, or give its unpacked folder"
    )
