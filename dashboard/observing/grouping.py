"""Counts the discrepancies that pairs show, and keeps examples of each.

All of it under the lock of the launch's tallies, in the transaction that records the pairs. What a
launch can cost is bounded: beyond a number of discrepancies of one version, new kinds of difference
fold into one that says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from uuid import UUID

from django.db.models import F

from dashboard.domain.comparing.judgement import Ending, Group, GroupKind, Judgement, values_at
from dashboard.domain.comparing.rules import Rules
from dashboard.domain.decision import Decision
from dashboard.domain.reservoir import slot
from dashboard.models import Discrepancy, Example, Review
from dashboard.observing.signatures import Members

#: Discrepancies of one version in one launch, the folded one not counted.
MAX_DISCREPANCIES = 200
#: Orders that are kept as examples of a discrepancy.
EXAMPLES = 24
#: What stands for all kinds of difference beyond the bound.
FOLDED = Group(GroupKind.OTHER, "further kinds of difference")
_VALUE_LENGTH = 120

#: A version and what it shows.
_Key = tuple[str, Group]


@dataclass(frozen=True, slots=True)
class Shown:
    """What one pair shows, and from what it was judged."""

    order: UUID
    version: str
    build: str
    placed_at: datetime | None
    control: Ending
    ending: Ending
    rules: Rules
    judgement: Judgement


@dataclass
class Groups:
    """The discrepancies of one launch, as far as a batch of pairs concerns them."""

    launch: UUID
    now: datetime
    rng: Random = field(default_factory=Random)
    _found: dict[_Key, Discrepancy] = field(default_factory=dict)
    _by_id: dict[int, Discrepancy] = field(default_factory=dict)
    _examples: dict[tuple[int, int], UUID] = field(default_factory=dict)
    _reopened: dict[int, str] = field(default_factory=dict)

    def find(self, shown: Iterable[Shown], also: Iterable[int] = ()) -> None:
        """Read what these pairs show, and ``also`` these by id; make what is new."""
        wanted = {(one.version, group) for one in shown for group in one.judgement.groups}
        if wanted:
            versions = {version for version, _ in wanted}
            rows = Discrepancy.objects.filter(launch=self.launch, version__in=versions)
            self._found = {_key(row): row for row in rows}
            new = sorted(wanted - self._found.keys())
            for version in {version for version, _ in new}:
                self._make(version, [group for of, group in new if of == version])
        self._by_id = {row.pk: row for row in self._found.values()}
        if missing := set(also) - self._by_id.keys():
            self._by_id |= Discrepancy.objects.in_bulk(missing)

    def count(self, one: Shown, was: Members | None = None) -> Members:
        """Count what a pair shows: for the first time, or in place of what it ``was`` counted to
        show when it is judged anew."""
        is_new, was = was is None, was or Members()
        rules_of: dict[int, list[int | None]] = {}
        groups: dict[int, Group] = {}
        for group, rule in one.judgement.groups.items():
            row = self._row(one.version, group)
            rules_of.setdefault(row.pk, []).append(rule)
            groups[row.pk] = group
        counted = frozenset(pk for pk, rules in rules_of.items() if None in rules)
        members = Members(counted, frozenset(rules_of) - counted)
        for pk in members.all - was.all:
            row = self._by_id[pk]
            self._take_example(row, groups[pk], one)
            if is_new:
                self._see(row, one, counts=pk in counted)
        self._shift(was, members)
        return members

    def save(self) -> None:
        """Write counts, examples and what was reopened."""
        Discrepancy.objects.bulk_update(
            self._by_id.values(),
            ["count", "ignored", "last_seen_at", "last_build", "control_value", "version_value"],
            batch_size=100,
        )
        Example.objects.bulk_create(
            [
                Example(discrepancy_id=pk, slot=place, order=order)
                for (pk, place), order in self._examples.items()
            ],
            update_conflicts=True,
            unique_fields=("discrepancy", "slot"),
            update_fields=("order",),
        )
        for pk, build in self._reopened.items():
            self._reopen(self._by_id[pk], build)

    def _row(self, version: str, group: Group) -> Discrepancy:
        return self._found.get((version, group)) or self._found[version, FOLDED]

    def _make(self, version: str, new: Sequence[Group]) -> None:
        """Make a version's new discrepancies, as many as there is room for."""
        there = sum(of == version and group != FOLDED for of, group in self._found)
        room = MAX_DISCREPANCIES - there
        made = list(new[: max(0, room)])
        if len(made) < len(new) and (version, FOLDED) not in self._found:
            made.append(FOLDED)
        bugs = _open_bugs(version, made)
        rows = Discrepancy.objects.bulk_create(
            Discrepancy(
                launch=self.launch,
                version=version,
                kind=group.kind,
                path=group.path,
                first_seen_at=self.now,
                last_seen_at=self.now,
                state=Decision.BUG if group in bugs else Decision.OPEN,
                revision=1 if group in bugs else 0,
                decided_at=self.now if group in bugs else None,
            )
            for group in made
        )
        self._found |= {_key(row): row for row in rows}
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
            row.control_value = control[:_VALUE_LENGTH]
            row.version_value = version[:_VALUE_LENGTH]

    def _see(self, row: Discrepancy, one: Shown, *, counts: bool) -> None:
        """A live pair shows a discrepancy."""
        row.last_seen_at = self.now
        row.last_build = one.build
        if counts and row.state == Decision.FIXED and _was_placed_after(one, row):
            self._reopened[row.pk] = one.build

    def _shift(self, was: Members, now: Members) -> None:
        """Take a pair out of the counts that it was in, and into those that it is in."""
        for pk in was.all | now.all:
            if (row := self._by_id.get(pk)) is not None:
                row.count = max(0, row.count + (pk in now.counted) - (pk in was.counted))
                row.ignored = max(0, row.ignored + (pk in now.ignored) - (pk in was.ignored))

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


def _key(row: Discrepancy) -> _Key:
    return row.version, Group(GroupKind(row.kind), row.path)


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
