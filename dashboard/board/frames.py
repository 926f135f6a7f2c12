"""What every part of a frame is made of: JSON, and times as exact as they are shown."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def tenths(milliseconds: float | None) -> float | None:
    """A time to a tenth of a millisecond."""
    return None if milliseconds is None else round(milliseconds, 1)
