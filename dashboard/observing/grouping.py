"""Counts the discrepancies that pairs show, and keeps examples of each.

All of it under the lock of the launch's tallies, in the transaction that records the pairs. What a
launch can cost is bounded: many like ones fold into one that stands for them, and beyond a number
of discrepancies of one version, so do all further ones. Where a pair is judged anew it stays in the
folded one in which it was counted, unless there is one of its own by now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import NamedTuple
from uuid import UUID

from django.db.models import F

from dashboard.domain.comparing.judgement import Group, GroupKind, values_at
from dashboard.domain.decision import Decision
from dashboard.domain.foreign_text import cut_together
from dashboard.domain.reservoir import slot
from dashboard.models import Discrepancy, Example, Review
from dashboard.models.bulk import Row, update, upsert
from dashboard.models.reading import read_objects
from dashboard.observing.placing import group_of_row, known_row, places_of
from dashboard.observing.shown import Shown
from dashboard.observing.signatures import Members

#: Discrepancies of one version in one launch that count or were decided on, the folded one aside,
#: and as many that do not.
MAX_DISCREPANCIES = 200
#: Orders that are kept as examples of a discrepancy.
EXAMPLES = 24
_VALUE_LENGTH = 120
_COUNTED = (
    "count", "ignored", "first_seen_at", "last_seen_at", "last_build",
    "control_value", "version_value",
)  # fmt: skip


@dataclass
class _New:
    """A group that some pairs show and that has no discrepancy."""

    seen_at: datetime
    counts: bool = False

    def add(self, seen_at: datetime, *, counts: bool) -> None:
        self.seen_at = min(self.seen_at, seen_at)
        self.counts = self.counts or counts


class _Placed(NamedTuple):
    """Where a pair's groups count: what it shows, and a group for each discrepancy of that."""

    members: Members
    groups: Mapping[int, Group]


_NONE = Members()


