"""Counts the discrepancies that pairs show, keeps examples of each, and counts signatures.

Memory per launch is bounded: similar discrepancies fold into one, and so do all new ones once a
version has too many.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, TypeVar

import msgspec

from dashboard.comparison.folding import Folding, containing_group
from dashboard.comparison.foreign_text import cut_together
from dashboard.comparison.judgement import Ending, Group, Judgement, values_at
from dashboard.comparison.outcome import Decision
from dashboard.comparison.rules import Rules
from dashboard.fold.records import (
    DiscrepancyRecord,
    LaunchState,
    Members,
    NextIds,
    SeenAgain,
    SignatureRecord,
)

#: Limit per version and launch, without the folded one: for discrepancies that count or were
#: decided on, and again for the others.
MAX_DISCREPANCIES = 200
#: Signatures per version and launch, without the folded one.
MAX_SIGNATURES = 500
#: Example orders per discrepancy.
EXAMPLES = 24
FOLDED_KEY = "folded"
_VALUE_LENGTH = 120
_NONE = Members()
_Record = TypeVar("_Record")


class JudgedPair(msgspec.Struct, frozen=True, kw_only=True):
    """A pair's judgement, and its inputs."""

    order_id: str
    placed_at: datetime
    version: str
    build: str
    #: When the pair was complete.
    seen_at: datetime
    control: Ending
    ending: Ending
    rules: Rules
    judgement: Judgement


class _Placed(NamedTuple):
    """The discrepancies a pair counts for, and a group of the pair for each of them."""

    members: Members
    groups: Mapping[int, Group]


