"""Where text is shown: as it is, whatever it holds; and progress never ends the work that it reports."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TextIO, cast

from rich.console import Console


class PlainConsole(Console):
    """A console that shows text as it is: brackets are no markup, `:x:` is no emoji, numbers get no colours.

    Args:
        stderr: Whether it shows on stderr, else on stdout. What stderr does not take is lost.
        width: Characters per line; by default those of the terminal.
    """

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        file = cast(TextIO, UnfailingStream(sys.stderr)) if stderr and sys.stderr is not None else None
        super().__init__(file=file, stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def on_broken_pipe(self) -> None:
        """Leave the end of the program to its command line, not to rich."""
        raise  # noqa: PLE0704  rich calls this where it handles the error


class UnfailingStream:
    """A stream that loses what cannot be written: whoever read it has left, or its disk is full.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, if possible; return its length."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, if possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
