"""Stored pairs judged anew: the same way for a rule's preview and for its use on the past."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dashboard.domain.comparing.rules import Rules
from dashboard.domain.outcome import State
from dashboard.models import Comparison, Signature
from dashboard.observing.answers import Answers
from dashboard.observing.shown import Shown, judged
from dashboard.observing.signatures import Members

_OPEN = State.RECEIVED


@dataclass(frozen=True, slots=True)
class StoredPair:
    """A stored comparison, what it was counted to show, and what it shows by other rules."""

    comparison: Comparison
    was: Members
    shown: Shown
    #: Of both answers together, in characters.
    size: int


def judged_anew(
    comparisons: Sequence[Comparison], control: str, rules: Mapping[str, Rules]
) -> Iterator[StoredPair]:
    """Judge stored pairs by other rules, each version by its own, from the stored answers, each
    when it is asked for.

    Two queries, however many they are. Pairs of versions without rules given, and those whose
    answers are not stored any more, are left out.
    """
    mine = [one for one in comparisons if one.version in rules]
    answers = Answers.stored({one.order for one in mine})
    states = {key: standing.state for key, standing in answers.standings.items()}
    for one, was in zip(mine, _members(mine), strict=True):
        key = one.order, one.version
        ends = states.get((one.order, control), _OPEN), states.get(key, _OPEN)
        if _OPEN not in ends:
            shown = judged(
                key, control, answers, rules[one.version], states=ends, seen_at=one.compared_at
            )
            size = answers.size(one.order, control) + answers.size(*key)
            yield StoredPair(one, was, shown, size)


def _members(comparisons: Sequence[Comparison]) -> list[Members]:
    signatures = Signature.objects.in_bulk(
        {one.signature for one in comparisons if one.signature is not None}
    )
    return [_shown_before(one, signatures) for one in comparisons]


def _shown_before(one: Comparison, signatures: Mapping[int, Signature]) -> Members:
    if one.members:
        return Members.read(one.members)
    signature = signatures.get(one.signature) if one.signature is not None else None
    if signature is None:
        return Members()
    return Members(frozenset(signature.counted), frozenset(signature.ignored))
