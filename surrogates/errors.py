"""The errors of this package."""

from __future__ import annotations


class SurrogateError(Exception):
    """Base of all errors of this package."""


class LayoutError(SurrogateError, ValueError):
    """Columns are declared inconsistently, or a tensor does not fit them."""


class NoCandidateError(SurrogateError, RuntimeError):
    """Every candidate has been tried already."""
