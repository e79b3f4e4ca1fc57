"""Finding and reading image files in a folder or a tar archive, without extracting anything to disk."""

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
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
# First bytes of image files, to recognise files without a suffix.
STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"BM", b"GIF8", b"II*\0", b"MM\0*", b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
START_BYTES = 16
MOST_REASONS, MOST_NAMES = 5, 3  # listed in a line


class Member(NamedTuple):
    """Image file by its position in the layout, the same in a folder and in an archive.

    Args:
        split: `train`, `validation` or `test`.
        class_name: Name of the class folder.
        name: Path relative to the class folder, with `/`.
    """

    split: str
    class_name: str
    name: str


@dataclass
class Listing:
    """Contents of a folder or archive.

    Args:
        places: Path or archive member of every image file.
        passed_over: Number of ignored entries, by reason.
        folders: Folder name of each split; without splits, that of the folder with the classes, as `train`.
        empty: Class folders without images, such as `train/cat`.
        others: Folders next to those of the splits, or without images next to those of the classes.
        has_splits: Whether there are folders of splits, rather than of classes only.
    """

    places: dict[Member, Place] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)
    folders: dict[str, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    has_splits: bool = True


def list_images(root: Path) -> dict[Member, Place]:
    """Return every image file of a folder or archive; see `look_through`."""
    return look_through(root).places


def look_through(root: Path) -> Listing:
    """Find every image file of a folder or archive, without reading the images.

    Hidden files (such as the `._*` files of macOS) and files with other suffixes are ignored; files without a suffix
    are recognised by their first bytes. Links are followed, in archives within the archive.

    Args:
        root: Contains `train/<class>/*` and optionally `val/<class>/*` and `test/<class>/*`, or `<class>/*`, at the
            top level or in one enclosing folder. Without splits, all images count as training images, and a class is
            a folder that contains images; if no folder does, one with a single folder of images in it.

    Raises:
        DataError: If `root` is missing or damaged, several enclosing folders qualify, or a split has two folders.
    """
    if not root.exists():
        raise DataError(f"data.root: {root} does not exist; give the folder or archive with --set data.root=PATH")
    try:
        if root.is_dir():
            return _listing(root, FolderTree(root, START_BYTES))
        tree = _archive_tree(root)
        listing = _listing(root, tree)
        if tree.num_unused:
            listing.passed_over["with .. or NUL in their names"] += tree.num_unused
        return listing
    except DataError:  # not damage; it is a `ValueError` too
        raise
    except READ_ERRORS as error:
        raise _unreadable(root, error) from error


def pictures_below(folder: Path) -> list[Path]:
    """Return every image file below a folder, sorted by path; hidden files and folders are ignored.

    Args:
        folder: Folder to search; links are followed.
    """
    tree = FolderTree(folder, START_BYTES)
    children = (child for _, child in files_below(tree, folder))
    return sorted(child.place for child in children if isinstance(child.place, Path) and _why_not(tree, child) is None)


def read_images(
    root: Path, places: Mapping[Member, Place], on_error: Callable[[DataError], None] | None = None
) -> Iterator[tuple[Member, bytes]]:
    """Yield the contents of chosen files; an archive is read once, sequentially.

    Args:
        root: Folder or archive that was listed.
        places: Chosen entries of `list_images`.
        on_error: Called for each file that cannot be read, which is then skipped; `None` to raise.

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
                if entry.offset_data != offset:  # the second of two links to a file must not seek backwards
                    offset, data = entry.offset_data, archive.contents(entry)
                yield member, data
    except DataError:  # not damage; it is a `ValueError` too
        raise
    except READ_ERRORS as error:
        raise _unreadable(root, error) from error


def _archive_tree(root: Path) -> ArchiveTree:
    starts: dict[int, bytes] = {}
    return ArchiveTree(list(_archive_entries(root, starts)), starts)


def _archive_entries(root: Path, starts: dict[int, bytes]) -> Iterator[tarfile.TarInfo]:
    """Yield the members, and store the first bytes of those without a suffix."""
    with open_archive(root) as archive:
        for entry in archive.entries():
            yield entry
            if entry.isreg() and not PurePosixPath(entry.name).suffix:
                starts[entry.offset_data] = archive.start(entry, START_BYTES)


def _listing(root: Path, tree: FileTree) -> Listing:
    """Return the listing of the splits or, if there are none, of the class folders."""
    children = tree.children(tree.root)
    outer = _listing_of(root, tree, children)
    if outer.places:
        return outer
    enclosed = {
        child.name: _readable_children(tree, child.folder)
        for child in children
        if child.folder is not None and not child.name.startswith(".") and child.name.casefold() not in SPLIT_FOLDERS
    }
    inner = {name: _listing_of(root, tree, found) for name, found in enclosed.items()}
    inner = {name: listing for name, listing in inner.items() if listing.places}
    if len(inner) > 1:
        raise DataError(
            f"data.root: expected one folder with train/ and test/ in {root}, found {', '.join(inner)}; "
            "give the one to use with --set data.root=PATH"
        )
    if inner or outer.folders:  # in the latter case there are folders of splits without images
        return next(iter(inner.values()), outer)
    return _unsplit_listing(root, tree, children, enclosed=enclosed) or outer


def _unsplit_listing(
    root: Path, tree: FileTree, children: Sequence[Child], *, enclosed: Mapping[str, Sequence[Child]]
) -> Listing | None:
    """Return the listing of class folders without splits, or `None` if there are no two.

    Args:
        root: The folder or archive.
        tree: Its files.
        children: Entries at the top level.
        enclosed: Entries of each folder at the top level.
    """
    classes = _class_folders(tree, children)
    if len(classes) > 1:
        return _listing_of_classes(root.name, tree, children, classes=classes)
    inner = {name: found for name, children in enclosed.items() if (found := _class_folders(tree, children))}
    if len(inner) == 1:
        [(name, classes)] = inner.items()
        return _listing_of_classes(name, tree, enclosed[name], classes=classes) if len(classes) > 1 else None
    if any(len(found) > 1 for found in inner.values()):
        raise DataError(
            f"data.root: expected one folder with class folders in {root}, found {', '.join(sorted(inner))}; give the "
            "one to use with --set data.root=PATH, or move all of them into a folder train/ if they are the classes"
        )
    return _listing_of_classes(root.name, tree, children, classes=frozenset(inner)) if inner else None


def _class_folders(tree: FileTree, children: Sequence[Child]) -> frozenset[str]:
    """Return the names of the folders that contain images other than in folders of their own."""
    return frozenset(
        child.name
        for child in children
        if child.folder is not None
        and not child.name.startswith(".")
        and any(_why_not(tree, inner) is None for inner in _readable_children(tree, child.folder))
    )


def _listing_of_classes(name: str, tree: FileTree, children: Sequence[Child], *, classes: frozenset[str]) -> Listing:
    """Return the listing of class folders without splits."""
    listing = Listing(folders={"train": name}, has_splits=False)
    for child in children:
        if child.folder is None or child.name.startswith(".") or child.name in classes:
            _add_class(listing, tree, split="train", child=child)
        else:
            listing.others.append(child.name)
    return listing


def _readable_children(tree: FileTree, folder: Path | Parts) -> list[Child]:
    """Return the entries of a folder; none without permission, as it may have nothing to do with images."""
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
    """Add the images of a class folder, and count the ignored entries."""
    folder = listing.folders[split]
    if child.folder is None or child.name.startswith("."):
        reason = _why_not(tree, child)
        listing.passed_over[reason or f"outside class folders in {folder}/"] += 1
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
    """Return why an entry is ignored, or `None` for an image."""
    if child.name.startswith("."):
        return "hidden"
    if child.kind == "dead link":
        return "broken links"
    if child.kind == "link upwards":
        return "links to an enclosing folder"
    if child.place is None:
        return "not regular files"
    suffix = PurePosixPath(child.name).suffix.lower()
    if not suffix and isinstance(child.place, tarfile.TarInfo):  # the target of a link may have a suffix
        suffix = PurePosixPath(child.place.name).suffix.lower()
    if suffix in SUFFIXES:
        return None
    return suffix or (None if _begins_as_image(tree.start(child.place)) else "without suffix")


def _begins_as_image(start: bytes) -> bool:
    is_webp = start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    return start.startswith(STARTS) or is_webp or start[4:12] in (b"ftypavif", b"ftypavis")


def passed_over(listing: Listing) -> tuple[str, ...]:
    """Return what was found but not used, each with its number or name.

    Args:
        listing: Contents of the folder or archive.
    """
    found = [f"{count} {reason}" for reason, count in listing.passed_over.most_common(MOST_REASONS)]
    rest = listing.passed_over.total() - sum(count for _, count in listing.passed_over.most_common(MOST_REASONS))
    found += [f"{rest} others"] if rest else []
    found += [f"{len(listing.empty)} class folders without images ({_some(listing.empty)})"] if listing.empty else []
    if listing.others:
        where = f"next to {listing.folders['train']}/" if listing.has_splits else "without images of their own"
        found.append(f"folders {where} ({_some(listing.others)})")
    return tuple(found)


def _some(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > MOST_NAMES else ""
    return printable(", ".join(sorted(names)[:MOST_NAMES])) + more


def _unreadable(root: Path, error: Exception) -> DataError:
    if not root.is_file():
        return DataError(f"data.root: {root} cannot be read ({error}); allow reading it or set another data.root")
    if zipfile.is_zipfile(root):
        return DataError(
            f"data.root: {root} is a zip archive, which is not supported; unpack it and give the folder, or repack it "
            "as .tar"
        )
    reason = str(error).splitlines()[0].rstrip(":") if str(error) else type(error).__name__
    return DataError(
        f"data.root: expected a complete .tar, .tar.gz or .tar.xz archive, but {root} of "
        f"{root.stat().st_size} bytes is damaged or another kind of file ({reason}); copy or download it again, or "
        "give the unpacked folder"
    )
