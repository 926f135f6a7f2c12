"""What was decided when: "faster since 14:02, 1,240 orders", and the requirements that passed.

Only times are kept, never intervals: intersecting intervals over time would make them empty as soon
as the effect moves.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from dashboard.verdict.requirements import HEADLINES, Judged, Requirement, Standing
from dashboard.verdict.words import Rate, Speed

_OPEN = frozenset(
    {
        *(Speed.NOT_COMPARABLE, Speed.WARMING_UP, Speed.UNEQUAL, Speed.UNDECIDED),
        *(Rate.CLUSTERED, Rate.FLAGGED, "incomplete", "unknown"),
    }
)
#: Words that say nothing against a pass, as long as the estimate does not, either.
_SILENT = frozenset(
    {
        *(Speed.NO_FASTER, Speed.UNDECIDED, Speed.SLOWER_PROBABLY_WITHIN),
        *(Rate.UNDECIDED, Rate.CLUSTERED, Rate.MORE_PROBABLY_WITHIN),
    }
)


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided first, when (seconds since 1970), and after how many orders."""

    word: str
    at: float
    orders: int


@dataclass(frozen=True, slots=True)
class Passed:
    """When a requirement passed (seconds since 1970), after how many orders, and against what.

    Under another threshold, or where other differences that orders show are accepted, it has to
    pass again.
    """

    at: float
    orders: int
    against: str


def kept(
    judged: Iterable[Judged], passed: Mapping[Requirement, Passed], accepted: Collection[int]
) -> Iterator[Judged]:
    """The requirements, with those passed that have passed before if nothing speaks against it.

    A pass rejects, at its own level and for good, that the effect is beyond the threshold; what may
    undo it is evidence, not that an interval is wider or unknown for a while.
    """
    for one in judged:
        before = passed.get(one.requirement)
        if before is None or before.against != _against(one, accepted):
            yield one
        elif one.standing is Standing.PASSED or (one.word in _SILENT and not _speaks(one)):
            yield replace(
                one, standing=Standing.PASSED, passed_at=before.at, needs="", more_orders=None
            )
        else:
            yield one


def _speaks(one: Judged) -> bool:
    """Whether the estimate lies over the limit, or may do so.

    Also while the interval is unknown: a version that gets worse after it has passed makes blocks
    that depend on each other, so that no level of them is flat for the rest of the launch.
    """
    return any(number is not None and number >= one.line for number in (one.estimate, one.worst))


def passes(
    before: Mapping[Requirement, Passed],
    judged: Iterable[Judged],
    accepted: Collection[int],
    at: float,
) -> dict[Requirement, Passed]:
    """The requirements that have passed by now; one that is not comparable just now stays."""
    found = {}
    for one in judged:
        if one.requirement not in HEADLINES:
            continue
        earlier, against = before.get(one.requirement), _against(one, accepted)
        if one.standing is Standing.PASSED:
            new = Passed(at, one.orders, against)
            same = earlier is not None and earlier.against == against
            found[one.requirement] = earlier if earlier is not None and same else new
        elif earlier is not None and one.word == Rate.NOT_COMPARABLE:
            found[one.requirement] = earlier
    return found


def _against(one: Judged, accepted: Collection[int]) -> str:
    text = f"{one.line:.9g}"
    if one.requirement is Requirement.DIFFERENCES:
        text += f" {zlib.crc32(','.join(map(str, sorted(accepted))).encode()):x}"
    return text


def latched(
    before: Mapping[Requirement, Decided], judged: Iterable[Judged], at: float
) -> dict[Requirement, Decided]:
    """What was known to be decided, and what is decided for the first time."""
    found = dict(before)
    for one in judged:
        if one.word not in _OPEN:
            found.setdefault(one.requirement, Decided(one.word, at, one.orders))
    return found
