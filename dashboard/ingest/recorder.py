"""The recorder: keeps the state of the launches in memory, and writes what each batch changes.

One observer at a time records: the one that raised ``epoch`` last; every transaction checks this.
Others that change what is kept here raise ``changes`` in the same transaction
(`dashboard.ingest.stored.changing`), and the recorder reads its state again.

On request it also writes its input to a file, one JSON item a line, from which
`dashboard.ingest.rebuilding` computes the same numbers again: messages, and the rules, decisions
and times that came from elsewhere.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from dashboard import models
from dashboard.comparison.judgement import Group
from dashboard.comparison.outcome import Decision
from dashboard.comparison.rules import ComparisonRule, Rules
from dashboard.database import atomic
from dashboard.fold.accounting import graver
from dashboard.fold.admission import (
    Admitted,
    EventMessage,
    Known,
    OrderMessage,
    Stub,
    admit,
    overdue,
)
from dashboard.fold.fold import (
    LaunchBatch,
    Rejudged,
    fold,
    lose,
    mark_missing,
    needed_slices,
    rejudge,
)
from dashboard.fold.records import (
    Changes,
    Key,
    LaunchState,
    Loss,
    NextIds,
    OrderRecord,
    SeenNumbers,
    Stored,
)
from dashboard.ingest import stored
from dashboard.ingest.evidence import timing_in_force
from dashboard.ingest.rulebook import compiled, current_rules, rules_by_id
from dashboard.ingest.stored import RECENT, Loaded, locked_state
from dashboard.ingest.stream import Rosters
from dashboard.models.sql import upsert
from dashboard.verdict.blocks import Timing
from kitchen_worker.contract.messages import Role

logger = logging.getLogger(__name__)

# The recording: its items, and its file.


class RecordingStart(msgspec.Struct, frozen=True, kw_only=True, tag="Began", tag_field="item"):
    """The recorder read its state: the next free ids. ``taken_over``: it had just taken over."""

    taken_over: bool
    description: str
    order: int
    observation: int
    discrepancy: int
    signature: int
    evidence: int

    @classmethod
    def now(cls, ids: NextIds, description: str, *, taken_over: bool) -> RecordingStart:
        return cls(
            taken_over=taken_over,
            description=description,
            order=ids.order,
            observation=ids.observation,
            discrepancy=ids.discrepancy,
            signature=ids.signature,
            evidence=ids.evidence,
        )


class Terms(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="item"):
    """The rules in force from now on, and the timing of new evidence."""

    rules: tuple[ComparisonRule, ...]
    timing: Timing

    def by_version(self, versions: Iterable[str]) -> dict[str, Rules]:
        return {version: compiled(self.rules, version) for version in versions}


class RecordedDecisions(msgspec.Struct, frozen=True, kw_only=True, tag="Decided", tag_field="item"):
    """The reviewers' decisions when a launch was read."""

    launch: UUID
    #: By version and group: the decision, and when it was made.
    decisions: tuple[tuple[str, Group, Decision, datetime | None], ...]
    bugs: tuple[tuple[str, Group], ...]

    @classmethod
    def of(cls, state: LaunchState) -> RecordedDecisions:
        return cls(
            launch=state.launch,
            decisions=tuple(
                (one.version, one.group, one.state, one.decided_at)
                for one in state.discrepancies.values()
                if one.decided_at is not None
            ),
            bugs=tuple(state.bugs),
        )


class RecordedBatch(msgspec.Struct, frozen=True, kw_only=True, tag="Batch", tag_field="item"):
    at: datetime
    orders: tuple[OrderMessage, ...] = ()
    events: tuple[EventMessage, ...] = ()
    #: A relay's session, a launch, and the sequence numbers received.
    numbers: tuple[tuple[str, UUID, tuple[int, ...]], ...] = ()
    undescribed: int = 0
    #: The id of the next new order, after this batch.
    next_order: int


class RecordedSweep(msgspec.Struct, frozen=True, kw_only=True, tag="Swept", tag_field="item"):
    """The deadline passed for the next orders: missing answers were counted."""

    at: datetime
    #: Orders that arrived until then were due.
    until: datetime


class RecordedLosses(msgspec.Struct, frozen=True, kw_only=True, tag="Lost", tag_field="item"):
    """Dead letters named orders: the order, the version, and why."""

    at: datetime
    losses: tuple[tuple[str, str, Loss], ...]


