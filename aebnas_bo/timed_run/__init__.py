"""Runs with a time budget: speeds are measured, the time is divided, and trained networks come out."""
