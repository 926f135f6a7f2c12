"""Adds the orders that a batch completed to the evidence of each dark version.

An order counts once these have finished it or missed the deadline: the control, the version itself,
and for a candidate the first baseline if it was sent the order. Later answers correct the board but
are no evidence.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec

from dashboard.comparison.folding import counterparts
from dashboard.comparison.outcome import State, build_at
from dashboard.fold.discrepancies import Discrepancies
from dashboard.fold.observations import Observations
from dashboard.fold.records import (
    Epoch,
    EvidenceRecord,
    Key,
    LaunchState,
    Members,
    NextIds,
    ObservationRecord,
    OrderRecord,
    ParticipantRecord,
)
from dashboard.verdict.blocks import Timing
from dashboard.verdict.coverage import Coverage, shapes_of
from dashboard.verdict.evidence import Tally
from dashboard.verdict.paired_order import OrderStatus, PairedOrder, Result
from dashboard.verdict.segments import segments_of
from kitchen_worker.contract.messages import TIMED_OUT, Role

#: Format of the stored sums; another format starts new evidence.
FORMAT = 2
_RECEIVED, _MISSING = State.RECEIVED, State.MISSING
_NONE: frozenset[int] = frozenset()


class _Due(NamedTuple):
    """An order that all versions needed for this evidence have ended."""

    order: OrderRecord
    #: The control, the version, and the baseline if it counts.
    names: tuple[str, ...]
    epoch: Epoch


class _Counted(NamedTuple):
    """An order that counts, and its shapes; None for the order if an answer was late."""

    at: float
    order: PairedOrder | None
    shapes: tuple[str, ...] = ()


class AddedEvidence(NamedTuple):
    records: dict[int, EvidenceRecord]
    blocks: dict[int, frozenset[int]]


class EvidenceFold:
    """Applies a batch's completed orders to the evidence of one launch."""

    def __init__(
        self,
        state: LaunchState,
        participants: Mapping[str, ParticipantRecord],
        seen: Observations,
        discrepancies: Discrepancies,
        description: str,
    ) -> None:
        """``participants`` have the active builds; completed pairs are already compared."""
        self._state, self._participants = state, participants
        self._description = description
        self._seen, self._discrepancies = seen, discrepancies
        self._counterparts: dict[tuple[str, frozenset[int]], frozenset[int]] = {}

    def add(self, timing: Timing, ids: NextIds, at: datetime) -> AddedEvidence:
        """Add the completed orders; new epochs get this timing."""
        counted: defaultdict[Epoch, list[_Counted]] = defaultdict(list)
        for due in self._due():
            counted[due.epoch].append(self._counted(due))
        records = {one.id: one for one in self._continued()}
        blocks = dict.fromkeys(records, frozenset[int]())
        known = {**self._state.evidence, **records}
        stored = {(one.epoch.version, key_of(one.epoch, one.timing)): one for one in known.values()}
        for epoch, orders in counted.items():
            record = stored.get((epoch.version, key_of(epoch, timing)))
            if record is None:
                record = _begun(epoch, timing, ids, at)
            one, numbers = _added(record, orders, at)
            records[one.id], blocks[one.id] = one, numbers
        return AddedEvidence(records, blocks)

    def _continued(self) -> Iterator[EvidenceRecord]:
        """Candidates' evidence that began before the baseline's build was known: it now belongs to
        that build, unless that build has its own."""
        baselines = [one for one in self._participants.values() if one.role is Role.BASELINE]
        if not baselines or not baselines[0].builds:
            return
        build, known_from, _ = baselines[0].builds[0]
        control = self._participants[self._state.control].build
        known = {(one.epoch, one.timing) for one in self._state.evidence.values()}
        for one in self._state.evidence.values():
            version = self._participants.get(one.epoch.version)
            epoch = msgspec.structs.replace(one.epoch, baseline_build=build)
            if (
                version is not None
                and version.role is Role.CANDIDATE
                and one.epoch
                == Epoch(version.version, control, version.build, "", self._description)
                and one.started_at.timestamp() <= known_from
                and (epoch, one.timing) not in known
            ):
                yield msgspec.structs.replace(one, epoch=epoch)

    def _due(self) -> Iterator[_Due]:
        control = self._state.control
        baselines = [name for name, one in self._participants.items() if one.role is Role.BASELINE]
        for order_id in dict.fromkeys(order_id for order_id, _ in self._seen.after):
            order = self._seen.orders[order_id]
            for version in order.sample & self._participants.keys():
                is_candidate = self._participants[version].role is Role.CANDIDATE
                baseline = baselines[:1] if is_candidate else []
                names = control, version, *(one for one in baseline if one in order.sample)
                if all(map(self._has_ended, ((order_id, name) for name in names))) and any(
                    self._is_new((order_id, name)) for name in names
                ):
                    epoch = Epoch(
                        version,
                        self._build(order, control),
                        self._build(order, version),
                        self._build(order, baseline[0]) if baseline else "",
                        self._description,
                    )
                    yield _Due(order, names, epoch)

    def _has_ended(self, key: Key) -> bool:
        one = self._seen.after.get(key)
        return one is not None and one.state is not _RECEIVED

    def _is_new(self, key: Key) -> bool:
        return _end(self._seen.after.get(key)) != _end(self._seen.before.get(key))

    def _is_late(self, key: Key) -> bool:
        before = self._seen.before.get(key)
        return before is not None and before.state is not _RECEIVED

    def _build(self, order: OrderRecord, version: str) -> str:
        """The build an order counts for: the one that answered, else the one active when the order
        was sent, so that a missing answer isn't blamed on a later build."""
        one = self._seen.after.get((order.order_id, version))
        if one is not None and one.state is not _RECEIVED and one.report and one.report.build:
            return one.report.build
        participant = self._participants.get(version)
        if participant is None:
            return ""
        return build_at(participant.builds, order.sent_at.timestamp()) or participant.build

    def _counted(self, due: _Due) -> _Counted:
        order, names, epoch = due
        at = order.sent_at.timestamp()
        keys = [(order.order_id, name) for name in names]
        if all(map(self._is_late, keys)):
            return _Counted(at, None)
        control, candidate, *baseline = [_result(self._seen.after[key]) for key in keys]
        noise = self._members(keys[2]).counted if baseline else _NONE
        paired = PairedOrder(
            placed_at=at,
            control=control,
            candidate=candidate,
            baseline=baseline[0] if baseline else None,
            shown=self._members(keys[1]).counted,
            noise=self._named_as(epoch.version, noise),
            segments=segments_of(order.categories, order.size, order.sent_at.hour),
        )
        both = control.answered and candidate.answered
        return _Counted(at, paired, shapes_of(order.categories, order.size) if both else ())

    def _members(self, key: Key) -> Members:
        comparison = self._seen.after[key].comparison
        return comparison.members if comparison else Members()

    def _named_as(self, version: str, noise: frozenset[int]) -> frozenset[int]:
        """A baseline's discrepancies, by the ids of the version's matching ones."""
        if not noise:
            return noise
        known = self._counterparts.get((version, noise))
        if known is None:
            own = self._discrepancies.groups_of(version)
            groups = {pk: self._discrepancies.group_of(pk) for pk in noise}
            same = counterparts(own.keys(), set(groups.values()))
            known = frozenset(
                own[same[group]] if group in same else pk for pk, group in groups.items()
            )
            self._counterparts[version, noise] = known
        return known


