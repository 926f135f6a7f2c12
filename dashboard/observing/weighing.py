"""Adds the orders that a batch has ended to the evidence of each dark version.

In the transaction that records them, so that a crash neither loses nor repeats an order. An order
counts once every version that it was sent to, of those that matter, has ended it or run out of
time. What comes after that is late: it mends what the board shows, and is not weighed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from dashboard.domain.builds import at_work
from dashboard.domain.ledger import Key, Ledger
from dashboard.models import Tally
from dashboard.observing.adding import Weighed, add_to_evidence
from dashboard.observing.answers import Answers
from dashboard.observing.ends import End, Ends, ends_of
from dashboard.observing.rosters import Roster
from dashboard.observing.same import Same
from dashboard.observing.sent import Sent, sent
from dashboard.observing.signatures import Members, stored_members
from dashboard.observing.touched import Epoch
from dashboard.verdict.paired_order import PairedOrder
from kitchen_worker.contract.messages import Role
from restaurant.models import DarkVersion

_NOTHING = Members()
_is_new, _is_late = attrgetter("is_new"), attrgetter("is_late")


class _Due(NamedTuple):
    """An order that all have ended that a version's evidence needs.

    That is the control, the version itself, and for a candidate the first baseline if it was sent
    the order: their names and their ends.
    """

    order: Sent
    names: tuple[str, ...]
    ends: tuple[End, ...]
    #: What it is evidence of.
    epoch: Epoch


def weigh_pairs(
    roster: Roster,
    tallies: Mapping[str, Tally],
    ledger: Ledger,
    answers: Answers,
    shown: Mapping[Key, Members],
    now: datetime,
) -> None:
    """Add what the ledger's news has ended to the evidence; ``shown`` is what the pairs that were
    judged with it show. To be called under the lock of the tallies, which know the build at work of
    versions that said nothing."""
    ends = ends_of(roster.control, ledger, answers, shown)
    due = list(_due(roster, ends, tallies)) if ends else []
    if not due:
        return
    shows = list(_shown(due))
    noise = {pk for _, baseline in shows for pk in baseline}
    same = Same.of(roster.launch, {one.names[1] for one in due}, noise)
    weighed: defaultdict[Epoch, list[Weighed]] = defaultdict(list)
    for one, (own, baseline) in zip(due, shows, strict=True):
        weighed[one.epoch].append(_weighed(one, own, same.named(one.names[1], baseline)))
    add_to_evidence(roster.launch, weighed, now)


def _due(roster: Roster, ends: Mapping[UUID, Ends], tallies: Mapping[str, Tally]) -> Iterator[_Due]:
    orders = list(sent(ends))
    roles = _roles(roster, frozenset().union(*(order.sample for order in orders)))
    baseline = [name for name, role in roles.items() if role is Role.BASELINE][:1]
    for order in orders:
        own = ends[order.uuid]
        for version in own.keys() & order.sample & roles.keys():
            noise = baseline if roles[version] is Role.CANDIDATE else []
            names = (roster.control, version, *(name for name in noise if name in order.sample))
            its = tuple([own[name] for name in names if name in own])
            if len(its) == len(names) and any(map(_is_new, its)):
                builds = [
                    _build(own.get(name), tallies.get(name), order.placed_at)
                    for name in (roster.control, version, *noise)
                ]
                yield _Due(order, names, its, Epoch(version, *builds))


def _build(end: End | None, tally: Tally | None, placed_at: float) -> str:
    """The build of a version that an order belongs to: the one that answered, else the one at work
    when it was placed, so that silence is no matter of a build that came later."""
    if end is not None and end.build:
        return end.build
    return at_work(tally.builds, placed_at) or tally.build if tally is not None else ""


def _roles(roster: Roster, sample: frozenset[str]) -> Mapping[str, Role]:
    """The dark versions, as they now are if one joined after the roster was read."""
    if sample <= roster.roles.keys():
        return roster.roles
    rows = DarkVersion.objects.filter(launch=roster.launch).values_list("version", "role")
    return {version: Role(role) for version, role in rows.order_by("id")}


def _shown(due: Sequence[_Due]) -> Iterator[tuple[frozenset[int], frozenset[int]]]:
    """What the version shows on each order, and the baseline: as just judged, else as stored."""
    stored = stored_members(
        {
            (one.order.uuid, name)
            for one in due
            for name, end in zip(one.names[1:], one.ends[1:], strict=True)
            if end.shown is None
        }
    )
    for order, names, ends, _ in due:
        members = [
            stored.get((order.uuid, name), _NOTHING) if end.shown is None else end.shown
            for name, end in zip(names[1:], ends[1:], strict=True)
        ]
        yield members[0].counted, (members[1] if len(members) > 1 else _NOTHING).counted


def _weighed(one: _Due, shown: frozenset[int], noise: frozenset[int]) -> Weighed:
    order, _, ends, _ = one
    if all(map(_is_late, ends)):
        return Weighed(order.placed_at, order=None)
    paired = PairedOrder(
        placed_at=order.placed_at,
        control=ends[0].result,
        candidate=ends[1].result,
        baseline=ends[2].result if len(ends) > 2 else None,
        shown=shown,
        noise=noise,
        segments=order.segments,
    )
    both = paired.control.answered and paired.candidate.answered
    return Weighed(order.placed_at, paired, order.shapes if both else ())
