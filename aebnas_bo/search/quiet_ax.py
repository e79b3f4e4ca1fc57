"""Silence the messages that Ax and BoTorch print on import; import this module before them."""

from __future__ import annotations

import logging

import surrogates  # noqa: F401  imports linear_operator without its warning

GREETING = "Ax SQL storage initialized"


def _is_no_greeting(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(GREETING)


logging.getLogger("ax.storage.sqa_store.with_db_settings_base").addFilter(_is_no_greeting)
