"""One batch of news: record, pair, tally, commit. The only writer of observations.

Every batch first locks its launch's tallies, so that several observers take turns; what a repeat
or a late answer is, the ledger decides from what is stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from uuid import UUID

import msgspec

from dashboard.domain.builds import heard_of
from dashboard.domain.ledger import Counts, Key, Ledger, Standing
from dashboard.domain.outcome import Change, State
from dashboard.domain.sketch import LogHistogram
from dashboard.models import Observation, Tally, TimeSlice
from dashboard.models.bulk import Row, update, upsert
from dashboard.models.reading import among, read_objects
from dashboard.observing.answers import Answers
from dashboard.observing.pairing import record_pairs
from dashboard.observing.rosters import Roster
from dashboard.observing.texts import storable
from dashboard.observing.weighing import weigh_pairs
from kitchen_worker.contract.messages import Event, EventKind
from restaurant.write_lock import write_transaction

_RECEIVED = EventKind.RECEIVED
#: Length of a TimeSlice, in seconds.
SLICE_S = 2
#: A kitchen's clock that is further off than this does not place its events in time.
_MAX_CLOCK_ERROR_S = 600


@dataclass(frozen=True, slots=True)
class Silence:
    """A version that has not ended an order in time."""

    order: UUID
    version: str
    placed_at: datetime


def record_events(roster: Roster, events: Sequence[Event], now: datetime) -> None:
    """Take in events of one launch, in one transaction. Raises django.db.Error."""
    with write_transaction():
        tallies = _locked_tallies(roster)
        _note_builds(tallies, events, now)
        answers = Answers.stored({event.order for event in events})
        ledger = Ledger(answers.standings, answers.event_ids)
        rows: dict[Key, Row] = {}
        ends: list[Event] = []
        repeated: dict[Key, Event] = {}
        for event in _news(events):
            standing = Standing(State(event.kind), event.handling_ms)
            kind = ledger.take(event.order, event.version, standing, event_id=event.event_id)
            if kind is Change.REPEATED:
                repeated[event.order, event.version] = event
            if kind is Change.REPEATED or kind is Change.STALE:
                continue
            answers.hear(event, standing)
            late = kind is Change.MENDED
            rows[event.order, event.version] = _observation(roster, event, late=late)
            if event.kind is not _RECEIVED:
                ends.append(event)
        upsert(Observation, _WRITTEN, rows.values(), key=_KEY, updated=_OBSERVED)
        _note_repeats(roster, repeated.values(), ledger)
        shown = record_pairs(roster, tallies, ledger, answers, now)
        weigh_pairs(roster, tallies, ledger, answers, shown, now)
        _add_times(roster, tallies, ends, now)
        _add_counts(tallies, ledger.counts, events, now)


def _news(events: Sequence[Event]) -> Iterator[Event]:
    """The events without what is said of an order's start beside what is said of its end: most
    orders start and end in one batch, and the end says all."""
    ended = {(event.order, event.version) for event in events if event.kind is not _RECEIVED}
    for event in events:
        if event.kind is not _RECEIVED or (event.order, event.version) not in ended:
            yield event


def record_silences(roster: Roster, silences: Sequence[Silence], now: datetime) -> int:
    """Mark as missing what nobody answered in time, in one transaction; says how many it marked."""
    with write_transaction():
        tallies = _locked_tallies(roster)
        answers = Answers.stored({silence.order for silence in silences})
        ledger = Ledger(answers.standings)
        rows = [
            _missing(roster, silence)
            for silence in silences
            if ledger.take(silence.order, silence.version, Standing(State.MISSING))
            in (Change.NEW, Change.ENDED)
        ]
        upsert(Observation, _MISSED, rows, key=_KEY, updated=("state",))
        shown = record_pairs(roster, tallies, ledger, answers, now)
        weigh_pairs(roster, tallies, ledger, answers, shown, now)
        _add_counts(tallies, ledger.counts, (), now)
        return len(rows)


def _locked_tallies(roster: Roster) -> dict[str, Tally]:
    """The launch's tallies by version, made where there is none, locked until the commit."""
    locked = _tallies(roster)
    if roster.roles.keys() <= locked.keys():
        return locked
    Tally.objects.bulk_create(
        [
            Tally(launch=roster.launch, version=version, role=role)
            for version, role in roster.roles.items()
        ],
        ignore_conflicts=True,
    )
    return _tallies(roster)


def _tallies(roster: Roster) -> dict[str, Tally]:
    locked = read_objects(Tally, "launch = %s ORDER BY id", [roster.launch.hex], lock=True)
    return {tally.version: tally for tally in locked}


_KEY = ("order", "version")
_OBSERVED = (
    "state", "late", "build", "worker", "delivery", "placed_at", "received_at", "finished_at",
    "queue_ms", "handling_ms", "result", "error_type", "error_message", "event_ids",
)  # fmt: skip
_WRITTEN = ("launch", "order", "version", "role", *_OBSERVED)


def _observation(roster: Roster, event: Event, *, late: bool) -> Row:
    error = event.error
    return (
        roster.launch,
        event.order,
        event.version,
        event.role.value,
        event.kind.value,
        late,
        storable(event.build),
        storable(event.worker),
        event.delivery,
        event.placed_at,
        event.received_at,
        event.finished_at,
        event.queue_ms,
        event.handling_ms,
        msgspec.json.encode(event.result).decode() if event.result is not None else "",
        storable(error.type) if error else "",
        storable(error.message) if error else "",
        None if event.kind is _RECEIVED else _text([event.event_id]),
    )


