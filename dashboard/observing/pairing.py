"""Judges the pairs that a batch has ended, and writes what was found: the stored comparisons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from dashboard.domain.comparing.rules import Rules
from dashboard.domain.ledger import Key, Ledger, Pair
from dashboard.domain.outcome import cell, outcome
from dashboard.models import Comparison, Tally
from dashboard.models.bulk import Row, upsert
from dashboard.observing.answers import Answers
from dashboard.observing.grouping import Groups
from dashboard.observing.rosters import Roster
from dashboard.observing.rulebook import rules_in_force
from dashboard.observing.shown import Shown, judged
from dashboard.observing.signatures import Members, Signatures, Signed

_KEY = ("order", "version")
_COMPARED = (
    "outcome", "control_ms", "version_ms", "slower", "signature", "members", "compared_at"
)  # fmt: skip


def record_pairs(
    roster: Roster, tallies: Mapping[str, Tally], ledger: Ledger, answers: Answers, now: datetime
) -> dict[Key, Members]:
    """Judge the pairs that the ledger's news has ended, count what they show, and write them;
    gives what each of them shows, by order and version.

    To be called inside the transaction that holds the lock of the tallies, which are changed and
    not saved.
    """
    others = [version for version in roster.roles if version != roster.control]
    pairs = list(ledger.pairs(roster.control, others))
    if not pairs:
        return {}
    rules = rules_in_force(others, now)
    shown = [_judged(roster, pair, answers, rules[pair.name], now) for pair in pairs]
    members, signed = _count(roster, shown, now)
    for version in {pair.name for pair in pairs}:
        _add_to_matrix(
            tallies[version],
            [(pair, one) for pair, one in zip(pairs, shown, strict=True) if pair.name == version],
        )
    upsert(
        Comparison,
        ("launch", *_KEY, *_COMPARED),
        [
            _comparison(roster, pair, one, how, now)
            for pair, one, how in zip(pairs, shown, signed, strict=True)
        ],
        key=_KEY,
        updated=_COMPARED,
    )
    return {(one.order, one.version): of for one, of in zip(shown, members, strict=True)}


def _judged(roster: Roster, pair: Pair, answers: Answers, rules: Rules, now: datetime) -> Shown:
    return judged(
        (pair.order, pair.name),
        roster.control,
        answers,
        rules,
        states=(pair.control.state, pair.version.state),
        seen_at=now,
    )


def _count(
    roster: Roster, shown: Sequence[Shown], now: datetime
) -> tuple[list[Members], list[Signed]]:
    groups, signatures = Groups(roster.launch, now), Signatures(roster.launch)
    groups.find(shown)
    members = [groups.count(one) for one in shown]
    versions = [one.version for one in shown]
    signed = signatures.sign(zip(versions, members, strict=True))
    groups.save()
    signatures.save()
    return members, signed


def _add_to_matrix(tally: Tally, pairs: Sequence[tuple[Pair, Shown]]) -> None:
    matrix = Counter(tally.matrix)
    for pair, one in pairs:
        if pair.was is not None and (was := outcome(*pair.was, agree=True)) is not None:
            matrix[cell(*pair.was, was)] -= 1
        matrix[cell(pair.control.state, pair.version.state, one.judgement.outcome)] += 1
    tally.matrix = {name: number for name, number in matrix.items() if number > 0}


def _comparison(roster: Roster, pair: Pair, one: Shown, signed: Signed, now: datetime) -> Row:
    return (
        roster.launch,
        pair.order,
        pair.name,
        one.judgement.outcome.value,
        pair.control.handling_ms,
        pair.version.handling_ms,
        pair.slower,
        signed.signature,
        signed.members,
        now,
    )
