"""What a short list can be asked for, checked before PyTorch is imported."""

from __future__ import annotations

from aebnas_bo.analysis.selection import Selection
from aebnas_bo.errors import UsageError


def check_shortlist(count: int | None, selection: Selection) -> None:
    """Refuse a short list for a selection that names one network.

    Args:
        count: Networks asked for; `None` for no short list.
        selection: Which network is wanted.

    Raises:
        UsageError: If it is a key.
    """
    if count is not None and selection.kind == "key":
        raise UsageError(
            f"--select {selection} names one network, and --shortlist {count} chooses among several; leave out "
            "--shortlist, or select knee, best-accuracy, macs<=X, latency<=X or accuracy>=Y"
        )
