"""An ordinary refusal in the log: one line, without a traceback."""

from __future__ import annotations

from http import HTTPStatus
from logging import LogRecord


def without_traceback(record: LogRecord) -> bool:
    """Keep every record; one of a person who may not is no fault, and says nothing of the code."""
    if getattr(record, "status_code", None) == HTTPStatus.FORBIDDEN:
        record.exc_info = None
    return True
