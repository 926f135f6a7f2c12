"""Adds the orders that a batch has ended to the evidence of each dark version.

In the transaction that records them, so that a crash neither loses nor repeats an order. An order
counts once every version that it was sent to, of those that matter, has ended it or run out of
time; a late answer replaces what was counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from dashboard.domain.ledger import Key, Ledger, Standing
from dashboard.domain.outcome import State
from dashboard.domain.verdict.coverage import shapes_of
from dashboard.domain.verdict.paired_order import PairedOrder, Result, Status
from dashboard.domain.verdict.segments import segments_of
from dashboard.models import Tally
from dashboard.observing.answers import Answers
from dashboard.observing.evidence import Builds, Weighed, add_to_evidence
from dashboard.observing.rosters import Roster
from dashboard.observing.signatures import Members, stored_members
from kitchen_worker.contract.messages import Role
from restaurant.models import Letter, OrderLine

#: Where versions stand with the orders of a batch, at one moment.
_Standings = Mapping[Key, Standing]


@dataclass(frozen=True, slots=True)
class _Sent:
    """An order as it was sent, and to which dark versions; ``items`` is how many of each thing."""

    uuid: UUID
    placed_at: datetime
    has_note: bool
    sample: frozenset[str]
    items: Mapping[str, int]


def weigh_pairs(
    roster: Roster,
    tallies: Mapping[str, Tally],
    ledger: Ledger,
    answers: Answers,
    shown: Mapping[Key, Members],
    now: datetime,
) -> None:
    """Add what the ledger's news has ended to the evidence; ``shown`` is what the pairs that were
    judged with it show. To be called under the lock of the tallies, which name the builds of
    versions that said nothing."""
    due = [
        (one, version, _due(roster, version, one.sample))
        for one in _sent(roster, _ended_now(ledger))
        for version in roster.roles
        if version in one.sample
    ]
    due = [(one, version, names) for one, version, names in due if _changed(ledger, one, names)]
    if not due:
        return
    weighing = _Weighing(roster, tallies, ledger, _members(due, shown), frozenset(shown), answers)
    changes: defaultdict[tuple[str, Builds], list[Weighed]] = defaultdict(list)
    for one, version, names in due:
        for builds, weighed in weighing.weighed(one, version, names):
            changes[version, builds].append(weighed)
    for (version, builds), several in changes.items():
        add_to_evidence(roster.launch, version, builds, several, now)


@dataclass(frozen=True)
class _Weighing:
    """One batch's orders turned into paired orders, as they were before it and as they are now."""

    roster: Roster
    tallies: Mapping[str, Tally]
    ledger: Ledger
    members: Mapping[Key, Members]
    #: The pairs that this batch has ended, or ended otherwise.
    judged: frozenset[Key]
    answers: Answers

    def weighed(
        self, one: _Sent, version: str, names: tuple[str, ...]
    ) -> Iterator[tuple[Builds, Weighed]]:
        """An order as it now counts, in which epoch, and as it counted before if it did."""
        before = self.ledger.before
        new = self._paired(one, version, names, self.ledger.after)
        old = None
        if all(_is_ended(before.get((one.uuid, name))) for name in names):
            old = self._paired(one, version, names, before, is_past=True)
        is_covered = _both_answered(new) and not (old and _both_answered(old))
        shapes = shapes_of(one.items, note=one.has_note) if is_covered else ()
        now_in, was_in = (self._builds(one, version, is_past=is_past) for is_past in (False, True))
        if old is not None and was_in != now_in:
            yield was_in, Weighed(None, old)
            old = None
        yield now_in, Weighed(new, old, shapes)

    def _builds(self, one: _Sent, version: str, *, is_past: bool) -> Builds:
        """The builds that the order counts for; a version that said nothing, its newest."""
        answer = self.answers.before if is_past else self.answers.of
        return Builds(
            *(
                answer(one.uuid, name).build or self.tallies[name].build
                for name in (self.roster.control, version)
            )
        )

    def _paired(
        self,
        one: _Sent,
        version: str,
        names: tuple[str, ...],
        standings: _Standings,
        *,
        is_past: bool = False,
    ) -> PairedOrder:
        results = [self._result((one.uuid, name), standings) for name in names]
        shown = [self._shown((one.uuid, name), is_past=is_past) for name in names[1:]]
        return PairedOrder(
            placed_at=one.placed_at.timestamp(),
            control=results[0],
            candidate=results[1],
            baseline=results[2] if len(results) > 2 else None,
            shown=shown[0],
            noise=shown[1] if len(shown) > 1 else frozenset(),
            segments=segments_of(one.items, one.placed_at),
        )

    def _shown(self, pair: Key, *, is_past: bool) -> frozenset[int]:
        """The discrepancies that count in a pair; a pair that had not ended showed none."""
        if is_past and pair in self.judged:
            return frozenset()
        return self.members.get(pair, Members()).counted

    def _result(self, key: Key, standings: _Standings) -> Result:
        standing = standings[key]
        if standing.state is State.HANDLED:
            return Result(Status.OK, standing.handling_ms)
        if standing.state is State.FAILED:
            return Result(Status.FAILED, standing.handling_ms)
        return Result(Status.TIMEOUT if key in self.answers.taken else Status.MISSING)


def _both_answered(order: PairedOrder) -> bool:
    return order.control.answered and order.candidate.answered


def _ended_now(ledger: Ledger) -> set[UUID]:
    return {
        order
        for (order, version), standing in ledger.after.items()
        if _is_ended(standing) and ledger.before.get((order, version)) != standing
    }


def _sent(roster: Roster, orders: Iterable[UUID]) -> list[_Sent]:
    letters = Letter.objects.filter(launch=roster.launch, order__uuid__in=set(orders))
    rows = list(
        letters.values_list("order", "order__uuid", "order__placed_at", "order__note", "sample")
    )
    items: defaultdict[int, Counter[str]] = defaultdict(Counter)
    lines = OrderLine.objects.filter(order__in=[number for number, *_ in rows])
    for number, name, quantity in lines.values_list("order", "name", "quantity"):
        items[number][name] += quantity
    return [
        _Sent(uuid, placed_at, bool(note), frozenset(sample), items[number])
        for number, uuid, placed_at, note, sample in rows
    ]


def _due(roster: Roster, version: str, sample: frozenset[str]) -> tuple[str, ...]:
    """The versions whose ends a version's evidence needs: the control, itself, and for a candidate
    the baseline if it was sent the order."""
    baselines = [
        name
        for name, role in roster.roles.items()
        if role is Role.BASELINE and name in sample and name != version
    ]
    with_noise = roster.roles[version] is Role.CANDIDATE
    return roster.control, version, *(baselines[:1] if with_noise else ())


def _changed(ledger: Ledger, one: _Sent, names: tuple[str, ...]) -> bool:
    """Whether all have ended by now, and had not, or had otherwise, before this batch."""
    now = [ledger.after.get((one.uuid, name)) for name in names]
    before = [ledger.before.get((one.uuid, name)) for name in names]
    return all(map(_is_ended, now)) and now != before


def _is_ended(standing: Standing | None) -> bool:
    return standing is not None and standing.state is not State.RECEIVED


def _members(
    due: Iterable[tuple[_Sent, str, tuple[str, ...]]], shown: Mapping[Key, Members]
) -> dict[Key, Members]:
    """What the pairs of these orders show: as just judged, else as stored."""
    wanted = {(one.uuid, name) for one, _, names in due for name in names[1:]}
    return {**stored_members(wanted - shown.keys()), **shown}
