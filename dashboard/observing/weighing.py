"""Adds the orders that a batch has ended to the evidence of each dark version.

In the transaction that records them, so that a crash neither loses nor repeats an order. An order
counts once every version that it was sent to, of those that matter, has ended it or run out of
time. What comes after that is late: it mends what the board shows, and is not weighed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from dashboard.domain.ledger import Key, Ledger, Standing
from dashboard.domain.outcome import State
from dashboard.domain.verdict.coverage import shapes_of
from dashboard.domain.verdict.paired_order import PairedOrder, Result, Status
from dashboard.domain.verdict.segments import segments_of
from dashboard.models import Discrepancy, Tally
from dashboard.observing.answers import Answers
from dashboard.observing.evidence import Builds, Weighed, add_to_evidence
from dashboard.observing.rosters import Roster
from dashboard.observing.signatures import Members, stored_members
from kitchen_worker.contract.messages import Role
from restaurant.models import DarkVersion, Letter, OrderLine


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
    roles = _roles(roster)
    due = [
        (one, version, _due(roles, version, one.sample))
        for one in _sent(roster, _ended_now(ledger))
        for version in roles
        if version in one.sample
    ]
    ended = [(one, version, names) for one, version, names in due if _ended(ledger, one, names)]
    if not ended:
        return
    members = _members(ended, shown)
    weighing = _Weighing(ledger, members, _same(roster, ended, members), answers)
    weighed: defaultdict[tuple[str, Builds], list[Weighed]] = defaultdict(list)
    for one, version, names in ended:
        builds = Builds(
            *(answers.of(one.uuid, name).build or _build(tallies, name) for name in names[:2])
        )
        weighed[version, builds].append(weighing.weighed(one, names))
    for (version, builds), several in weighed.items():
        add_to_evidence(roster.launch, version, builds, several, now)


@dataclass(frozen=True)
class _Weighing:
    """One batch's orders turned into paired orders."""

    ledger: Ledger
    members: Mapping[Key, Members]
    #: By version and discrepancy of the baseline's, the version's own that is the same.
    same: Mapping[tuple[str, int], int]
    answers: Answers

    def weighed(self, one: _Sent, names: Sequence[str]) -> Weighed:
        """An order that all of these versions have ended: the control, the version itself, and
        the baseline if it has the order.

        An order that had ended before was counted then: what came after its deadline stays late.
        """
        before = [self.ledger.before.get((one.uuid, name)) for name in names]
        if all(map(_is_ended, before)):
            return Weighed(one.placed_at.timestamp(), order=None)
        paired = self._paired(one, names)
        shapes = shapes_of(one.items, note=one.has_note) if _both_answered(paired) else ()
        return Weighed(paired.placed_at, paired, shapes)

    def _paired(self, one: _Sent, names: Sequence[str]) -> PairedOrder:
        results = [self._result((one.uuid, name)) for name in names]
        shown = [self.members.get((one.uuid, name), Members()).counted for name in names[1:]]
        return PairedOrder(
            placed_at=one.placed_at.timestamp(),
            control=results[0],
            candidate=results[1],
            baseline=results[2] if len(results) > 2 else None,
            shown=shown[0],
            noise=frozenset(
                self.same.get((names[1], pk), pk) for pk in (shown[1] if len(shown) > 1 else ())
            ),
            segments=segments_of(one.items, one.placed_at),
        )

    def _result(self, key: Key) -> Result:
        standing = self.ledger.after[key]
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


def _roles(roster: Roster) -> dict[str, Role]:
    """The dark versions as they now are: a roster may have been read before one joined."""
    rows = DarkVersion.objects.filter(launch=roster.launch).values_list("version", "role")
    return {version: Role(role) for version, role in rows.order_by("id")} | {
        roster.control: Role.CONTROL
    }


def _due(roles: Mapping[str, Role], version: str, sample: frozenset[str]) -> tuple[str, ...]:
    """The versions whose ends a version's evidence needs: the control, itself, and for a candidate
    the first baseline if it was sent the order."""
    control = next(name for name, role in roles.items() if role is Role.CONTROL)
    baselines = [name for name, role in roles.items() if role is Role.BASELINE and name in sample]
    with_noise = roles[version] is Role.CANDIDATE
    return control, version, *(baselines[:1] if with_noise else ())


def _ended(ledger: Ledger, one: _Sent, names: Sequence[str]) -> bool:
    """Whether all have ended by now, and one of them with this batch."""
    now = [ledger.after.get((one.uuid, name)) for name in names]
    before = [ledger.before.get((one.uuid, name)) for name in names]
    return all(map(_is_ended, now)) and now != before


def _is_ended(standing: Standing | None) -> bool:
    return standing is not None and standing.state is not State.RECEIVED


def _build(tallies: Mapping[str, Tally], name: str) -> str:
    """The build of a version that said nothing: the one that it was last heard to be."""
    return tallies[name].build if name in tallies else ""


def _members(
    ended: Sequence[tuple[_Sent, str, Sequence[str]]], shown: Mapping[Key, Members]
) -> dict[Key, Members]:
    """What the pairs of these orders show: as just judged, else as stored."""
    wanted = {(one.uuid, name) for one, _, names in ended for name in names[1:]}
    return {**stored_members(wanted - shown.keys()), **shown}


def _same(
    roster: Roster,
    ended: Sequence[tuple[_Sent, str, Sequence[str]]],
    members: Mapping[Key, Members],
) -> dict[tuple[str, int], int]:
    """By version and by a discrepancy of the baseline's: the version's own of that kind and path.

    What both show of an order must have one name, to be seen to be the same.
    """
    noise = {
        pk
        for one, _, names in ended
        for name in names[2:]
        for pk in members.get((one.uuid, name), Members()).counted
    }
    if not noise:
        return {}
    columns = ("pk", "version", "kind", "path")
    theirs = Discrepancy.objects.filter(pk__in=noise).values_list(*columns)
    groups = {(kind, path): pk for pk, _, kind, path in theirs}
    own = Discrepancy.objects.filter(
        launch=roster.launch,
        version__in={version for _, version, _ in ended},
        path__in={path for _, path in groups},
    )
    return {
        (version, groups[kind, path]): pk
        for pk, version, kind, path in own.values_list(*columns)
        if (kind, path) in groups
    }
