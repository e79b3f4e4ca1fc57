"""Data sets in memory, their splits, and batched transforms."""
