"""Tar archives of somebody else: nothing is extracted, and reading one takes a bounded amount of memory and of data."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from aebnas_bo.data.decoding import MOST_BYTES
from aebnas_bo.errors import DataError
from aebnas_bo.storage.regular_files import check_regular, size_text

CHUNK_BYTES = 1 << 20
MOST_HEADER_BYTES = 1 << 20  # of one member; the format allows any number
MOST_MEMBERS = 2_000_000  # a gibibyte or two of their headers
# How far a compressed archive may expand. Pictures, which are compressed themselves, hardly do.
MOST_TIMES, ALWAYS_ALLOWED = 100, 4 << 30
# Damage surfaces as the decompressor's own error, which is neither OSError nor TarError, and as errors of any kind that
# `tarfile` meets in headers; chains of headers are read recursively.
READ_ERRORS = (tarfile.TarError, OSError, EOFError, ValueError, RecursionError, zlib.error, lzma.LZMAError)
UNPACK = "if you trust it, unpack it yourself and give the folder"


class Archive:
    """A tar archive that is read front to back.

    Args:
        tar: The archive.
        stream: What it reads from.
        origin: Its path, for messages.
    """

    def __init__(self, tar: tarfile.TarFile, stream: _BoundedStream, origin: Path) -> None:
        self._tar, self._stream, self._origin = tar, stream, origin

    def entries(self) -> Iterator[tarfile.TarInfo]:
        """Yield the headers of all members, then check that the archive is whole.

        Raises:
            DataError: If a limit is passed.
            tarfile.TarError: If it is damaged; also the other types of `READ_ERRORS`.
        """
        end = -1
        for number, entry in enumerate(self._tar):
            if number >= MOST_MEMBERS:
                raise DataError(f"data.root: {self._origin} has more than {MOST_MEMBERS:,} members; {UNPACK}")
            if entry.size < 0 or entry.offset <= end:  # `tarfile` would read the same members for ever
                raise tarfile.ReadError("a member has a size below 0")
            end = entry.offset
            yield entry
            self._stream.allow(MOST_HEADER_BYTES)
        # `tarfile` takes a damaged header for the end. After the true end there is only padding, and reading it makes
        # the decompressor check its checksum.
        self._stream.allow(None)
        while rest := self._stream.read(CHUNK_BYTES):
            if rest.strip(b"\0"):
                raise tarfile.ReadError("there is data after a header that cannot be read")

    def contents(self, entry: tarfile.TarInfo) -> bytes:
        """Return the contents of a member.

        Raises:
            DataError: If it is too large, or has holes.
        """
        name = f"data.root: {self._origin}: {entry.name}"
        if entry.issparse():
            raise DataError(f"{name} is stored as a sparse file of {size_text(entry.size)}; remove it, or {UNPACK}")
        if entry.size > MOST_BYTES:
            raise DataError(f"{name} holds {size_text(entry.size)}, more than {size_text(MOST_BYTES)}; remove it")
        self._stream.allow(None)
        file = self._tar.extractfile(entry)
        return b"" if file is None else file.read()

    def start(self, entry: tarfile.TarInfo, num_bytes: int) -> bytes:
        """Return the first bytes of a member; nothing of one that has holes."""
        self._stream.allow(None)
        file = None if entry.issparse() else self._tar.extractfile(entry)
        return b"" if file is None else file.read(num_bytes)


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open an archive: `.tar`, or one that gzip, bzip2 or xz compressed.

    Args:
        path: The file.

    Raises:
        tarfile.TarError: If it is none; also the other types of `READ_ERRORS`.
    """
    check_regular(path)
    with path.open("rb") as file:
        unpacked = _decompressed(file)
        size = path.stat().st_size
        stream = _BoundedStream(unpacked, max(MOST_TIMES * size, ALWAYS_ALLOWED), path)
        with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r:") as tar:
            yield Archive(tar, stream, path)


class _BoundedStream:
    """What `tarfile` reads from: so many bytes at most at once, and no place beyond a limit.

    Args:
        stream: What is read.
        most_bytes: How far into it.
        origin: The archive's path, for messages.
    """

    def __init__(self, stream: BinaryIO, most_bytes: int, origin: Path) -> None:
        self._stream, self._most_bytes, self._origin = stream, most_bytes, origin
        self._allowed: int | None = MOST_HEADER_BYTES

    def allow(self, num_bytes: int | None) -> None:
        """Set how many bytes may be read before the next call; `None` for any number."""
        self._allowed = num_bytes

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes."""
        if size < 0 or (self._allowed is not None and size > self._allowed):
            raise tarfile.ReadError(f"a header of a member asks for {size:,} bytes")
        if self._allowed is not None:
            self._allowed -= size
        self._check(self._stream.tell() + size)
        return self._stream.read(size)

    def seek(self, position: int) -> int:
        """Go to a place, counted from the beginning."""
        self._check(position)
        return self._stream.seek(position)

    def tell(self) -> int:
        """Return the place, counted from the beginning."""
        return self._stream.tell()

    def _check(self, position: int) -> None:
        if position > self._most_bytes:
            raise DataError(
                f"data.root: {self._origin} expands to more than {size_text(self._most_bytes)}, {MOST_TIMES} times its "
                f"size; {UNPACK}"
            )


def _decompressed(file: io.BufferedReader) -> BinaryIO:
    """Return what a file holds, decompressed while it is read."""
    start = file.peek(8)
    if start.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if start.startswith(b"BZh"):
        return cast(BinaryIO, bz2.BZ2File(file))
    if start.startswith((b"\xfd7zXZ\0", b"]\0\0")):
        return cast(BinaryIO, lzma.LZMAFile(file))
    return file
