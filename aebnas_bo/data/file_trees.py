"""One view of folders and tar archives as trees of files; links in an archive never lead out of it."""

from __future__ import annotations

import os
import tarfile
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Place = Path | tarfile.TarInfo
Parts = tuple[str, ...]
Kind = Literal["file", "folder", "linked folder", "link upwards", "dead link", "other"]

MOST_LINKS = 40  # links that one path may follow, as on Linux
MOST_LEVELS = 64  # folders within folders in an archive; a name may be a mebibyte long
MOST_FOLDERS = 200_000  # of an archive


@dataclass(frozen=True)
class Child:
    """Entry of a folder.

    Args:
        name: Name of the entry.
        kind: Kind of the entry; a link to a file counts as a file.
        place: Path or archive member of a file, else `None`.
        folder: Path of a folder in its tree, else `None`.
    """

    name: str
    kind: Kind
    place: Place | None = None
    folder: Path | Parts | None = None


class FileTree(Protocol):
    """Interface for trees of files."""

    @property
    def root(self) -> Path | Parts:
        """The outermost folder."""

    def children(self, folder: Path | Parts) -> list[Child]:
        """Return the entries of a folder, sorted by name."""

    def identity(self, folder: Path | Parts) -> Hashable:
        """Return a value that is equal for all paths to the same folder."""

    def above(self, folder: Path | Parts) -> set[Hashable]:
        """Return the identities of the folders that contain a folder."""

    def start(self, place: Place) -> bytes:
        """Return the first bytes of a file."""


class FolderTree:
    """Folder on disk; links may lead out of it.

    Args:
        root: The folder.
        num_bytes: Number of bytes that `start` returns.
    """

    def __init__(self, root: Path, num_bytes: int) -> None:
        self.root: Path | Parts = root
        self._num_bytes = num_bytes

    def children(self, folder: Path | Parts) -> list[Child]:
        """Return the entries of a folder, sorted by name."""
        with os.scandir(_path(folder)) as entries:
            return [_child_of(entry) for entry in sorted(entries, key=lambda entry: entry.name)]

    def identity(self, folder: Path | Parts) -> Hashable:
        """Return device and inode."""
        found = _path(folder).stat()
        return found.st_dev, found.st_ino

    def above(self, folder: Path | Parts) -> set[Hashable]:
        """Return device and inode of the folders that contain a folder."""
        return {self.identity(one) for one in _path(folder).resolve().parents}

    def start(self, place: Place) -> bytes:
        """Return the first bytes of a file."""
        assert isinstance(place, Path)
        with place.open("rb") as file:
            return file.read(self._num_bytes)


