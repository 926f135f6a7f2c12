"""Text as every database can keep it."""

from __future__ import annotations


def storable(text: str) -> str:
    """Text without NUL, which PostgreSQL cannot keep."""
    return text.replace("\x00", "\ufffd")
