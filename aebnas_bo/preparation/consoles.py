"""Console that prints text literally, and a stream whose write errors do not stop a run."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed


class PlainConsole(Console):
    """Console that prints text literally: without markup, emoji codes or number highlighting.

    Control characters are escaped: names of files and classes must not send commands to the terminal.

    Args:
        stderr: Whether to print to stderr instead of stdout. Errors in writing to stderr are ignored.
        width: Characters per line; by default the width of the terminal.
    """

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        file = cast(TextIO, UnfailingStream(sys.stderr)) if stderr and sys.stderr is not None else None
        super().__init__(file=file, stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of an object, their control characters escaped; those of rich itself stay."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else CONTROL.sub(lambda found: repr(found[0])[1:-1], text), style, control)

    def on_broken_pipe(self) -> None:
        """Re-raise the error: the command line, not rich, ends the program."""
        raise  # noqa: PLE0704  rich calls this where it handles the error


class UnfailingStream:
    """Stream wrapper that ignores write errors, such as a closed pipe or a full disk.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text if possible and return its length."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, if possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