def _note_repeats(roster: Roster, repeats: Iterable[Event], ledger: Ledger) -> None:
    """Keep the ids of repeats beside the answer that counts: what is delivered again is known."""
    rows = [
        (
            *_observation(roster, one, late=False)[:-1],
            _text(ledger.event_ids[one.order, one.version]),
        )
        for one in repeats
    ]
    upsert(Observation, _WRITTEN, rows, key=_KEY, updated=("event_ids",))


def _text(event_ids: Sequence[str]) -> str:
    return msgspec.json.encode(event_ids).decode()


_MISSED = (
    "launch", "order", "version", "role", "state", "placed_at", "late", "delivery",
    "build", "worker", "result", "error_type", "error_message",
)  # fmt: skip


def _missing(roster: Roster, silence: Silence) -> Row:
    role = roster.roles[silence.version].value
    known = (roster.launch, silence.order, silence.version, role)
    return (*known, State.MISSING.value, silence.placed_at, False, 1, "", "", "", "", "")


def _note_builds(tallies: Mapping[str, Tally], events: Sequence[Event], now: datetime) -> None:
    """Note which builds are at work: before orders are weighed, as silence belongs to one, too."""
    for version, build in dict.fromkeys((event.version, event.build) for event in events):
        tally = tallies[version]
        tally.builds = heard_of(tally.builds, storable(build), now.timestamp())
    for event in events:
        tallies[event.version].build = storable(event.build)


_TALLIED = (
    *(one.name for one in fields(Counts)), "matrix", "sketch", "newest_at", "ended_until", "build",
    "builds",
)  # fmt: skip


def _add_counts(
    tallies: Mapping[str, Tally],
    counts: Mapping[str, Counts],
    events: Sequence[Event],
    now: datetime,
) -> None:
    """Add to the tallies and save them; the last event heard gives a version's age.

    Age is by our clock, and no order was placed after now: kitchens' clocks may be wrong.
    """
    for event in events:
        tally = tallies[event.version]
        tally.newest_at = now
        if event.kind is not _RECEIVED and event.placed_at is not None:
            placed_at = min(event.placed_at, now)
            tally.ended_until = max(placed_at, tally.ended_until or placed_at)
    for version, added in counts.items():
        for name, number in asdict(added).items():
            setattr(tallies[version], name, getattr(tallies[version], name) + number)
    changed = [tallies[version] for version in counts]
    update(Tally, _TALLIED, [[getattr(one, name) for name in (*_TALLIED, "id")] for one in changed])


def _add_times(
    roster: Roster, tallies: Mapping[str, Tally], ends: Sequence[Event], now: datetime
) -> None:
    """Add the handling times of handled orders to the tallies' sketches and to the time slices."""
    times_ms: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    failed: defaultdict[tuple[str, int], int] = defaultdict(int)
    for event in ends:
        where = (event.version, _slice_start(event, now))
        if event.kind is EventKind.HANDLED and event.handling_ms is not None:
            times_ms[where].append(event.handling_ms)
        else:
            failed[where] += 1
    handled = {where: LogHistogram.of(times) for where, times in times_ms.items()}
    for (version, _), times in handled.items():
        whole = LogHistogram.from_json(tallies[version].sketch)
        whole.merge(times)
        tallies[version].sketch = whole.to_json()
    _write_slices(roster, handled, failed)


_SLICE_KEY = ("launch", "start", "version")
_SLICED = ("handled", "failed", "p50", "p95", "p99", "sketch")


def _write_slices(
    roster: Roster,
    handled: Mapping[tuple[str, int], LogHistogram],
    failed: Mapping[tuple[str, int], int],
) -> None:
    touched = {*handled, *failed}
    starts = {start for _, start in touched}
    where = f"launch = %s AND {among('start', starts)}"
    stored = read_objects(TimeSlice, where, [roster.launch.hex, *starts]) if starts else []
    slices = {(one.version, one.start): one for one in stored}
    for version, start in touched:
        one = slices.setdefault(
            (version, start), TimeSlice(launch=roster.launch, version=version, start=start)
        )
        times = LogHistogram.from_json(one.sketch)
        new = handled.get((version, start), LogHistogram())
        times.merge(new)
        one.sketch = times.to_json()
        one.handled += sum(new.counts.values())
        one.failed += failed.get((version, start), 0)
        one.p50, one.p95, one.p99 = times.quantiles(0.5, 0.95, 0.99)
    changed = [slices[where] for where in touched]
    upsert(
        TimeSlice,
        (*_SLICE_KEY, *_SLICED),
        [[getattr(one, name) for name in (*_SLICE_KEY, *_SLICED)] for one in changed],
        key=_SLICE_KEY,
        updated=_SLICED,
    )


def _slice_start(event: Event, now: datetime) -> int:
    finished = event.finished_at or now
    if abs((finished - now).total_seconds()) > _MAX_CLOCK_ERROR_S:
        finished = now
    return int(finished.timestamp()) // SLICE_S * SLICE_S
