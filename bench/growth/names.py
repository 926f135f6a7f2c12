"""What the grown orders are called, and when they are: the same for a seed on every database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import md5
from uuid import UUID

#: When the first order is placed.
START = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Period:
    """What is recorded once, and then copied: so many orders in so many seconds."""

    orders: int = 10_000
    #: Whole blocks of the verdict, no more than it keeps apart, and whole slices of the charts.
    seconds: int = 100

    def start(self, number: int) -> datetime:
        """When the period of a number begins, of those that follow each other."""
        return START + timedelta(seconds=number * self.seconds)

    def lasts(self, orders: int) -> int:
        """In how many seconds so many orders are placed, period by period."""
        return -(-orders // self.orders) * self.seconds


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