class ArchiveTree:
    """Tar archive.

    Args:
        entries: Members of the archive; if several have the same name, the last one is used.
        starts: First bytes of some members, by the offset of their contents.

    Raises:
        ReadError: If folders are nested more than `MOST_LEVELS` deep, or there are more than `MOST_FOLDERS`.
    """

    def __init__(self, entries: Iterable[tarfile.TarInfo], starts: Mapping[int, bytes]) -> None:
        self.root: Path | Parts = ()
        self._starts = starts
        self._members: dict[Parts, tarfile.TarInfo] = {}
        self._names: dict[Parts, set[str]] = {(): set()}
        self.num_unused = 0  # members that unpacking skips
        for entry in entries:
            parts = _parts(entry.name)
            if not parts or ".." in parts or "\0" in entry.name:  # unpacking strips a leading / and skips these
                self.num_unused += bool(parts)
                continue
            if len(parts) > MOST_LEVELS:
                raise tarfile.ReadError(f"folders are nested {len(parts):,} levels deep, more than {MOST_LEVELS}")
            self._members[parts] = entry
            for depth in range(len(parts)):
                self._names.setdefault(parts[:depth], set()).add(parts[depth])
            if entry.isdir():
                self._names.setdefault(parts, set())
            if len(self._names) > MOST_FOLDERS:
                raise tarfile.ReadError(f"it has more than {MOST_FOLDERS:,} folders")

    def children(self, folder: Path | Parts) -> list[Child]:
        """Return the entries of a folder, sorted by name."""
        assert not isinstance(folder, Path)
        return [self._child(folder, name) for name in sorted(self._names[folder])]

    def identity(self, folder: Path | Parts) -> Hashable:
        """Return the path of the folder, in which links are resolved."""
        return folder

    def above(self, folder: Path | Parts) -> set[Hashable]:
        """Return the paths of the folders that contain a folder."""
        assert not isinstance(folder, Path)
        return {folder[:depth] for depth in range(len(folder))}

    def start(self, place: Place) -> bytes:
        """Return the first bytes of a file, or nothing if they are not known."""
        assert isinstance(place, tarfile.TarInfo)
        return self._starts.get(place.offset_data, b"")

    def _child(self, folder: Parts, name: str) -> Child:
        entry = self._members.get((*folder, name))
        is_link = entry is not None and (entry.issym() or entry.islnk())
        found = self._resolved((*folder, name))
        if found is None:
            return Child(name, "dead link" if is_link else "other")
        if found in self._names:
            return Child(name, "linked folder" if is_link else "folder", folder=found)
        target = self._members[found]
        return Child(name, "file", target) if target.isreg() else Child(name, "other")

    def _resolved(self, path: Parts) -> Parts | None:
        """Return a path with its links resolved, or `None` if it leads to nothing in the archive."""
        done: Parts = ()
        left, links = deque(path), 0
        while left:
            name = left.popleft()
            if name == "..":
                if not done:
                    return None
                done = done[:-1]
                continue
            entry = self._members.get((*done, name))
            if entry is None or not (entry.issym() or entry.islnk()):
                done = (*done, name)
                continue
            links += 1
            target = _parts(entry.linkname)
            if links > MOST_LINKS or entry.linkname.startswith("/") or len(target) > MOST_LEVELS:
                return None
            left.extendleft(reversed(target))
            done = done if entry.issym() else ()  # the target of a hard link is relative to the top of the archive
        return done if done in self._members or done in self._names else None


def files_below(tree: FileTree, folder: Path | Parts) -> Iterator[tuple[Parts, Child]]:
    """Yield every entry below a folder that is not a folder itself, with its relative path.

    Each folder is visited once, by its own name rather than through a link, so that cyclic links end. Links to a folder
    that contains this one are not followed: they lead to the images of other classes.

    Args:
        tree: Tree of files.
        folder: Folder to start from.
    """
    seen: set[Hashable] = set()
    above = tree.above(folder)
    own: deque[tuple[Parts, Path | Parts]] = deque([((), folder)])
    linked: deque[tuple[Parts, Path | Parts]] = deque()
    while own or linked:
        path, here = (own or linked).popleft()
        identity = tree.identity(here)
        if identity in seen:
            continue
        seen.add(identity)
        for child in tree.children(here):
            inner = (*path, child.name)
            if child.folder is None or child.name.startswith("."):
                yield inner, child
            elif child.kind == "linked folder" and tree.identity(child.folder) in above:
                yield inner, Child(child.name, "link upwards")
            else:
                (own if child.kind == "folder" else linked).append((inner, child.folder))


def _child_of(entry: os.DirEntry[str]) -> Child:
    path, is_link = Path(entry.path), entry.is_symlink()
    try:
        if entry.is_dir():
            return Child(entry.name, "linked folder" if is_link else "folder", folder=path)
        if entry.is_file():
            return Child(entry.name, "file", path)
    except OSError:  # cyclic links
        return Child(entry.name, "dead link")
    return Child(entry.name, "dead link" if is_link and not path.exists() else "other")


def _path(folder: Path | Parts) -> Path:
    assert isinstance(folder, Path)
    return folder


def _parts(name: str) -> Parts:
    return tuple(part for part in name.split("/") if part not in ("", "."))