class AbandonedStubs(msgspec.Struct, frozen=True, kw_only=True, tag="GaveUp", tag_field="item"):
    """Orders known only from their events, which the recorder stopped waiting for."""

    order_ids: tuple[str, ...]


class RejudgedPairs(msgspec.Struct, frozen=True, kw_only=True, tag="JudgedAgain", tag_field="item"):
    """Stored pairs were judged again by other rules."""

    at: datetime
    launch: UUID
    rules: tuple[ComparisonRule, ...]
    cursor: int
    until: int
    at_most: int


class ClosedBlocks(msgspec.Struct, frozen=True, kw_only=True, tag="Closed", tag_field="item"):
    """Blocks of evidence were closed, with the verdict's state after that."""

    launch: UUID
    version: str
    key: str
    until: datetime
    decided: dict[str, Any]
    passed: dict[str, Any]
    point: list[Any]


Item: TypeAlias = (
    RecordingStart
    | Terms
    | RecordedDecisions
    | RecordedBatch
    | RecordedSweep
    | RecordedLosses
    | AbandonedStubs
    | RejudgedPairs
    | ClosedBlocks
)
_decode = msgspec.json.Decoder(Item).decode


@dataclass
class Recording:
    """An append-only file, locked by this process; opening it may raise OSError.

    If a write fails or the file reaches its maximum size, the recording ends and observing goes on.
    """

    path: Path
    at_most: int
    has_ended: bool = False
    _file: int = field(init=False)
    #: The length of the file, and the lines not written yet.
    _size: int = field(init=False)
    _noted: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise
        self._size = _whole_lines(self._file)
        os.ftruncate(self._file, self._size)

    def note(self, item: Item) -> None:
        """Add an item to the next `write`."""
        if not self.has_ended:
            self._noted.append(msgspec.json.encode(item))

    def mark(self) -> int:
        """Drop items not written, and return the file's length for `cut`."""
        self._noted.clear()
        return self._size

    def write(self) -> None:
        """Write the noted items: the last step before the transaction's commit."""
        if self.has_ended or not self._noted:
            return
        text = b"".join(line + b"\n" for line in self._noted)
        self._noted.clear()
        if self._size + len(text) > self.at_most:
            self._end(f"it would have more than {self.at_most:,} bytes")
            return
        try:
            written = os.pwrite(self._file, text, self._size)
        except OSError as cause:
            self._end(str(cause))
            return
        if written < len(text):
            self._end("there is no room for it")
            return
        self._size += len(text)

    def cut(self, mark: int) -> None:
        """Undo everything since a mark, after its transaction failed."""
        self._noted.clear()
        if self._size > mark:
            os.ftruncate(self._file, mark)
            self._size = mark

    def close(self) -> None:
        os.close(self._file)

    def _end(self, reason: str) -> None:
        os.ftruncate(self._file, self._size)
        self.has_ended = True
        logger.error(
            "nothing more is recorded to %s: %s", self.path, reason, extra={"action": "recording"}
        )


def _whole_lines(file: int) -> int:
    """The length of a file without an incomplete last line."""
    size = os.fstat(file).st_size
    step = 1 << 20
    for start in range(max(0, size - step), -step, -step):
        found = os.pread(file, step, max(0, start)).rfind(b"\n")
        if found >= 0:
            return max(0, start) + found + 1
    return 0


