"""The errors of this package."""

from __future__ import annotations


class SurrogateError(Exception):
    """Base of all errors of this package."""


class LayoutError(SurrogateError, ValueError):
    """The declared columns are inconsistent, or a tensor does not match them."""


class NoCandidateError(SurrogateError, RuntimeError):
    """No untried candidate is left."""
