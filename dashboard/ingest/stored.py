"""Reads what is stored as the fold's records, and writes the records that changed.

All writing is in the transaction that is open; ids come with the records.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import F

from dashboard import models
from dashboard.comparison.judgement import Group, GroupKind
from dashboard.comparison.outcome import Decision, Outcome, State
from dashboard.database import atomic
from dashboard.fold.admission import EventMessage, Stub
from dashboard.fold.evidence import key_of
from dashboard.fold.records import (
    Changes,
    Comparison,
    DiscrepancyRecord,
    Epoch,
    EvidenceRecord,
    Key,
    LaunchState,
    Loss,
    Members,
    NextIds,
    ObservationRecord,
    OrderRecord,
    ParticipantRecord,
    Report,
    SeenAgain,
    SignatureRecord,
    Slice,
)
from dashboard.ingest.evidence import as_text, coverage_of, save_blocks, timing_of, whole_tally
from dashboard.ingest.stream import Roster
from dashboard.models import ObserverState
from dashboard.models.sql import Row, among, read, update, upsert
from dashboard.verdict.capacity import Arrivals
from dashboard.verdict.hindsight import Hindsight
from dashboard.verdict.live_effect import LiveEffect

_ORDER = (
    "id", "order_id", "launch", "number", "placed_at", "sent_at", "arrived_at", "body", "label",
    "size", "categories", "sample",
)  # fmt: skip
_OBSERVED = (
    "state", "late", "build", "worker", "delivery", "received_at", "finished_at", "queue_ms",
    "handling_ms", "result", "error_type", "error_message", "event_ids", "judged_at", "exception",
    "signature", "members", "slower",
)  # fmt: skip
_OBSERVATION = ("id", "order_id", "participant_id", *_OBSERVED)
#: Columns of an order that are still needed once it is stored.
_KNOWN = tuple(name for name in _ORDER if name not in ("body", "label"))
_SLICE = ("version", "start", "handled", "failed", "times")
_UUID_LENGTH = 36
_pending_in = msgspec.json.Decoder(tuple[EventMessage, ...]).decode
_ids_in = msgspec.json.Decoder(tuple[str, ...]).decode


@dataclass(kw_only=True)
class Loaded:
    """A launch in memory, with its participants' ids by version."""

    state: LaunchState
    participants: dict[str, int]

    def after(self, changes: Changes) -> Loaded:
        return replace(self, state=changes.applied_to(self.state))


def next_ids(state: models.ObserverState) -> NextIds:
    return NextIds(
        order=max(state.first_order, state.swept_until + 1, _following(models.ObservedOrder)),
        observation=max(state.first_observation, _following(models.Observation)),
        discrepancy=_following(models.Discrepancy),
        signature=_following(models.Signature),
        evidence=_following(models.Evidence),
    )


def _following(model: Any) -> int:
    newest: int | None = model.objects.order_by("-pk").values_list("pk", flat=True).first()
    return (newest or 0) + 1


def load(roster: Roster, description: str = "") -> Loaded:
    """Read everything kept of a launch except its orders; creates missing participants.

    Evidence with another ``description`` function is kept but not continued.
    """
    rows = {one.version: one for one in models.Participant.objects.filter(launch=roster.launch)}
    for version in roster.roles.keys() - rows.keys():
        role = roster.roles[version].value
        rows[version] = models.Participant.objects.create(
            launch=roster.launch, version=version, role=role
        )
    evidence = models.Evidence.objects.filter(launch=roster.launch).order_by("id")
    discrepancies = models.Discrepancy.objects.filter(launch=roster.launch).order_by("id")
    signatures = models.Signature.objects.filter(launch=roster.launch).order_by("id")
    state = LaunchState(
        launch=roster.launch,
        control=roster.control,
        participants={name: _participant(rows[name], role) for name, role in roster.roles.items()},
        discrepancies={one.pk: _discrepancy(one) for one in discrepancies},
        signatures={one.pk: _signature(one) for one in signatures},
        evidence={
            one.pk: record
            for one in evidence
            # Evidence of another format is also kept, but not continued.
            if key_of((record := _evidence(one, description)).epoch, record.timing) == one.key
        },
        bugs=_bugs(roster),
    )
    return Loaded(state=state, participants={name: one.pk for name, one in rows.items()})


