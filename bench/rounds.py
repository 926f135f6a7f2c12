"""The rounds of a measurement: as many as there is time for, and what is said of the others."""

from __future__ import annotations

from collections.abc import Iterator

from bench.rig import Rig


def rounds(rig: Rig, *, until_left: float = 0.0, at_most: int | None = None) -> Iterator[int]:
    """Their numbers: one at least, and no further one that would end with less time left."""
    number, took_s = 0, 0.0
    wanted = _wanted(rig, at_most)
    while not number or (number < wanted and rig.left() - took_s > until_left):
        began = rig.left()
        yield number
        number, took_s = number + 1, began - rig.left()


def left_out(rig: Rig, done: int, *, at_most: int | None = None) -> str:
    """What a note says of the rounds that there was no time for; nothing if there are none."""
    wanted = _wanted(rig, at_most)
    if done >= wanted:
        return ""
    return f"; {wanted - done} of {wanted} rounds were left out for want of time"


def _wanted(rig: Rig, at_most: int | None) -> int:
    return rig.rounds if at_most is None else min(rig.rounds, at_most)
