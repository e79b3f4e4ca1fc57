"""TensorBoard's event files, one folder per stream; written without a thread, so that errors reach the caller.

The writer of `tensorboard` and PyTorch has a thread with a bounded queue: after an error, such as a full disk, the
thread ends, and the next calls wait for ever.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from aebnas_bo.tracking.tracker import Record

HEADER, FOOTER = 12, 4  # bytes around the data of a record: its length with a checksum, and the checksum of the data
PNG_SIZE = slice(16, 24)  # width and height in the header of a PNG file
RGBA = 4


class TensorBoardFiles:
    """Tracker that writes event files.

    Every record is written as a whole. A record that a killed process left incomplete is ignored by TensorBoard and
    here.

    Args:
        folder: Folder of the streams; created with the first record.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._streams: dict[str, _Stream] = {}

    def write(self, record: Record) -> None:
        """Append a record to its stream, unless its step is already stored.

        Raises:
            OSError: If the file cannot be written.
        """
        stream = self._streams.get(record.stream)
        if stream is None:
            stream = self._streams[record.stream] = _Stream(self._folder / record.stream)
        stream.write(record)

    def close(self) -> None:
        """Close all files."""
        for stream in self._streams.values():
            stream.close()


class _Stream:
    """Event files of one stream: those of earlier processes, and one of this process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last = last_step(folder)
        self._writer: RecordWriter | None = None

    def write(self, record: Record) -> None:
        if record.step <= self._last:
            return
        if self._writer is None:
            self._writer = self._opened()
        summary = Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in record.values.items()])
        for name, png in record.pictures.items():
            width, height = struct.unpack(">II", png[PNG_SIZE])
            image = Summary.Image(height=height, width=width, colorspace=RGBA, encoded_image_string=png)
            summary.value.append(Summary.Value(tag=name, image=image))
        self._append(self._writer, Event(wall_time=record.time, step=record.step, summary=summary))
        self._last = record.step

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _opened(self) -> RecordWriter:
        self._folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        stem = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}"
        number = len(list(self._folder.glob("events.out.tfevents.*")))  # files are read in the order of their names
        writer = RecordWriter((self._folder / f"{stem}.{number}").open("xb"))
        self._append(writer, Event(wall_time=now, file_version="brain.Event:2"))
        return writer

    @staticmethod
    def _append(writer: RecordWriter, event: Event) -> None:
        writer.write(event.SerializeToString())
        writer.flush()


def last_step(folder: Path) -> int:
    """Return the last step that the event files of a stream hold; -1 without any.

    Args:
        folder: Folder of the stream.
    """
    return max((event.step for event in events(folder) if event.summary.value), default=-1)


def events(folder: Path) -> Iterator[Event]:
    """Yield the complete events of a stream in the order of writing.

    Args:
        folder: Folder of the stream.
    """
    for path in sorted(folder.glob("events.out.tfevents.*")):
        with path.open("rb") as file:
            yield from _events(file)


def _events(file: BinaryIO) -> Iterator[Event]:
    while len(header := file.read(HEADER)) == HEADER:
        [length] = struct.unpack("<Q", header[:8])
        data = file.read(length)
        if len(file.read(FOOTER)) < FOOTER:
            return  # left incomplete by a killed process
        yield Event.FromString(data)
