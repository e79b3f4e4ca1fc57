"""Safe reading of untrusted tar archives: nothing is extracted, and memory and decompressed size are bounded."""

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
MOST_HEADER_BYTES = 1 << 20  # headers of one member; the format sets no limit
MOST_MEMBERS = 2_000_000  # their headers take one to two gibibytes
# Largest expansion of a compressed archive. Image files are compressed already and hardly expand.
MOST_TIMES, ALWAYS_ALLOWED = 100, 4 << 30
# A damaged archive raises the decompressor's own error, which is neither OSError nor TarError, or whatever `tarfile`
# raises on a bad header. It reads chains of headers recursively.
READ_ERRORS = (tarfile.TarError, OSError, EOFError, ValueError, RecursionError, zlib.error, lzma.LZMAError)
UNPACK = "if you trust it, unpack it yourself and give the folder"


class Archive:
    """Tar archive that is read sequentially.

    Args:
        tar: The archive.
        stream: Stream that `tar` reads from.
        origin: Path of the archive, for messages.
    """

    def __init__(self, tar: tarfile.TarFile, stream: _BoundedStream, origin: Path) -> None:
        self._tar, self._stream, self._origin = tar, stream, origin

    def entries(self) -> Iterator[tarfile.TarInfo]:
        """Yield the headers of all members, then check that the archive is complete.

        Raises:
            DataError: If a limit is exceeded.
            tarfile.TarError: If the archive is damaged; also the other types of `READ_ERRORS`.
        """
        end = -1
        for number, entry in enumerate(self._tar):
            if number >= MOST_MEMBERS:
                raise DataError(f"data.root: {self._origin} has more than {MOST_MEMBERS:,} members; {UNPACK}")
            if entry.size < 0 or entry.offset <= end:  # else `tarfile` reads the same members in a loop
                raise tarfile.ReadError("a member has a negative size")
            end = entry.offset
            yield entry
            self._stream.allow(MOST_HEADER_BYTES)
        # `tarfile` takes a damaged header for the end of the archive. Only padding may follow the true end; reading it
        # makes the decompressor verify its checksum.
        self._stream.allow(None)
        while rest := self._stream.read(CHUNK_BYTES):
            if rest.strip(b"\0"):
                raise tarfile.ReadError("data follows an unreadable header")

    def contents(self, entry: tarfile.TarInfo) -> bytes:
        """Return the contents of a member.

        Raises:
            DataError: If the member is too large or a sparse file.
        """
        name = f"data.root: {self._origin}: {entry.name}"
        if entry.issparse():
            raise DataError(f"{name} is stored as a sparse file of {size_text(entry.size)}; remove it, or {UNPACK}")
        if entry.size > MOST_BYTES:
            raise DataError(f"{name} has {size_text(entry.size)}, more than {size_text(MOST_BYTES)}; remove it")
        self._stream.allow(None)
        file = self._tar.extractfile(entry)
        return b"" if file is None else file.read()

    def start(self, entry: tarfile.TarInfo, num_bytes: int) -> bytes:
        """Return the first bytes of a member; an empty result for a sparse file."""
        self._stream.allow(None)
        file = None if entry.issparse() else self._tar.extractfile(entry)
        return b"" if file is None else file.read(num_bytes)


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a `.tar` archive, uncompressed or compressed by gzip, bzip2 or xz.

    Args:
        path: The file.

    Raises:
        tarfile.TarError: If the file is not an archive; also the other types of `READ_ERRORS`.
    """
    check_regular(path)
    with path.open("rb") as file:
        unpacked = _decompressed(file)
        size = path.stat().st_size
        stream = _BoundedStream(unpacked, max(MOST_TIMES * size, ALWAYS_ALLOWED), path)
        with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r:") as tar:
            yield Archive(tar, stream, path)


class _BoundedStream:
    """Stream for `tarfile` with a limit on the bytes per read and on the position.

    Args:
        stream: Stream to read from.
        most_bytes: Largest position.
        origin: Path of the archive, for messages.
    """

    def __init__(self, stream: BinaryIO, most_bytes: int, origin: Path) -> None:
        self._stream, self._most_bytes, self._origin = stream, most_bytes, origin
        self._allowed: int | None = MOST_HEADER_BYTES

    def allow(self, num_bytes: int | None) -> None:
        """Set the number of bytes that may be read until the next call; `None` for no limit."""
        self._allowed = num_bytes

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes."""
        if size < 0 or (self._allowed is not None and size > self._allowed):
            raise tarfile.ReadError(f"the header of a member has {size:,} bytes")
        if self._allowed is not None:
            self._allowed -= size
        self._check(self._stream.tell() + size)
        return self._stream.read(size)

    def seek(self, position: int) -> int:
        """Move to a position, counted from the start."""
        self._check(position)
        return self._stream.seek(position)

    def tell(self) -> int:
        """Return the position, counted from the start."""
        return self._stream.tell()

    def _check(self, position: int) -> None:
        if position > self._most_bytes:
            raise DataError(
                f"data.root: {self._origin} would unpack to more than {size_text(self._most_bytes)}; {UNPACK}"
            )


def _decompressed(file: io.BufferedReader) -> BinaryIO:
    """Return a stream that decompresses a file while it is read."""
    start = file.peek(8)
    if start.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if start.startswith(b"BZh"):
        return cast(BinaryIO, bz2.BZ2File(file))
    if start.startswith((b"\xfd7zXZ\0", b"]\0\0")):
        return cast(BinaryIO, lzma.LZMAFile(file))
    return file
