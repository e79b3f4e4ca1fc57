"""Interface of trackers, and the records that they receive."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Record:
    """Figures of one step of a stream.

    Args:
        stream: Name of the stream: `search` (one step per trial), `front` (pictures), `supernet` (one step per epoch),
            `trained/NAME` and `short/NAME` (epochs of a network), `trained/NAME/figures` (its final figures).
        step: Number of the trial or epoch. Steps of a stream increase.
        values: Finite figures by name; names may have parts separated by `/`.
        pictures: PNG files by name.
        time: Seconds since the epoch.
    """

    stream: str
    step: int
    values: Mapping[str, float] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    time: float = field(default_factory=time.time)


class Tracker(Protocol):
    """Receives the figures of a run.

    Only the process that runs the study calls a tracker, from one thread. A tracker that raises an exception is not
    called again; the run continues.

    A resumed run repeats the records of all its trials and of the epochs after the last checkpoint. A tracker ignores a
    record whose step is not greater than the last one it stored for the stream, so that nothing is stored twice.
    """

    def write(self, record: Record) -> None:
        """Store a record, or ignore it if its step is already stored."""
        ...

    def close(self) -> None:
        """Finish writing; the tracker is not called again."""
        ...