class Discrepancies:
    """The discrepancies and signatures of one launch, as a batch of pairs changes them."""

    def __init__(self, state: LaunchState, ids: NextIds, at: datetime) -> None:
        self._ids, self._at = ids, at
        self._by_id = dict(state.discrepancies)
        self._by_group: defaultdict[str, dict[Group, int]] = defaultdict(dict)
        for pk, row in state.discrepancies.items():
            self._by_group[row.version][row.group] = pk
        self._signatures = dict(state.signatures)
        self._by_key = {(one.version, one.key): pk for pk, one in state.signatures.items()}
        #: The group whose discrepancy counts a version's group that has none of its own.
        self._folded: dict[tuple[str, Group], Group] = {}
        self._known: dict[tuple[object, ...], _Placed] = {}
        self._before = state
        self._seen_again: dict[int, str] = {}

    def group_of(self, pk: int) -> Group:
        return self._by_id[pk].group

    def groups_of(self, version: str) -> Mapping[Group, int]:
        """A version's discrepancy ids by group."""
        return self._by_group[version]

    def count(self, shown: Sequence[JudgedPair], was: Sequence[Members] = ()) -> list[Members]:
        """Count the pairs' discrepancies, in place of those in ``was`` when they are rejudged;
        returns the discrepancies of each pair."""
        before = was or [_NONE] * len(shown)
        self._known.clear()
        self._place(shown, before)
        return [
            self._count(one, members, again=bool(was))
            for one, members in zip(shown, before, strict=True)
        ]

    def sign(self, version: str, members: Members) -> int | None:
        """Count a pair by its whole set of discrepancies; returns the signature's id."""
        if not members:
            return None
        pk = self._by_key.get((version, key_of(members)))
        if pk is None:
            pk = self._new_signature(version, members)
        self._add_pairs(pk, 1)
        return pk

    def unsign(self, pk: int) -> None:
        """Undo `sign` for one pair."""
        self._add_pairs(pk, -1)

    def changed(self) -> dict[int, DiscrepancyRecord]:
        return _changed(self._by_id, self._before.discrepancies)

    def changed_signatures(self) -> dict[int, SignatureRecord]:
        return _changed(self._signatures, self._before.signatures)

    def seen_again(self) -> tuple[SeenAgain, ...]:
        """Discrepancies closed as fixed that an order placed later shows."""
        return tuple(SeenAgain(discrepancy=pk, build=b) for pk, b in self._seen_again.items())

    def _place(self, shown: Sequence[JudgedPair], was: Sequence[Members]) -> None:
        """Find the discrepancies that new groups count for, and create those needed."""
        new: defaultdict[Group, dict[str, tuple[datetime, bool]]] = defaultdict(dict)
        for one, members in zip(shown, was, strict=True):
            for group, rule in one.judgement.groups.items():
                if self._row(one.version, group, members) is None:
                    seen_at, counts = new[group].get(one.version, (one.seen_at, False))
                    new[group][one.version] = min(seen_at, one.seen_at), counts or rule is None
        if not new:
            return
        places = Folding(
            {
                version: {group: self._holds_room(pk) for group, pk in groups.items()}
                for version, groups in self._by_group.items()
            },
            MAX_DISCREPANCIES,
        )
        made: defaultdict[str, dict[Group, datetime]] = defaultdict(dict)
        for group in sorted(new):
            for version in _those_with_room_first(places, new[group]):
                seen_at, counts = new[group][version]
                place = places.assign(version, group, counts=counts)
                self._folded[version, group] = place
                if place not in self._by_group[version]:
                    made[version][place] = min(seen_at, made[version].get(place, seen_at))
        for version in sorted(made):
            for group, seen_at in made[version].items():
                self._make(version, group, seen_at)

    def _make(self, version: str, group: Group, seen_at: datetime) -> None:
        pk = self._ids.of_discrepancy(self._before.launch, version, group)
        self._by_group[version][group] = pk
        is_bug = (version, group) in self._before.bugs
        self._by_id[pk] = DiscrepancyRecord(
            id=pk,
            version=version,
            group=group,
            first_seen_at=seen_at,
            last_seen_at=seen_at,
            state=Decision.BUG if is_bug else Decision.OPEN,
            decided_at=self._at if is_bug else None,
        )

    def _holds_room(self, pk: int) -> bool:
        """Whether it counts towards the limit: rejudging may have emptied it."""
        row = self._by_id[pk]
        return row.count > 0 or row.state != Decision.OPEN

    def _row(self, version: str, group: Group, was: Members) -> int | None:
        """A group's own discrepancy, or the folded one that the pair counted for before."""
        own = self._by_group[version].get(group)
        if own is not None or not was:
            return own
        before = {self._by_id[pk].group: pk for pk in was.all if pk in self._by_id}
        folded = containing_group(group, before)
        return before[folded] if folded is not None else None

    def _count(self, one: JudgedPair, was: Members, *, again: bool) -> Members:
        showing = (one.version, was, *one.judgement.groups.items())
        placed = self._known.get(showing)
        if placed is None:
            placed = self._known[showing] = self._placed(one, was)
        members, groups = placed
        for pk in groups.keys() - was.all:
            self._take_example(pk, groups[pk], one)
            self._see(pk, one, again=again, counts=pk in members.counted)
        self._shift(was, members)
        return members

    def _placed(self, one: JudgedPair, was: Members) -> _Placed:
        rules_of: dict[int, list[int | None]] = {}
        groups: dict[int, Group] = {}
        for group, rule in one.judgement.groups.items():
            pk = self._row(one.version, group, was)
            if pk is None:
                pk = self._by_group[one.version][self._folded[one.version, group]]
            rules_of.setdefault(pk, []).append(rule)
            if rule is None or pk not in groups:
                groups[pk] = group
        counted = frozenset(pk for pk, rules in rules_of.items() if None in rules)
        return _Placed(Members(counted, frozenset(rules_of) - counted), groups)

    def _take_example(self, pk: int, group: Group, one: JudgedPair) -> None:
        """Keep the order if its hash is among the smallest: a uniform sample that doesn't depend on
        the sequence of arrival."""
        row = self._by_id[pk]
        mine = _hash(one.version, row.group, one.order_id), one.order_id
        if len(row.examples) == EXAMPLES and mine >= row.examples[-1]:
            return
        examples = tuple(sorted({*row.examples, mine})[:EXAMPLES])
        changed = msgspec.structs.replace(row, examples=examples)
        if examples[0] == mine:
            control, version = values_at(one.control, one.ending, group, one.rules)
            # Keep the part where they differ, even if it comes after the limit.
            control, version = cut_together([control, version], _VALUE_LENGTH)
            changed = msgspec.structs.replace(changed, control_value=control, version_value=version)
        self._by_id[pk] = changed

    def _see(self, pk: int, one: JudgedPair, *, again: bool, counts: bool) -> None:
        row = self._by_id[pk]
        if again:
            first = min(row.first_seen_at, one.seen_at)
            row = msgspec.structs.replace(row, first_seen_at=first)
            if row.last_seen_at <= one.seen_at:
                row = msgspec.structs.replace(row, last_seen_at=one.seen_at, last_build=one.build)
        else:
            row = msgspec.structs.replace(row, last_seen_at=self._at, last_build=one.build)
            if counts and _is_fixed_before(row, one.placed_at):
                self._seen_again[pk] = one.build
        self._by_id[pk] = row

    def _shift(self, was: Members, now: Members) -> None:
        for pk in (was.counted ^ now.counted) | (was.ignored ^ now.ignored):
            if (row := self._by_id.get(pk)) is not None:
                count = row.count + (pk in now.counted) - (pk in was.counted)
                ignored = row.ignored + (pk in now.ignored) - (pk in was.ignored)
                self._by_id[pk] = msgspec.structs.replace(
                    row, count=max(0, count), ignored=max(0, ignored)
                )

    def _new_signature(self, version: str, members: Members) -> int:
        """The id of a new signature while there is room, else of the folded one."""
        own = [one for one in self._signatures.values() if one.version == version]
        has_room = sum(not one.folded for one in own) < MAX_SIGNATURES
        key = key_of(members) if has_room else FOLDED_KEY
        pk = self._by_key.get((version, key))
        if pk is None:
            pk = self._by_key[version, key] = self._ids.signature
            self._ids.signature += 1
            self._signatures[pk] = SignatureRecord(
                id=pk,
                version=version,
                key=key,
                members=members if has_room else _NONE,
                folded=not has_room,
            )
        return pk

    def _add_pairs(self, pk: int, number: int) -> None:
        one = self._signatures[pk]
        self._signatures[pk] = msgspec.structs.replace(one, pairs=max(0, one.pairs + number))


@lru_cache(maxsize=4096)
def key_of(members: Members) -> str:
    """Digest of a set of members."""
    text = json.dumps([sorted(members.counted), sorted(members.ignored)], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _is_fixed_before(row: DiscrepancyRecord, at: datetime) -> bool:
    return row.state == Decision.FIXED and row.decided_at is not None and row.decided_at < at


def _hash(version: str, group: Group, order_id: str) -> int:
    text = f"{version}\0{group.kind}\0{group.path}\0{order_id}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest())


def _those_with_room_first(
    places: Folding, known: Mapping[str, tuple[datetime, bool]]
) -> Iterator[str]:
    """Place a group in versions with room first: where one has it, the others follow."""
    return iter(
        sorted(known, key=lambda one: (not places.has_room(one, counts=known[one][1]), one))
    )


def _changed(now: Mapping[int, _Record], before: Mapping[int, _Record]) -> dict[int, _Record]:
    return {pk: one for pk, one in now.items() if one is not before.get(pk)}
