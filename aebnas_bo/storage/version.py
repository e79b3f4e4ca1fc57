"""The version of the package, which files of a run name."""

__version__ = "0.1.0"
