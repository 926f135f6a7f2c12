"""What the grown orders are called, and when they are: the same for a seed on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import md5
from uuid import UUID

#: When the first order is placed.
START = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
#: How long a period lasts, in seconds: whole blocks of the verdict and whole slices of the charts.
PERIOD_S = 100
#: Orders of a period, unless fewer are wanted in all.
PERIOD_ORDERS = 10_000


def name_of(seed: int, number: int) -> UUID:
    """The id of the order with a number: as random as any other, and known beforehand."""
    return UUID(digits_of(seed, number))


def digits_of(seed: int, number: int) -> str:
    """The same as hexadecimal digits."""
    digest = md5(f"{seed}:{number}".encode(), usedforsecurity=False).hexdigest()
    return f"{digest[:12]}4{digest[13:16]}8{digest[17:]}"


def text_of(seed: int, number: int) -> str:
    """The same as a message writes it."""
    digits = digits_of(seed, number)
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def start_of(period: int) -> datetime:
    """When a period begins."""
    return START + timedelta(seconds=period * PERIOD_S)