def _participant(row: models.Participant, role: Any) -> ParticipantRecord:
    values = {name: getattr(row, name) for name in _COUNTED}
    values["builds"] = tuple((build, first, last) for build, first, last in row.builds)
    values["times"] = _buckets(row.times)
    values["hindsight"] = hindsight_of(row)
    values["live_effect"] = live_effect_of(row)
    values["arrivals"] = arrivals_of(row)
    values["accounted_from"] = row.accounted_from
    return ParticipantRecord(version=row.version, role=role, **values)


def hindsight_of(row: models.Participant) -> Hindsight:
    return msgspec.convert(row.hindsight, Hindsight)


def live_effect_of(row: models.Participant) -> LiveEffect:
    return msgspec.convert(row.live_effect, LiveEffect, str_keys=True, strict=False)


def arrivals_of(row: models.Participant) -> Arrivals:
    return msgspec.convert(row.arrivals, Arrivals, str_keys=True, strict=False)


def _buckets(stored: Mapping[str, int]) -> dict[int, int]:
    return {int(bucket): number for bucket, number in stored.items()}


def _discrepancy(row: models.Discrepancy) -> DiscrepancyRecord:
    return DiscrepancyRecord(
        id=row.pk,
        version=row.version,
        group=Group(GroupKind(row.kind), row.path),
        count=row.count,
        ignored=row.ignored,
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        last_build=row.last_build,
        control_value=row.control_value,
        version_value=row.version_value,
        state=Decision(row.state),
        decided_at=row.decided_at,
        examples=tuple((number, order_id) for number, order_id in row.examples),
    )


def _signature(row: models.Signature) -> SignatureRecord:
    return SignatureRecord(
        id=row.pk,
        version=row.version,
        key=row.key,
        members=Members(frozenset(row.counted), frozenset(row.ignored)),
        folded=row.folded,
        pairs=row.pairs,
    )


def _evidence(row: models.Evidence, description: str) -> EvidenceRecord:
    builds = row.control_build, row.version_build, row.baseline_build
    return EvidenceRecord(
        id=row.pk,
        epoch=Epoch(row.version, *builds, description),
        timing=timing_of(row),
        started_at=row.started_at,
        newest_at=row.newest_at,
        tally=whole_tally(row),
        coverage=coverage_of(row),
        revision=row.revision,
    )


def _bugs(roster: Roster) -> frozenset[tuple[str, Group]]:
    """The bugs of these versions, by the newest launch that showed each of them."""
    rows = models.Discrepancy.objects.filter(version__in=roster.roles)
    bugs = rows.filter(state=Decision.BUG).values_list("version", "kind", "path")
    paths = {path for _, _, path in bugs}
    newest = {
        (version, Group(GroupKind(kind), path)): state
        for version, kind, path, state in rows.filter(path__in=paths)
        .order_by("id")
        .values_list("version", "kind", "path", "state")
    }
    return frozenset(key for key, state in newest.items() if state == Decision.BUG)


def orders(order_ids: Collection[str]) -> dict[str, OrderRecord]:
    """The stored orders of these ids, without bodies."""
    if not order_ids:
        return {}
    rows = read(models.ObservedOrder, _KNOWN, among("order_id", order_ids), list(order_ids))
    return {row[1]: _order(row) for row in rows}


def observations(launch: Loaded, known: Iterable[OrderRecord]) -> dict[Key, ObservationRecord]:
    order_ids = {one.id: one.order_id for one in known}
    if not order_ids:
        return {}
    versions = {pk: version for version, pk in launch.participants.items()}
    rows = read(models.Observation, _OBSERVATION, among("order_id", order_ids), list(order_ids))
    return {
        (order_ids[row[1]], version): _observation(row, order_ids[row[1]], version, launch.state)
        for row in rows
        if (version := versions.get(row[2])) is not None
    }


def losses(order_ids: Collection[str]) -> dict[Key, Loss]:
    """The dead letters that name these orders."""
    if not order_ids:
        return {}
    fields = ("order_id", "version", "cause")
    rows = read(models.LostOrder, fields, among("order_id", order_ids), list(order_ids))
    return {(order_id, version): Loss(cause) for order_id, version, cause in rows}


def write_losses(lost: Mapping[Key, Loss], at: datetime) -> None:
    upsert(
        models.LostOrder,
        ("order_id", "version", "cause", "seen_at"),
        [(*key, cause.value, at) for key, cause in lost.items()],
        key=("order_id", "version"),
        updated=("cause",),
    )


def orders_after(cursor: int, at_most: int) -> list[OrderRecord]:
    """The next orders by arrival, without bodies."""
    rows = read(models.ObservedOrder, _KNOWN, f"id > %s ORDER BY id LIMIT {at_most}", [cursor])
    return [_order(row) for row in rows]


