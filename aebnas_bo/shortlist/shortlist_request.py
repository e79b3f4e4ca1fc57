"""Check of the arguments of a short list, without importing PyTorch."""

from __future__ import annotations

from aebnas_bo.analysis.selection import Selection
from aebnas_bo.errors import UsageError


def check_shortlist(count: int | None, selection: Selection) -> None:
    """Check that the selection for a short list does not name a single network.

    Args:
        count: Number of networks on the short list; `None` for no short list.
        selection: The selection.

    Raises:
        UsageError: If it is a key.
    """
    if count is not None and selection.kind == "key":
        raise UsageError(
            f"--select {selection} names one network, and --shortlist {count} chooses among several; leave out "
            "--shortlist, or select knee, best-accuracy, macs<=X, latency<=X or accuracy>=Y"
        )
