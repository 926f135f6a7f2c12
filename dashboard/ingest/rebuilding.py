"""Rebuilds everything that follows from the stream by folding a recording again.

Rules, reviews, thresholds, replays, rejudging requests and final verdicts stay. A discrepancy with
reviews or replays keeps its row and gets new counts once the recording shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from dashboard import models
from dashboard.comparison.judgement import Group, GroupKind
from dashboard.comparison.outcome import Decision
from dashboard.fold.records import Changes, DiscrepancyRecord
from dashboard.ingest import recorder, stored
from dashboard.ingest.recorder import Item, Recorder, Terms
from dashboard.ingest.stored import Loaded, changing
from dashboard.verdict.closing import close_again

#: All their rows follow from the stream.
_DERIVED: tuple[Any, ...] = (
    models.Observation,
    models.ObservedOrder,
    models.StubOrder,
    models.LostOrder,
    models.TimeSlice,
    models.EvidenceBlock,
    models.Evidence,
    models.Signature,
    models.RelaySession,
    models.Participant,
)
_Key = tuple[UUID, str, Group]


@dataclass(kw_only=True)
class Rebuilder(Recorder):
    """A recorder that takes rules, decisions and times from the recording instead of the database.
    Raises NotTheRecorder when an observer takes over."""

    _given: Terms | None = None
    _decided: dict[UUID, recorder.RecordedDecisions] = field(default_factory=dict)
    #: Discrepancies found so far.
    _made: set[_Key] = field(default_factory=set)

    def drop(self) -> None:
        self._in_transaction(self._drop)

    def fold(self, items: Iterable[Item]) -> None:
        """Fold a recording, one transaction per item."""
        for item in items:
            self._take(item)

    def finish(self) -> None:
        """Restore the last decisions of the reviews."""
        self._in_transaction(lambda _: restore_decisions())
        with changing():
            """A running observer reads everything again."""

    def _take(self, item: Item) -> None:
        match item:
            case recorder.RecordingStart():
                self._begin(item)
            case recorder.Terms():
                self._given = item
            case recorder.RecordedDecisions():
                self._decided[item.launch] = item
                self._loaded.pop(item.launch, None)
            case recorder.RecordedBatch():
                numbers = {(session, launch): few for session, launch, few in item.numbers}
                undescribed = item.undescribed
                self.record(
                    item.orders, item.events, item.at, numbers=numbers, undescribed=undescribed
                )
            case recorder.RecordedSweep():
                self._in_transaction(lambda row: self._sweep(row, item.at, item.until))
            case recorder.RecordedLosses():
                losses = {(order, version): loss for order, version, loss in item.losses}
                self.lose(losses, item.at)
            case recorder.AbandonedStubs():
                self.give_up([*stored.stubs(item.order_ids).values()])
            case recorder.RejudgedPairs():
                self._in_transaction(lambda _: self._rejudge_pairs(item))
            case recorder.ClosedBlocks():
                self._in_transaction(lambda _: close_again(item))
                self._loaded.pop(item.launch, None)

    def _begin(self, began: recorder.RecordingStart) -> None:
        """Continue with the recorded ids, unless they are taken."""
        ids = self._ids
        ids.order = max(ids.order, began.order)
        ids.observation = max(ids.observation, began.observation)
        ids.discrepancy = max(ids.discrepancy, began.discrepancy)
        ids.signature = max(ids.signature, began.signature)
        ids.evidence = max(ids.evidence, began.evidence)
        self.description = began.description
        self._loaded.clear()
        self._sessions.clear()
        self._recent.clear()
        if began.taken_over:
            self._outside.clear()

    def _read_again(self, row: models.ObserverState) -> None:
        """Ignore changes by others: they are not part of the recording."""
        self._changes = row.changes

    def _terms_at(self, at: datetime) -> Terms:
        if self._given is None:
            raise ValueError("the recording lacks the rules by which pairs were judged")
        return self._given

    def _load(self, launch: UUID) -> Loaded:
        is_known = launch in self._loaded
        loaded = super()._load(launch)
        if not is_known:
            loaded = self._loaded[launch] = self._as_it_was(loaded)
        return loaded

    def _as_it_was(self, loaded: Loaded) -> Loaded:
        """A launch with the decisions of that time, without discrepancies not found yet."""
        state = loaded.state
        recorded = self._decided.get(state.launch)
        decisions = {(one[0], one[1]): one[2:] for one in recorded.decisions} if recorded else {}
        discrepancies = {
            pk: _decided(one, decisions)
            for pk, one in state.discrepancies.items()
            if (state.launch, one.version, one.group) in self._made
        }
        bugs = frozenset(recorded.bugs) if recorded else frozenset[tuple[str, Group]]()
        return replace(loaded, state=replace(state, discrepancies=discrepancies, bugs=bugs))

    def _write(self, loaded: Loaded, changes: Changes, at: datetime) -> None:
        """Don't reopen discrepancies: their reviews are restored at the end."""
        launch = loaded.state.launch
        self._made |= {(launch, one.version, one.group) for one in changes.discrepancies.values()}
        super()._write(loaded, replace(changes, seen_again=()), at)

    def _drop(self, row: models.ObserverState) -> None:
        for model in _DERIVED:
            model.objects.all().delete()
        discrepancies = models.Discrepancy.objects
        discrepancies.filter(reviews=None, replays=None).delete()
        discrepancies.update(count=0, ignored=0, examples=[])
        self._ids.kept = {
            (one.launch, one.version, Group(GroupKind(one.kind), one.path)): one.pk
            for one in discrepancies.all()
        }
        row.swept_until = row.events_outside = row.undescribed = 0
        row.save(update_fields=["swept_until", "events_outside", "undescribed"])


def _decided(
    one: DiscrepancyRecord,
    decisions: Mapping[tuple[str, Group], tuple[Decision, datetime | None]],
) -> DiscrepancyRecord:
    state, at = decisions.get((one.version, one.group), (Decision.OPEN, None))
    return msgspec.structs.replace(one, state=state, decided_at=at)


def restore_decisions() -> None:
    """Set each discrepancy to its last review's decision."""
    rows = models.Discrepancy.objects.filter(reviews__isnull=False).distinct()
    for row in rows.iterator():
        last = row.reviews.order_by("revision").last()
        if last is not None:
            row.state, row.revision, row.decided_at = last.decision, last.revision, last.decided_at
            row.save(update_fields=["state", "revision", "decided_at"])