def orders_of(launch: UUID, cursor: int, until: int, at_most: int) -> list[OrderRecord]:
    """The next orders of a launch by arrival, up to an id, without bodies."""
    where = f"launch = %s AND id > %s AND id <= %s ORDER BY id LIMIT {at_most}"
    rows = read(models.ObservedOrder, _KNOWN, where, [launch.hex, cursor, until])
    return [_order(row) for row in rows]


def slices(launch: UUID, needed: Collection[tuple[str, int]]) -> dict[tuple[str, int], Slice]:
    """The stored ones of these slices, by version and start."""
    if not needed:
        return {}
    starts = {start for _, start in needed}
    where = f"{among('start', starts)} AND launch = %s"
    rows = read(models.TimeSlice, _SLICE, where, [*starts, launch.hex])
    return {
        (version, start): Slice(
            version=version, start=start, handled=handled, failed=failed, times=_buckets(times)
        )
        for version, start, handled, failed, times in rows
        if (version, start) in needed
    }


def stubs(order_ids: Collection[str]) -> dict[str, Stub]:
    if not order_ids:
        return {}
    rows = models.StubOrder.objects.filter(order_id__in=order_ids)
    return {row.order_id: _stub(row) for row in rows}


def overdue_stubs(before: datetime, at_most: int) -> list[Stub]:
    """The oldest stubs, up to a time."""
    return [
        _stub(row)
        for row in models.StubOrder.objects.filter(since__lte=before).order_by("since")[:at_most]
    ]


def _stub(row: models.StubOrder) -> Stub:
    return Stub(order_id=row.order_id, since=row.since, pending=_pending_in(bytes(row.pending)))


def replayed(order_ids: Collection[str]) -> dict[str, tuple[UUID, str]]:
    """Launch and version that each of these orders was replayed for, if it was."""
    ids = [as_uuid for one in order_ids if (as_uuid := _uuid(one)) is not None]
    if not ids:
        return {}
    rows = models.ReplayedOrder.objects.filter(uuid__in=ids)
    return {
        str(order): (launch, version)
        for order, launch, version in rows.values_list("uuid", "replay__launch", "replay__version")
    }


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == _UUID_LENGTH else None
    except ValueError:
        return None


def _order(row: Sequence[Any]) -> OrderRecord:
    values = dict(zip(_KNOWN, row, strict=True))
    values["categories"] = tuple(values["categories"])
    values["sample"] = frozenset(values["sample"])
    return OrderRecord(**values)


def _observation(row: Any, order_id: str, version: str, state: LaunchState) -> ObservationRecord:
    one = dict(zip(_OBSERVATION, row, strict=True))
    event_ids = _ids_in(one["event_ids"]) if one["event_ids"] else ()
    return ObservationRecord(
        id=one["id"],
        order=one["order_id"],
        version=version,
        state=State(one["state"]),
        late=one["late"],
        report=_report(one, order_id, version, event_ids),
        event_ids=event_ids,
        comparison=_comparison(one, state),
    )


def _report(
    one: Mapping[str, Any], order_id: str, version: str, event_ids: tuple[str, ...]
) -> Report | None:
    """The report that counts; None if the version sent none."""
    if one["received_at"] is None:
        return None
    has_ended = one["finished_at"] is not None
    return Report(
        event_id=event_ids[0] if event_ids else "",
        order_id=order_id,
        version=version,
        state=State(one["state"]) if has_ended else State.RECEIVED,
        received_at=one["received_at"],
        finished_at=one["finished_at"],
        build=one["build"],
        worker=one["worker"],
        delivery=one["delivery"],
        queue_ms=one["queue_ms"],
        handling_ms=one["handling_ms"],
        result=bytes(one["result"]),
        error_type=one["error_type"],
        error_message=one["error_message"],
    )


def members_in(text: str) -> Members:
    """Parse an observation's ``members``."""
    counted, ignored = msgspec.json.decode(text)
    return Members(frozenset(counted), frozenset(ignored))


def _comparison(one: Mapping[str, Any], state: LaunchState) -> Comparison | None:
    if one["judged_at"] is None:
        return None
    members = Members()
    if one["members"]:
        members = members_in(one["members"])
    elif one["signature"] is not None:
        members = state.signatures[one["signature"]].members
    return Comparison(
        judged_at=one["judged_at"],
        outcome=Outcome(one["exception"]) if one["exception"] else Outcome.AGREE,
        signature=one["signature"],
        members=members,
        slower=one["slower"],
    )


