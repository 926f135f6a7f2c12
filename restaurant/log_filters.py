"""Logs an ordinary refusal in one line, without a traceback."""

from __future__ import annotations

from http import HTTPStatus
from logging import LogRecord


def without_traceback(record: LogRecord) -> bool:
    """Keep every record, but not the traceback of a 403, which is no fault of the code."""
    if getattr(record, "status_code", None) == HTTPStatus.FORBIDDEN:
        record.exc_info = None
    return True
