"""When something was first decided: "faster since 14:02, 1,240 orders".

Only the time is kept, never the interval: intersecting intervals over time would make them empty
as soon as the effect moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dashboard.domain.verdict.requirements import Requirement
from dashboard.domain.verdict.verdict import Verdict
from dashboard.domain.verdict.words import Rate, Speed

_OPEN = frozenset(
    {
        *(Speed.NOT_COMPARABLE, Speed.WARMING_UP, Speed.BENCH_UNEVEN, Speed.UNDECIDED),
        *(Rate.SPELL, "incomplete", "unknown"),
    }
)


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided first, when (seconds since 1970), and after how many orders."""

    word: str
    at: float
    orders: int


def latched(
    before: Mapping[Requirement, Decided], verdict: Verdict, at: float
) -> dict[Requirement, Decided]:
    """What was known to be decided, and what this verdict decides for the first time."""
    found = dict(before)
    for one in verdict.requirements:
        if one.word not in _OPEN:
            found.setdefault(one.requirement, Decided(one.word, at, one.orders))
    return found


def changed(
    before: Mapping[Requirement, Decided], verdict: Verdict
) -> Iterator[tuple[Requirement, Decided, str]]:
    """What was decided once and now has another word: something changed."""
    for one in verdict.requirements:
        decided = before.get(one.requirement)
        if decided is not None and decided.word != one.word:
            yield one.requirement, decided, one.word