@dataclass
class Groups:
    """The discrepancies of one launch, as far as a batch of pairs concerns them."""

    launch: UUID
    now: datetime
    rng: Random = field(default_factory=Random)
    #: By version, and by what they stand for.
    _found: defaultdict[str, dict[Group, Discrepancy]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    #: In which one a version's group counts that has none of its own.
    _folded: dict[tuple[str, Group], Group] = field(default_factory=dict)
    _by_id: dict[int, Discrepancy] = field(default_factory=dict)
    _known_places: dict[tuple[object, ...], _Placed] = field(default_factory=dict)
    _examples: dict[tuple[int, int], UUID] = field(default_factory=dict)
    _reopened: dict[int, str] = field(default_factory=dict)
    _touched: set[int] = field(default_factory=set)

    def find(self, shown: Sequence[Shown], was: Sequence[Members] = ()) -> None:
        """Read what these pairs show, and what they ``was`` counted to show if they are judged
        anew; make what is new."""
        self._known_places.clear()
        shows = any(one.judgement.groups for one in shown)
        # Of all versions: what one shows has the name that it has for another.
        rows = read_objects(Discrepancy, "launch = %s", [self.launch.hex]) if shows else []
        self._by_id = {row.pk: row for row in rows}
        for row in self._by_id.values():
            self._found[row.version][group_of_row(row)] = row
        if missing := {pk for members in was for pk in members.all} - self._by_id.keys():
            self._by_id |= Discrepancy.objects.in_bulk(missing)
        new: defaultdict[Group, dict[str, _New]] = defaultdict(dict)
        for one, members in zip(shown, was or [Members()] * len(shown), strict=True):
            for group, rule in one.judgement.groups.items():
                if self._known(one.version, group, members) is None:
                    known = new[group].setdefault(one.version, _New(one.seen_at))
                    known.add(one.seen_at, counts=rule is None)
        if new:
            self._place(new)

    def count(self, one: Shown, was: Members | None = None) -> Members:
        """Count what a pair shows: for the first time, or in place of what it ``was`` counted to
        show when it is judged anew."""
        members, groups = self._placed(one, was or _NONE)
        for pk in groups.keys() - (was or _NONE).all:
            row = self._by_id[pk]
            self._take_example(row, groups[pk], one)
            if was is None:
                self._see(row, one, counts=pk in members.counted)
            else:
                _was_seen(row, one)
        self._shift(was or _NONE, members)
        return members

    def _placed(self, one: Shown, was: Members) -> _Placed:
        """Where the groups of a pair count; most pairs of a batch show what others show, too."""
        showing = (one.version, was, *one.judgement.groups.items())
        placed = self._known_places.get(showing)
        if placed is None:
            placed = self._known_places[showing] = self._places(one, was)
        return placed

    def _places(self, one: Shown, was: Members) -> _Placed:
        rules_of: dict[int, list[int | None]] = {}
        groups: dict[int, Group] = {}
        for group, rule in one.judgement.groups.items():
            row = self._row(one.version, group, was)
            rules_of.setdefault(row.pk, []).append(rule)
            if rule is None or row.pk not in groups:
                groups[row.pk] = group
        counted = frozenset(pk for pk, rules in rules_of.items() if None in rules)
        return _Placed(Members(counted, frozenset(rules_of) - counted), groups)

    def save(self) -> None:
        """Write counts, examples and what was reopened."""
        update(Discrepancy, _COUNTED, [self._counted(pk) for pk in sorted(self._touched)])
        upsert(
            Example,
            ("discrepancy_id", "slot", "order"),
            [(pk, place, order) for (pk, place), order in self._examples.items()],
            key=("discrepancy_id", "slot"),
            updated=("order",),
        )
        for pk, build in self._reopened.items():
            self._reopen(self._by_id[pk], build)

    def _counted(self, pk: int) -> Row:
        row = self._by_id[pk]
        return [*(getattr(row, name) for name in _COUNTED), pk]

    def _row(self, version: str, group: Group, was: Members) -> Discrepancy:
        known = self._known(version, group, was)
        return known or self._found[version][self._folded[version, group]]

    def _known(self, version: str, group: Group, was: Members) -> Discrepancy | None:
        return known_row(group, self._found[version], was, self._by_id)

    def _place(self, new: Mapping[Group, Mapping[str, _New]]) -> None:
        """Find the discrepancies in which new groups count; make those that are needed."""
        places = places_of(self._found, MAX_DISCREPANCIES)
        made: defaultdict[str, dict[Group, datetime]] = defaultdict(dict)
        for group in sorted(new):
            known = new[group]
            # First who has room for it: then it is there for the others, too.
            for version in sorted(
                known, key=lambda of: (not places.has_room(of, counts=known[of].counts), of)
            ):
                place = places.place(version, group, counts=known[version].counts)
                self._folded[version, group] = place
                if place not in self._found[version]:
                    seen_at, before = known[version].seen_at, made[version].get(place)
                    made[version][place] = min(seen_at, before or seen_at)
        for version in sorted(made):
            self._make(version, made[version])

    def _make(self, version: str, made: Mapping[Group, datetime]) -> None:
        """Make new discrepancies of a version, each with when it was first seen."""
        bugs = _open_bugs(version, made)
        rows = Discrepancy.objects.bulk_create(
            Discrepancy(
                launch=self.launch,
                version=version,
                kind=group.kind,
                path=group.path,
                first_seen_at=seen_at,
                last_seen_at=seen_at,
                state=Decision.BUG if group in bugs else Decision.OPEN,
                revision=1 if group in bugs else 0,
                decided_at=self.now if group in bugs else None,
            )
            for group, seen_at in made.items()
        )
        self._found[version] |= {group_of_row(row): row for row in rows}
        self._by_id |= {row.pk: row for row in rows}
        Review.objects.bulk_create(
            Review(
                discrepancy=row,
                decision=Decision.BUG,
                note="A bug of an earlier launch that nothing has shown to be fixed.",
                decided_at=self.now,
                revision=1,
            )
            for row in rows
            if row.state == Decision.BUG
        )

    def _take_example(self, row: Discrepancy, group: Group, one: Shown) -> None:
        """A pair shows a discrepancy that it did not show before: it may become an example."""
        place = slot(row.count + row.ignored + 1, EXAMPLES, self.rng)
        if place is not None:
            self._examples[row.pk, place] = one.order
        if place == 0:
            control, version = values_at(one.control, one.ending, group, one.rules)
            # Where they differ, if that is further on than there is room for.
            row.control_value, row.version_value = cut_together([control, version], _VALUE_LENGTH)

    def _see(self, row: Discrepancy, one: Shown, *, counts: bool) -> None:
        """A live pair shows a discrepancy."""
        row.last_seen_at = self.now
        row.last_build = one.build
        if counts and row.state == Decision.FIXED and _was_placed_after(one, row):
            self._reopened[row.pk] = one.build

    def _shift(self, was: Members, now: Members) -> None:
        """Take a pair out of the counts that it was in, and into those that it is in."""
        for pk in (was.counted ^ now.counted) | (was.ignored ^ now.ignored):
            if (row := self._by_id.get(pk)) is not None:
                row.count = max(0, row.count + (pk in now.counted) - (pk in was.counted))
                row.ignored = max(0, row.ignored + (pk in now.ignored) - (pk in was.ignored))
                self._touched.add(pk)

    def _reopen(self, row: Discrepancy, build: str) -> None:
        """Open what was closed as fixed and is seen again, unless a person was quicker."""
        opened = Discrepancy.objects.filter(pk=row.pk, state=Decision.FIXED).update(
            state=Decision.OPEN, revision=F("revision") + 1, decided_at=self.now
        )
        if opened:
            row.refresh_from_db(fields=["revision"])
            Review.objects.create(
                discrepancy=row,
                decision=Decision.OPEN,
                note=f"Seen again after it was closed, in build {build or 'without a name'}.",
                decided_at=self.now,
                revision=row.revision,
            )


def _was_seen(row: Discrepancy, one: Shown) -> None:
    """A pair of the past showed a discrepancy, as is known by now."""
    row.first_seen_at = min(row.first_seen_at, one.seen_at)
    if row.last_seen_at <= one.seen_at:
        row.last_seen_at, row.last_build = one.seen_at, one.build


def _open_bugs(version: str, groups: Iterable[Group]) -> set[Group]:
    """Which of these are bugs of the version's, as the newest launch that showed them left them."""
    rows = Discrepancy.objects.filter(version=version, path__in=[group.path for group in groups])
    states = {
        Group(GroupKind(kind), path): state
        for kind, path, state in rows.order_by("id").values_list("kind", "path", "state")
    }
    return {group for group, state in states.items() if state == Decision.BUG}


def _was_placed_after(one: Shown, row: Discrepancy) -> bool:
    return (
        one.placed_at is not None and row.decided_at is not None and one.placed_at > row.decided_at
    )