def _begun(epoch: Epoch, timing: Timing, ids: NextIds, at: datetime) -> EvidenceRecord:
    ids.evidence += 1
    return EvidenceRecord(
        id=ids.evidence - 1,
        epoch=epoch,
        timing=timing,
        started_at=at,
        newest_at=at,
        tally=Tally(timing),
        coverage=Coverage(),
    )


@lru_cache(maxsize=64)
def key_of(epoch: Epoch, timing: Timing) -> str:
    """Digest of an epoch and its timing."""
    builds = epoch.control_build, epoch.version_build, epoch.baseline_build
    described = [epoch.description] if epoch.description else []
    text = msgspec.json.encode([FORMAT, *builds, *described, asdict(timing)])
    return hashlib.sha256(text).hexdigest()


def _added(
    record: EvidenceRecord, orders: list[_Counted], at: datetime
) -> tuple[EvidenceRecord, frozenset[int]]:
    """The evidence with these orders added, and the numbers of the changed blocks."""
    counting = [one.order for one in orders if one.order is not None]
    numbers = frozenset(record.timing.block_of(one.at) for one in orders)
    tally = _copied(record.tally, numbers)
    tally.late += len(orders) - len(counting)
    all_counted = tally.add_all(counting) == len(counting)
    until = tally.closed_until
    is_shown = not all_counted or (until is not None and min(numbers) < until)
    added = msgspec.structs.replace(
        record,
        tally=tally,
        coverage=_covered(record.coverage, orders),
        revision=record.revision + is_shown,
        # Late answers don't prove that their builds are still active.
        newest_at=at if counting else record.newest_at,
    )
    return added, numbers & tally.blocks.keys()


def _copied(tally: Tally, numbers: frozenset[int]) -> Tally:
    """A copy of a tally whose given blocks may be changed; the rest is shared."""
    blocks = dict(tally.blocks)
    for number in numbers & blocks.keys():
        blocks[number] = blocks[number].copy()
    return replace(tally, blocks=blocks)


def _covered(coverage: Coverage, orders: Iterable[_Counted]) -> Coverage:
    new = [(one.shapes, one.order.shown) for one in orders if one.order and one.shapes]
    if not new:
        return coverage
    covered = coverage.copy()
    covered.add_all(new)
    return covered


def _end(one: ObservationRecord | None) -> tuple[State, float | None] | None:
    if one is None:
        return None
    return one.state, one.report.handling_ms if one.report else None


def _result(one: ObservationRecord) -> Result:
    """A missing answer is a timeout if the version had started the order."""
    report = one.report
    if one.state is _MISSING or report is None:
        return Result(OrderStatus.TIMEOUT if report is not None else OrderStatus.MISSING)
    if one.state is State.HANDLED:
        return Result(OrderStatus.OK, report.handling_ms)
    timed_out = report.error_type == TIMED_OUT
    return Result(OrderStatus.TIMEOUT if timed_out else OrderStatus.FAILED, report.handling_ms)
