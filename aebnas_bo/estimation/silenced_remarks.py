"""Silencing of messages from PyTorch's exporters and timers; exceptions are still raised."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

TALKATIVE = ("torch.onnx", "torch.utils.cpp_extension", "onnxscript", "onnx_ir")


@contextlib.contextmanager
def without_remarks() -> Iterator[None]:
    """Suppress warnings, output on stdout and log messages below errors."""
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