def read_recording(path: Path) -> Iterator[Item]:
    """The items of a recording, without an incomplete last line; raises OSError and
    msgspec.DecodeError."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield _decode(line)


class RecordingSummary(msgspec.Struct, kw_only=True):
    items: int = 0
    orders: int = 0
    #: The id of its first order, and the id that a further order would get.
    first_order: int = 1
    next_order: int = 1
    since: datetime | None = None
    until: datetime | None = None
    #: Orders that are in the database but missing between two parts of the file.
    gaps: int = 0


def summary_of(path: Path) -> RecordingSummary:
    """Read a whole recording; raises like ``read_recording``."""
    found = RecordingSummary()
    for item in read_recording(path):
        found.items += 1
        at = getattr(item, "at", None)
        found.since, found.until = found.since or at, at or found.until
        if isinstance(item, RecordingStart):
            if found.items > 1:
                found.gaps += max(0, item.order - found.next_order)
            else:
                found.first_order = item.order
            found.next_order = max(item.order, found.next_order)
        elif isinstance(item, RecordedBatch):
            found.orders += item.next_order - found.next_order
            found.next_order = item.next_order
    return found


# The recorder.

#: Sequence numbers of orders, by relay session and launch.
Numbers = Mapping[tuple[str, UUID], Collection[int]]

_T = TypeVar("_T")

#: Newest orders outside any launch whose events are still recognised.
_OUTSIDE = 100_000
#: Orders per step of a sweep.
SWEPT_AT_ONCE = 500
#: Stubs given up at once.
STUBS_AT_ONCE = 50
#: Relay sessions kept in memory.
_SESSIONS = 100


class NotTheRecorder(Exception):
    """Raised when another observer has taken over."""


class SweepResult(NamedTuple):
    """The new missing answers of one step of a sweep, and their launches."""

    missing: int
    launches: set[UUID]
    is_done: bool


@dataclass(kw_only=True)
class Recorder:
    """The only writer of observations; each method runs at most one transaction.

    All raise NotTheRecorder and django.db.Error, and can be called again after an error.
    """

    epoch: int
    #: Name of the function that describes orders (DescriptionFunction.name).
    description: str = ""
    recording: Recording | None = None
    rosters: Rosters = field(default_factory=Rosters)
    _ids: NextIds = field(default_factory=NextIds)
    _changes: int = -1
    #: For the recording: whether it has a start, and the terms noted last.
    _has_begun: bool = False
    _terms: Terms | None = None
    _loaded: dict[UUID, Loaded] = field(default_factory=dict)
    _sessions: dict[str, SeenNumbers] = field(default_factory=dict)
    _stubs: int = 0
    #: Whether any dead letter is stored that names an order.
    _has_losses: bool = False
    #: Stored orders, and orders outside any launch, oldest first.
    _recent: dict[str, OrderRecord] = field(default_factory=dict)
    _outside: dict[str, None] = field(default_factory=dict)

    @classmethod
    def take_over(cls, description: str = "", recording: Recording | None = None) -> Self:
        """Become the recorder; the previous one fails at its next transaction."""
        with atomic():
            row = locked_state()
            row.epoch += 1
            row.save(update_fields=["epoch"])
        return cls(epoch=row.epoch, description=description, recording=recording)

    @property
    def launches(self) -> set[UUID]:
        return self.rosters.known

    def record(
        self,
        orders: Sequence[OrderMessage],
        events: Sequence[EventMessage],
        at: datetime,
        *,
        numbers: Numbers | None = None,
        undescribed: int = 0,
    ) -> Admitted:
        """Record a batch; ``undescribed`` counts orders whose description failed."""

        def work(row: models.ObserverState) -> Admitted:
            admitted = self._record(orders, events, at)
            self._note_numbers(numbers or {})
            if undescribed or admitted.reports_outside:
                row.undescribed += undescribed
                row.events_outside += admitted.reports_outside
                row.save(update_fields=["undescribed", "events_outside"])
            if self.recording is not None:
                batch = RecordedBatch(
                    at=at,
                    orders=tuple(orders),
                    events=tuple(events),
                    numbers=tuple((*key, tuple(few)) for key, few in (numbers or {}).items()),
                    undescribed=undescribed,
                    next_order=self._ids.order,
                )
                self.recording.note(batch)
            return admitted

        admitted = self._in_transaction(work)
        self._stubs += len(admitted.new_stubs) - len(admitted.filled)
        self._remember_outside(admitted.outside)
        return admitted

    def sweep(self, at: datetime, deadline: timedelta) -> SweepResult:
        """Count the missing answers of the next orders past their deadline."""
        return self._in_transaction(lambda row: self._sweep(row, at, at - deadline))

    def lose(self, losses: Mapping[Key, Loss], at: datetime) -> None:
        """Record orders that dead letters name; repeated ones change nothing."""
        self._in_transaction(lambda _: self._lose(losses, at))

    def overdue_stubs(self, before: datetime) -> list[Stub]:
        return stored.overdue_stubs(before, STUBS_AT_ONCE) if self._stubs else []

    def give_up(self, stubs: Sequence[Stub]) -> None:
        """Delete stubs whose events, if they name a launch, were dead-lettered before."""

        def work(row: models.ObserverState) -> int:
            if self.recording is not None:
                order_ids = tuple(one.order_id for one in stubs)
                self.recording.note(AbandonedStubs(order_ids=order_ids))
            # Only those still there: a previous attempt may have been committed.
            known = stored.stubs([one.order_id for one in stubs])
            gone = [one for one in stubs if one.order_id in known]
            stored.write_stubs((), [one.order_id for one in gone])
            row.events_outside += overdue(gone).outside
            row.save(update_fields=["events_outside"])
            return len(gone)

        # The transaction may set self._stubs: read it only afterwards.
        given_up = self._in_transaction(work)
        self._stubs -= given_up

    def record_heartbeat(self, at: datetime) -> None:
        """Show the other observers that this one is alive."""
        mine = models.ObserverState.objects.filter(pk=1, epoch=self.epoch)
        if not mine.update(recorded_at=at):
            raise NotTheRecorder

    def rejudge(self, at: datetime, at_most: int) -> UUID | None:
        """Rejudge the next stored pairs of the oldest request; returns its launch, or None if there
        is no request or the history is not completely carried over."""
        oldest = models.Rejudging.objects.filter(finished_at=None).order_by("id").first()
        if oldest is None or models.ObserverState.objects.filter(history_until__gt=0).exists():
            return None
        self._in_transaction(lambda _: self._rejudge(oldest.pk, at, at_most))
        return oldest.launch

    def _in_transaction(self, work: Callable[[models.ObserverState], _T]) -> _T:
        """Run ``work`` in a transaction; if it fails, memory and recording are reset too."""
        done, mark = False, self.recording.mark() if self.recording is not None else 0
        try:
            with atomic():
                row = locked_state()
                if row.epoch != self.epoch:
                    raise NotTheRecorder
                if row.changes != self._changes:
                    self._read_again(row)
                answer = work(row)
                if self.recording is not None:
                    self.recording.write()
            done = True
        finally:
            if not done:
                self._changes, self._terms = -1, None
                if self.recording is not None:
                    self.recording.cut(mark)
        return answer

    def _read_again(self, row: models.ObserverState) -> None:
        self._loaded.clear()
        self._sessions.clear()
        self._recent.clear()
        self._changes, self._ids = row.changes, stored.next_ids(row)
        self._stubs = models.StubOrder.objects.count()
        self._has_losses = models.LostOrder.objects.exists()
        if self.recording is not None:
            began = RecordingStart.now(self._ids, self.description, taken_over=not self._has_begun)
            self.recording.note(began)
            self._has_begun = True

    def _terms_at(self, at: datetime) -> Terms:
        terms = Terms(rules=current_rules(at), timing=timing_in_force())
        if self.recording is not None and terms != self._terms:
            self.recording.note(terms)
            self._terms = terms
        return terms

    def _load(self, launch: UUID) -> Loaded:
        """The state of an existing launch."""
        roster, loaded = self.rosters.of(launch), self._loaded.get(launch)
        if roster is None:
            raise LookupError(launch)
        if loaded is None or not roster.roles.keys() <= loaded.state.participants.keys():
            loaded = self._loaded[launch] = stored.load(roster, self.description)
            if self.recording is not None:
                self.recording.note(RecordedDecisions.of(loaded.state))
        return loaded

    def _record(
        self, orders: Sequence[OrderMessage], events: Sequence[EventMessage], at: datetime
    ) -> Admitted:
        orders = [self._in_known_launch(one) for one in orders]
        arrived = {one.record.order_id for one in orders}
        order_ids = arrived | {one.report.order_id for one in events}
        known_orders = self._known(order_ids)
        unknown = order_ids - known_orders.keys()
        replayed = stored.replayed(unknown - arrived)
        stubs = stored.stubs(unknown) if self._stubs else {}
        known = Known(
            orders=known_orders,
            stubs=stubs,
            replayed=replayed,
            outside=self._outside,
            roles=self._roles(orders, events, known_orders, stubs.values(), replayed),
            stubs_in_all=self._stubs,
        )
        admitted = admit(known, orders, events, self._ids, at)
        for launch, batch in admitted.batches.items():
            self._fold(launch, batch, known_orders, at)
        stored.write_stubs(admitted.stubs.values(), admitted.filled)
        self._remember(one for batch in admitted.batches.values() for one in batch.orders)
        return admitted

    def _known(self, order_ids: Collection[str]) -> dict[str, OrderRecord]:
        """The stored orders of these ids; most are recent and in memory."""
        recent = {one: self._recent[one] for one in order_ids if one in self._recent}
        return recent | stored.orders([one for one in order_ids if one not in recent])

    def _remember(self, orders: Iterable[OrderRecord]) -> None:
        """Keep stored orders in memory, without their bodies."""
        for one in orders:
            self._recent[one.order_id] = msgspec.structs.replace(one, body=b"")
        _cut(self._recent, RECENT)

    def _in_known_launch(self, message: OrderMessage) -> OrderMessage:
        """An order of an unknown launch counts as outside any launch."""
        if message.launch is None or self.rosters.of(message.launch) is not None:
            return message
        return msgspec.structs.replace(message, launch=None)

    def _roles(
        self,
        orders: Iterable[OrderMessage],
        events: Iterable[EventMessage],
        known: Mapping[str, OrderRecord],
        stubs: Iterable[Stub],
        replayed: Mapping[str, tuple[UUID, str]],
    ) -> dict[UUID, Mapping[str, Role]]:
        """The roles in the launches of these orders; a launch is read again if a version is not in
        its roster, as it may have joined since."""
        launches = {order_id: one.launch for order_id, one in known.items()}
        launches |= {one.record.order_id: one.launch for one in orders if one.launch is not None}
        launches |= {order_id: launch for order_id, (launch, _) in replayed.items()}
        named: defaultdict[UUID, set[str]] = defaultdict(set)
        for one in orders:
            if one.launch is not None:
                named[one.launch] |= one.record.sample
        for event in (*events, *(one for stub in stubs for one in stub.pending)):
            if (launch := launches.get(event.report.order_id)) is not None:
                named[launch].add(event.report.version)
        self.rosters.with_versions(named)
        rosters = {launch: self.rosters.of(launch) for launch in {*launches.values()}}
        return {launch: one.roles for launch, one in rosters.items() if one is not None}

    def _fold(
        self, launch: UUID, batch: LaunchBatch, known: Mapping[str, OrderRecord], at: datetime
    ) -> None:
        loaded = self._load(launch)
        reported = {one.order_id for one in batch.reports}
        orders = [one for order_id, one in known.items() if order_id in reported]
        slices = stored.slices(launch, needed_slices(batch.reports, at))
        before = self._fold_input(loaded, orders, self._terms_at(at), arrived=batch.orders)
        before = replace(before, state=replace(loaded.state, slices=slices))
        self._write(loaded, fold(before, batch, self._ids, at), at)

    def _fold_input(
        self,
        loaded: Loaded,
        orders: Collection[OrderRecord],
        terms: Terms,
        *,
        arrived: Iterable[OrderRecord] = (),
    ) -> Stored:
        """A launch's state, and these of its orders with their observations."""
        named = [one.order_id for one in (*orders, *arrived)] if self._has_losses else []
        return Stored(
            state=loaded.state,
            orders={one.order_id: one for one in orders},
            observations=stored.observations(loaded, orders),
            losses=stored.losses(named),
            rules=terms.by_version(loaded.state.participants),
            timing=terms.timing,
            description=self.description,
        )

    def _write(self, loaded: Loaded, changes: Changes, at: datetime) -> None:
        stored.write(loaded, changes, at)
        self._loaded[loaded.state.launch] = loaded.after(changes)
        if changes.seen_again:
            # `stored.write` has reopened discrepancies, unless a reviewer was first.
            del self._loaded[loaded.state.launch]

    def _lose(self, losses: Mapping[Key, Loss], at: datetime) -> None:
        if self.recording is not None:
            noted = tuple((*key, loss) for key, loss in losses.items())
            self.recording.note(RecordedLosses(at=at, losses=noted))
        order_ids = {order_id for order_id, _ in losses}
        known = stored.losses(order_ids)
        new = {key: graver(known.get(key), loss) for key, loss in losses.items()}
        new = {key: loss for key, loss in new.items() if loss is not known.get(key)}
        by_launch: defaultdict[UUID, list[OrderRecord]] = defaultdict(list)
        for order in self._known({order_id for order_id, _ in new}).values():
            by_launch[order.launch].append(order)
        self._has_losses = True
        for launch, orders in by_launch.items():
            if self.rosters.of(launch) is not None:
                loaded = self._load(launch)
                before = self._fold_input(loaded, orders, self._terms_at(at))
                self._write(loaded, lose(before, new), at)
        stored.write_losses(new, at)

    def _note_numbers(self, numbers: Numbers) -> None:
        sessions = {session for session, _ in numbers}
        if missing := sessions - self._sessions.keys():
            found = models.RelaySession.objects.in_bulk(missing)
            for session in missing:
                row = found.get(session)
                ranges = [(first, last) for first, last in row.ranges] if row else []
                self._sessions[session] = SeenNumbers(ranges, row.lost if row else 0)
        rows = {}
        for (session, launch), several in numbers.items():
            seen = self._sessions[session]
            seen.add(several)
            rows[session] = session, launch, seen.ranges, seen.lost
        upsert(
            models.RelaySession,
            ("session", "launch", "ranges", "lost"),
            rows.values(),
            key=("session",),
            updated=("ranges", "lost"),
        )
        if len(self._sessions) > _SESSIONS:
            self._sessions.clear()

    def _remember_outside(self, order_ids: Iterable[str]) -> None:
        self._outside |= dict.fromkeys(order_ids)
        _cut(self._outside, _OUTSIDE)

    def _sweep(self, row: models.ObserverState, at: datetime, until: datetime) -> SweepResult:
        orders = stored.orders_after(row.swept_until, SWEPT_AT_ONCE)
        due = list(takewhile(lambda one: one.arrived_at <= until, orders))
        by_launch: defaultdict[UUID, list[OrderRecord]] = defaultdict(list)
        for order in due:
            by_launch[order.launch].append(order)
        missing, launches = 0, set()
        for launch, several in by_launch.items():
            if found := self._count_missing(launch, several, at):
                missing += found
                launches.add(launch)
        if due:
            if self.recording is not None:
                self.recording.note(RecordedSweep(at=at, until=until))
            row.swept_until = due[-1].id
            row.save(update_fields=["swept_until"])
        return SweepResult(missing, launches, len(due) < SWEPT_AT_ONCE)

    def _count_missing(self, launch: UUID, orders: Sequence[OrderRecord], at: datetime) -> int:
        """Stop waiting for the answers to these orders; returns how many are missing."""
        if self.rosters.of(launch) is None:
            return 0
        loaded, terms = self._load(launch), self._terms_at(at)
        changes = mark_missing(self._fold_input(loaded, orders, terms), orders, self._ids, at)
        self._write(loaded, changes, at)
        return sum(
            one.missing - loaded.state.participants[name].missing
            for name, one in changes.participants.items()
        )

    def _rejudge(self, pk: int, at: datetime, at_most: int) -> None:
        row = models.Rejudging.objects.select_for_update().get(pk=pk)
        if row.finished_at is not None or self.rosters.of(row.launch) is None:
            row.finished_at = row.finished_at or at
            row.save(update_fields=["finished_at"])
            return
        again = RejudgedPairs(
            at=at,
            launch=row.launch,
            rules=rules_by_id(row.rules),
            cursor=row.cursor,
            until=row.until,
            at_most=at_most,
        )
        found, reached = self._rejudge_pairs(again)
        row.judged += found.judged
        row.changed += found.changed
        row.cursor = reached
        if row.cursor >= row.until:
            row.finished_at = at
        row.save()

    def _rejudge_pairs(self, again: RejudgedPairs) -> tuple[Rejudged, int]:
        """Rejudge some stored pairs; also returns the id of the last order done."""
        orders = stored.orders_of(again.launch, again.cursor, again.until, again.at_most)
        loaded = self._load(again.launch)
        terms = Terms(rules=again.rules, timing=timing_in_force())
        found = rejudge(self._fold_input(loaded, orders, terms), self._ids, again.at)
        self._write(loaded, found.changes, again.at)
        if self.recording is not None:
            self.recording.note(again)
        return found, orders[-1].id if len(orders) == again.at_most else again.until


def recorded_at() -> datetime | None:
    """The recorder's last heartbeat."""
    return models.ObserverState.objects.filter(pk=1).values_list("recorded_at", flat=True).first()


def _cut(kept: dict[str, Any], at_most: int) -> None:
    """Drop the oldest entries."""
    for key in list(islice(kept, max(0, len(kept) - at_most))):
        del kept[key]
