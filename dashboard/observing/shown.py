"""What one pair shows, judged from the answers: the same for live pairs and for stored ones."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from dashboard.domain.comparing.judgement import Ending, Judgement, judge
from dashboard.domain.comparing.rules import Rules
from dashboard.domain.ledger import Key
from dashboard.domain.outcome import State
from dashboard.observing.answers import Answers


class Shown(msgspec.Struct, frozen=True):
    """What one pair shows, and from what it was judged."""

    order: UUID
    version: str
    build: str
    placed_at: datetime | None
    #: When the pair was complete.
    seen_at: datetime
    control: Ending
    ending: Ending
    rules: Rules
    judgement: Judgement


def judged(
    key: Key,
    control: str,
    answers: Answers,
    rules: Rules,
    *,
    states: tuple[State, State],
    seen_at: datetime,
) -> Shown:
    """Judge a pair, by order and version, in the states in which the two ended, the control's
    first."""
    order, version = key
    ours, theirs = answers.of(order, control), answers.of(order, version)
    ends = ours.ended(states[0]), theirs.ended(states[1])
    return Shown(
        order=order,
        version=version,
        build=theirs.build,
        placed_at=theirs.placed_at,
        seen_at=seen_at,
        control=ends[0],
        ending=ends[1],
        rules=rules,
        judgement=judge(*ends, rules),
    )