def write(launch: Loaded, changes: Changes, at: datetime) -> None:
    state = launch.state
    upsert(
        models.ObservedOrder,
        _ORDER,
        [_order_row(one) for one in changes.orders],
        key=("id",),
        updated=("label",),
    )
    signatures = {**state.signatures, **changes.signatures}
    upsert(
        models.Observation,
        _OBSERVATION,
        [_observation_row(one, launch.participants, signatures) for one in changes.observations],
        key=("id",),
        updated=_OBSERVED,
    )
    _write_participants(launch, changes)
    _write_slices(state.launch, changes.slices.values())
    _write_discrepancies(state, changes, at)
    _write_signatures(state.launch, changes)
    _write_evidence(state, changes)


_COUNTED = (
    "build", "builds", "orders", "handled", "failed", "missing", "late", "repeats", "pairs",
    "matrix", "times", "newest_at", "ended_until", "sampled", "account", "hindsight",
    "live_effect", "arrivals",
)  # fmt: skip


def _write_participants(launch: Loaded, changes: Changes) -> None:
    rows = []
    for name, one in changes.participants.items():
        values = {**msgspec.structs.asdict(one), "times": _as_json(one.times)}
        rows.append([*(values[field] for field in _COUNTED), launch.participants[name]])
    update(models.Participant, _COUNTED, rows)


def _as_json(times: Mapping[int, int]) -> dict[str, int]:
    return {str(bucket): number for bucket, number in times.items()}


_SLICE_KEY = ("launch", "start", "version")
_SLICED = ("handled", "failed", "p50", "p95", "p99", "times")


def _write_slices(launch: UUID, changed: Iterable[Slice]) -> None:
    rows = [
        [
            *(launch, one.start, one.version, one.handled, one.failed),
            *one.histogram.quantiles(0.5, 0.95, 0.99),
            _as_json(one.times),
        ]
        for one in changed
    ]
    upsert(models.TimeSlice, (*_SLICE_KEY, *_SLICED), rows, key=_SLICE_KEY, updated=_SLICED)


_SHOWN = (
    "count", "ignored", "first_seen_at", "last_seen_at", "last_build", "control_value",
    "version_value", "examples",
)  # fmt: skip
_NAMED = ("id", "launch", "version", "kind", "path", "state", "revision", "decided_at")


def _write_discrepancies(state: LaunchState, changes: Changes, at: datetime) -> None:
    """Write all counts; write what reviews own only for new discrepancies."""
    new, known = [], []
    for pk, one in changes.discrepancies.items():
        values = [*(getattr(one, name) for name in _SHOWN[:-1]), one.examples]
        if pk in state.discrepancies:
            known.append([*values, pk])
        else:
            revision = int(one.state is Decision.BUG)
            names = one.version, one.group.kind.value, one.group.path
            new.append(
                [pk, state.launch, *names, one.state.value, revision, one.decided_at, *values]
            )
    upsert(models.Discrepancy, (*_NAMED, *_SHOWN), new, key=("id",), updated=_SHOWN)
    update(models.Discrepancy, _SHOWN, known)
    _review(
        [
            pk
            for pk, one in changes.discrepancies.items()
            if pk not in state.discrepancies and one.state is Decision.BUG
        ],
        at,
    )
    for seen in changes.seen_again:
        _reopen(seen, at)


def _review(bugs: Iterable[int], at: datetime) -> None:
    models.Review.objects.bulk_create(
        [
            models.Review(
                discrepancy_id=pk,
                decision=Decision.BUG,
                note="A bug of an earlier launch that nothing has shown to be fixed.",
                decided_at=at,
                revision=1,
            )
            for pk in bugs
        ],
        ignore_conflicts=True,  # a rebuild finds the existing one
    )


def _reopen(seen: SeenAgain, at: datetime) -> None:
    """Reopen a discrepancy closed as fixed, unless a reviewer decided meanwhile."""
    rows = models.Discrepancy.objects.filter(pk=seen.discrepancy, state=Decision.FIXED)
    if not rows.update(state=Decision.OPEN, revision=F("revision") + 1, decided_at=at):
        return
    row = models.Discrepancy.objects.get(pk=seen.discrepancy)
    models.Review.objects.create(
        discrepancy=row,
        decision=Decision.OPEN,
        note=f"Seen again after it was closed, in build {seen.build or 'without a name'}.",
        decided_at=at,
        revision=row.revision,
    )


