"""A reservoir: a few examples of many, each of the many as likely to be among them as any other.

Algorithm R (Vitter, "Random sampling with a reservoir", ACM TOMS 11, 1985).
"""

from __future__ import annotations

from random import Random


def slot(nth: int, size: int, rng: Random) -> int | None:
    """The slot of the ``nth`` one, from 1, in a reservoir of ``size``; None if it is not kept."""
    if nth <= size:
        return nth - 1
    drawn = rng.randrange(nth)
    return drawn if drawn < size else None
