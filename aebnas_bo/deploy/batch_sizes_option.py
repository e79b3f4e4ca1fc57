"""The option `--batch-sizes`, without importing PyTorch."""

from __future__ import annotations

from aebnas_bo.errors import UsageError

LARGEST_BATCH = 65_536  # images
LONGEST = 80  # characters of an option that are echoed


def parse_batch_sizes(text: str) -> list[int]:
    """Parse batch sizes from a text such as `1,64`.

    Raises:
        UsageError: If the text is invalid, or a batch is larger than `LARGEST_BATCH` images.
    """
    parts = [part.strip() for part in text.split(",")]
    longest = len(str(LARGEST_BATCH))
    if not all(part.isdecimal() and len(part) <= longest and 0 < int(part) <= LARGEST_BATCH for part in parts):
        raise UsageError(
            f"--batch-sizes {text[:LONGEST]}: expected whole numbers from 1 to {LARGEST_BATCH} separated by commas, "
            "such as 1,64"
        )
    return list(dict.fromkeys(int(part) for part in parts))