_SIGNED = ("id", "launch", "version", "key", "counted", "ignored", "folded", "pairs")


def _write_signatures(launch: UUID, changes: Changes) -> None:
    rows = [
        [
            *(one.id, launch, one.version, one.key),
            *(sorted(one.members.counted), sorted(one.members.ignored)),
            *(one.folded, one.pairs),
        ]
        for one in changes.signatures.values()
    ]
    upsert(models.Signature, _SIGNED, rows, key=("id",), updated=("pairs",))


_EPOCH = ("id", "launch", "version", "control_build", "version_build", "timing", "started_at",
          "settled", "history", "decided", "passed")  # fmt: skip
_GROWN = ("key", "baseline_build", "newest_at", "coverage", "revision", "late", "lost", "bad")


def _write_evidence(state: LaunchState, changes: Changes) -> None:
    new, known, blocks = [], [], []
    for pk, one in changes.evidence.items():
        tally, epoch = one.tally, one.epoch
        grown = (
            *(key_of(epoch, one.timing), epoch.baseline_build, one.newest_at),
            *(as_text(one.coverage.to_json()), one.revision, tally.late, tally.lost, tally.bad),
        )
        if pk in state.evidence:
            known.append([*grown, pk])
        else:
            builds = epoch.control_build, epoch.version_build
            begun = (pk, state.launch, epoch.version, *builds, asdict(one.timing), one.started_at)
            new.append([*begun, "", {}, {}, {}, *grown])
        blocks += [(pk, number, tally.blocks[number]) for number in changes.blocks[pk]]
    # Updates first: they may free a key that a new row takes.
    update(models.Evidence, _GROWN, known)
    upsert(models.Evidence, (*_EPOCH, *_GROWN), new, key=("id",), updated=("late",))
    save_blocks(blocks)


def write_stubs(changed: Iterable[Stub], filled: Collection[str]) -> None:
    """Write changed stubs; delete those whose order arrived or was given up."""
    rows = [[one.order_id, one.since, msgspec.json.encode(one.pending)] for one in changed]
    upsert(
        models.StubOrder,
        ("order_id", "since", "pending"),
        rows,
        key=("order_id",),
        updated=("pending",),
    )
    if filled:
        models.StubOrder.objects.filter(order_id__in=filled).delete()


def _order_row(one: OrderRecord) -> Row:
    values = msgspec.structs.asdict(one)
    values["categories"], values["sample"] = list(one.categories), sorted(one.sample)
    return [values[name] for name in _ORDER]


def _observation_row(
    one: ObservationRecord,
    participants: Mapping[str, int],
    signatures: Mapping[int, SignatureRecord],
) -> Row:
    report, comparison = one.report, one.comparison
    reported = msgspec.structs.asdict(report) if report is not None else _NO_REPORT
    event_ids = msgspec.json.encode(one.event_ids).decode() if one.event_ids else None
    judged: list[Any] = [None, None, None, "", None]
    if comparison is not None:
        signature = comparison.signature
        is_folded = signature is not None and signatures[signature].folded
        judged = [
            comparison.judged_at,
            None if comparison.outcome is Outcome.AGREE else comparison.outcome.value,
            signature,
            as_text([sorted(comparison.members.counted), sorted(comparison.members.ignored)])
            if is_folded
            else "",
            comparison.slower,
        ]
    return [
        one.id,
        one.order,
        participants[one.version],
        one.state.value,
        one.late,
        *(reported[name] for name in _REPORTED),
        event_ids,
        *judged,
    ]


_REPORTED = (
    "build", "worker", "delivery", "received_at", "finished_at", "queue_ms", "handling_ms",
    "result", "error_type", "error_message",
)  # fmt: skip
_NO_REPORT: Mapping[str, Any] = {
    **dict.fromkeys(_REPORTED, None),
    **dict.fromkeys(("build", "worker", "error_type", "error_message"), ""),
    "delivery": 1,
    "result": b"",
}


#: Newest orders that the observer keeps in memory.
RECENT = 20_000


@contextmanager
def changing() -> Iterator[None]:
    """A transaction that changes discrepancies, rules or counters: the observer's next batch waits
    for it, and then reads its state again."""
    with atomic():
        if not ObserverState.objects.filter(pk=1).update(changes=F("changes") + 1):
            ObserverState.objects.get_or_create(pk=1)
        yield


def locked_state() -> ObserverState:
    """The observer's row, locked until the transaction ends."""
    row, _ = ObserverState.objects.select_for_update().get_or_create(pk=1)
    return row
