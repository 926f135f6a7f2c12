"""Which build of a version was at work when: silence counts against the build that was sent it."""

from __future__ import annotations

from collections.abc import Sequence

#: Builds that are remembered of a version, the newest ones.
MOST_BUILDS = 8
#: A build that was heard of within so many seconds answers still, beside a newer one.
SIDE_BY_SIDE_S = 60.0

#: A build, and when it was first and last heard of, in seconds since 1970.
Stretch = tuple[str, float, float]


def heard_of(stretches: Sequence[Stretch], build: str, at: float) -> list[Stretch]:
    """The builds of a version, in the order in which they began, once one was heard of."""
    known = [(name, first, last) for name, first, last in stretches]
    for place, (name, first, last) in reversed([*enumerate(known)]):
        is_newest = place == len(known) - 1
        if name == build and (is_newest or at - last <= SIDE_BY_SIDE_S):
            known[place] = (name, first, max(last, at))
            return known
    return [*known, (build, at, at)][-MOST_BUILDS:]


def at_work(stretches: Sequence[Stretch], at: float) -> str:
    """The newest build that answered at a time; between two, the one before; empty if none is
    known."""
    begun = [one for one in stretches if one[1] <= at] or [*stretches[:1]]
    if not begun:
        return ""
    answering = [one for one in begun if one[2] >= at]
    return answering[-1][0] if answering else max(begun, key=lambda one: one[2])[0]
