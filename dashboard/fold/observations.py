"""Updates the observations of a batch's orders from reports and from missed deadlines."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from dashboard.comparison.outcome import State, StateChange, state_change
from dashboard.fold.records import Key, NextIds, ObservationRecord, OrderRecord, Report

#: Event ids kept for one order and version: the report that counts, and the last repeats.
REMEMBERED = 10
_RECEIVED, _MISSING = State.RECEIVED, State.MISSING


class ObservedPair(msgspec.Struct, frozen=True):
    """An order that both the control and another version have finished or missed."""

    order: OrderRecord
    control: ObservationRecord
    version: ObservationRecord
    #: The states before this batch, the control's first; None if one had not ended.
    was: tuple[State, State] | None

    @property
    def slower(self) -> bool | None:
        """Whether the version took longer; None unless both handled the order in a known time."""
        if not self.control.state is self.version.state is State.HANDLED:
            return None
        ours, theirs = time_of(self.control), time_of(self.version)
        return None if ours is None or theirs is None else theirs > ours


def time_of(one: ObservationRecord) -> float | None:
    """The handling time in ms; None where the version has not ended the order."""
    ended = one.report is not None and one.state not in (_RECEIVED, _MISSING)
    return one.report.handling_ms if ended and one.report else None


@dataclass
class Observations:
    """The observations of some orders of one launch, before and after a batch."""

    orders: Mapping[str, OrderRecord]
    before: Mapping[Key, ObservationRecord]
    ids: NextIds
    after: dict[Key, ObservationRecord] = field(init=False)
    #: Increments of each version's counters.
    counts: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    #: Reports that ended an order, late ones included.
    ends: list[Report] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.after = dict(self.before)

    def take(self, reports: Iterable[Report]) -> None:
        """Apply reports of known orders; a version's first end of an order counts."""
        for report in _without_superseded(list(reports)):
            key = report.order_id, report.version
            known = self.after.get(key)
            kind = self._change(key, report.state, report.event_id)
            if kind in (StateChange.REPEATED, StateChange.STALE):
                continue
            self.after[key] = ObservationRecord(
                id=known.id if known else self._next_id(),
                order=self.orders[report.order_id].id,
                version=report.version,
                state=report.state,
                late=kind is StateChange.LATE,
                report=report,
                event_ids=_remembered(known, report) if report.state is not _RECEIVED else (),
                comparison=known.comparison if known else None,
            )
            if report.state is not _RECEIVED:
                self.ends.append(report)

    def mark_missing(self, order: OrderRecord, version: str) -> bool:
        """Mark a version's answer as missing; returns whether that changes anything."""
        key = order.order_id, version
        known = self.after.get(key)
        if self._change(key, _MISSING) not in (StateChange.NEW, StateChange.ENDED):
            return False
        self.after[key] = (
            msgspec.structs.replace(known, state=_MISSING)
            if known
            else ObservationRecord(
                id=self._next_id(), order=order.id, version=version, state=_MISSING
            )
        )
        return True

    def changed(self) -> Iterator[ObservationRecord]:
        for key, one in self.after.items():
            if one is not self.before.get(key):
                yield one

    def pairs(self, control: str, others: Iterable[str]) -> list[ObservedPair]:
        """The pairs that this batch completed or changed; also updates the count of pairs."""
        found = []
        names = tuple(others)
        for order_id in dict.fromkeys(order_id for order_id, _ in self.after):
            ours = order_id, control
            for name in names:
                theirs = order_id, name
                was = _states(self.before.get(ours), self.before.get(theirs))
                now = _states(self.after.get(ours), self.after.get(theirs))
                if now is None or now == was:
                    continue
                self.counts[name]["pairs"] += _complete(now) - _complete(was)
                order = self.orders[order_id]
                found.append(ObservedPair(order, self.after[ours], self.after[theirs], was))
        return found

    def _change(self, key: Key, new: State, event_id: str = "") -> StateChange:
        """Classify a new state and count it, unless it changes nothing; a repeat counts as such."""
        known, counts = self.after.get(key), self.counts[key[1]]
        kind = state_change(known.state if known else None, new)
        if kind is StateChange.REPEATED and known is not None:
            if event_id in known.event_ids:
                return StateChange.STALE
            counts["repeats"] += 1
            first, *repeats = (*known.event_ids, event_id)
            self.after[key] = msgspec.structs.replace(
                known, event_ids=(first, *repeats[1 - REMEMBERED :])
            )
        if kind in (StateChange.REPEATED, StateChange.STALE):
            return kind
        counts["orders"] += kind is StateChange.NEW
        counts["missing"] += (new is _MISSING) - (kind is StateChange.LATE)
        counts["late"] += kind is StateChange.LATE
        counts["handled"] += new is State.HANDLED
        counts["failed"] += new is State.FAILED
        return kind

    def _next_id(self) -> int:
        self.ids.observation += 1
        return self.ids.observation - 1


def _without_superseded(reports: list[Report]) -> Iterator[Report]:
    """Drop `received` reports whose end is in the same batch: the end has all their data."""
    ended = {(one.order_id, one.version) for one in reports if one.state is not _RECEIVED}
    for one in reports:
        if one.state is not _RECEIVED or (one.order_id, one.version) not in ended:
            yield one


def _remembered(known: ObservationRecord | None, report: Report) -> tuple[str, ...]:
    first, *repeats = (*(known.event_ids if known else ()), report.event_id)
    return (first, *repeats[1 - REMEMBERED :])


def _states(
    control: ObservationRecord | None, version: ObservationRecord | None
) -> tuple[State, State] | None:
    """The states of a pair, once both have ended."""
    if control is None or version is None or _RECEIVED in (control.state, version.state):
        return None
    return control.state, version.state


def _complete(states: tuple[State, State] | None) -> bool:
    return states is not None and _MISSING not in states
