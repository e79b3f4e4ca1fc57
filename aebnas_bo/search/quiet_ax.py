"""Keeps what libraries print when they are imported off the screen; to be imported before Ax and BoTorch."""

from __future__ import annotations

import logging

import surrogates  # noqa: F401  imports linear_operator without its warning

GREETING = "Ax SQL storage initialized"


def _is_no_greeting(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(GREETING)


logging.getLogger("ax.storage.sqa_store.with_db_settings_base").addFilter(_is_no_greeting)
