"""Keeping remarks of PyTorch's exporters and timers off the screen; what goes wrong is raised all the same."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

TALKATIVE = ("torch.onnx", "torch.utils.cpp_extension", "onnxscript", "onnx_ir")


@contextlib.contextmanager
def without_remarks() -> Iterator[None]:
    """Swallow warnings, notes on stdout and messages below errors."""
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
