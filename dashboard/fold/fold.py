"""Folds a batch of one launch into its stored records, marks overdue answers missing, rejudges."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec

from dashboard.comparison.judgement import Ending, judge
from dashboard.comparison.outcome import State, cell, outcome, record_build
from dashboard.comparison.rules import Rules
from dashboard.fold.accounting import Losses, account
from dashboard.fold.discrepancies import Discrepancies, JudgedPair
from dashboard.fold.evidence import EvidenceFold
from dashboard.fold.observations import Observations, ObservedPair, time_of
from dashboard.fold.records import (
    Changes,
    Comparison,
    Key,
    Loss,
    NextIds,
    ObservationRecord,
    OrderRecord,
    ParticipantRecord,
    Report,
    Slice,
    Stored,
)
from dashboard.verdict.hindsight import TimedPair
from dashboard.verdict.live_effect import TimedOrder
from dashboard.verdict.quantiles import bucket_of

SLICE_S = 2
#: If a kitchen's clock is further off than this, our clock places its reports in time.
_MAX_CLOCK_ERROR_S = 600


class LaunchBatch(NamedTuple):
    """Orders and reports of one launch; each report is of one of these orders or a stored one."""

    orders: Sequence[OrderRecord] = ()
    reports: Sequence[Report] = ()


def fold(stored: Stored, batch: LaunchBatch, ids: NextIds, at: datetime) -> Changes:
    """Compute what a batch changes; advances ``ids``."""
    orders = {**stored.orders, **{one.order_id: one for one in batch.orders}}
    seen = Observations(orders, stored.observations, ids)
    seen.take(batch.reports)
    participants = _with_builds(stored.state.participants, batch.reports, at)
    participants = _with_freshness(participants, batch.reports, orders, at)
    participants = _with_times(participants, seen.ends)
    participants = _with_live_effect(stored, participants, seen, at)
    participants = _with_arrivals(participants, stored.state.control, batch.orders)
    changes = _judge_pairs(stored, seen, participants, ids, at, arrived=batch.orders)
    return replace(changes, orders=tuple(batch.orders), slices=_slices(stored, seen.ends, at))


def mark_missing(stored: Stored, due: Iterable[OrderRecord], ids: NextIds, at: datetime) -> Changes:
    """Compute what changes when the deadline of these orders passes: absent answers are missing."""
    state = stored.state
    seen = Observations({one.order_id: one for one in due}, stored.observations, ids)
    for order in seen.orders.values():
        for version in state.participants:
            if version == state.control or version in order.sample:
                seen.mark_missing(order, version)
    return _judge_pairs(stored, seen, state.participants, ids, at)


def lose(stored: Stored, losses: Mapping[Key, Loss]) -> Changes:
    """Compute what changes when dead letters name these orders, which are all stored."""
    state = stored.state
    seen = Observations(stored.orders, stored.observations, NextIds())
    after = {**stored.losses, **losses}
    participants = account(state, state.participants, seen, Losses(stored.losses, after))
    return Changes(
        participants={
            name: one for name, one in participants.items() if one != state.participants[name]
        }
    )


class Rejudged(NamedTuple):
    """What changes; how many pairs have discrepancies, before or after; how many changed."""

    changes: Changes
    judged: int
    changed: int


def rejudge(stored: Stored, ids: NextIds, at: datetime) -> Rejudged:
    """Judge stored pairs again by other rules. The evidence does not change."""
    state, compared = stored.state, _compared_pairs(stored)
    was = [before.members for _, before in compared]
    judged = [
        _judge(pair, stored.rules[pair.version.version], before.judged_at)
        for pair, before in compared
    ]
    discrepancies = Discrepancies(state, ids, at)
    members = discrepancies.count(judged, was) if compared else []
    matrices = {one.version: Counter(state.participants[one.version].matrix) for one in judged}
    changed = []
    for (pair, before), one, shows in zip(compared, judged, members, strict=True):
        if (shows, one.judgement.outcome) == (before.members, before.outcome):
            continue
        if before.signature is not None:
            discrepancies.unsign(before.signature)
        after = msgspec.structs.replace(
            before,
            outcome=one.judgement.outcome,
            signature=discrepancies.sign(one.version, shows),
            members=shows,
        )
        changed.append(msgspec.structs.replace(pair.version, comparison=after))
        states = pair.control.state, pair.version.state
        matrices[one.version][cell(*states, before.outcome)] -= 1
        matrices[one.version][cell(*states, after.outcome)] += 1
    changes = Changes(
        observations=tuple(changed),
        participants={
            name: msgspec.structs.replace(state.participants[name], matrix=_positive(matrix))
            for name, matrix in matrices.items()
        },
        discrepancies=discrepancies.changed(),
        signatures=discrepancies.changed_signatures(),
    )
    shown = sum(bool(now or before) for now, before in zip(members, was, strict=True))
    return Rejudged(changes, shown, len(changed))


def _compared_pairs(stored: Stored) -> list[tuple[ObservedPair, Comparison]]:
    """The stored pairs with their comparisons, oldest order first."""
    control = stored.state.control
    found = []
    for order in sorted(stored.orders.values(), key=lambda one: one.id):
        ours = stored.observations.get((order.order_id, control))
        for name in stored.state.participants:
            theirs = stored.observations.get((order.order_id, name))
            if ours and theirs and name != control and theirs.comparison is not None:
                found.append((ObservedPair(order, ours, theirs, None), theirs.comparison))
    return found


def needed_slices(reports: Iterable[Report], at: datetime) -> set[tuple[str, int]]:
    """The slices that `fold` needs, by version and start."""
    return {
        (one.version, _slice_start(one, at)) for one in reports if one.state is not State.RECEIVED
    }


def _judge_pairs(
    stored: Stored,
    seen: Observations,
    participants: Mapping[str, ParticipantRecord],
    ids: NextIds,
    at: datetime,
    *,
    arrived: Sequence[OrderRecord] = (),
) -> Changes:
    """Judge the completed pairs, count their discrepancies, and add them to the evidence."""
    state = stored.state
    pairs = seen.pairs(state.control, [one for one in participants if one != state.control])
    judged = [_judge(one, stored.rules[one.version.version], at) for one in pairs]
    discrepancies = Discrepancies(state, ids, at)
    members = discrepancies.count(judged)
    for pair, one, shows in zip(pairs, judged, members, strict=True):
        signature = discrepancies.sign(one.version, shows)
        comparison = Comparison(
            judged_at=at,
            outcome=one.judgement.outcome,
            signature=signature,
            members=shows,
            slower=pair.slower,
        )
        compared = msgspec.structs.replace(pair.version, comparison=comparison)
        seen.after[one.order_id, one.version] = compared
    participants = _with_matrix(_with_counts(participants, seen), pairs, judged)
    participants = _with_hindsight(participants, pairs)
    losses = Losses(stored.losses, stored.losses)
    participants = account(state, participants, seen, losses, arrived)
    evidence = EvidenceFold(state, participants, seen, discrepancies, stored.description)
    added = evidence.add(stored.timing, ids, at)
    return Changes(
        observations=tuple(seen.changed()),
        participants={
            name: one for name, one in participants.items() if one != state.participants[name]
        },
        discrepancies=discrepancies.changed(),
        signatures=discrepancies.changed_signatures(),
        evidence=added.records,
        blocks=added.blocks,
        seen_again=discrepancies.seen_again(),
    )


def _judge(pair: ObservedPair, rules: Rules, at: datetime) -> JudgedPair:
    # Results of equal bytes are equal; they needn't be decoded.
    is_same = _result(pair.control) == _result(pair.version)
    control, ending = (_ending(one, decode=not is_same) for one in (pair.control, pair.version))
    return JudgedPair(
        order_id=pair.order.order_id,
        placed_at=pair.order.placed_at,
        version=pair.version.version,
        build=pair.version.report.build if pair.version.report else "",
        seen_at=at,
        control=control,
        ending=ending,
        rules=rules,
        judgement=judge(control, ending, rules),
    )


def _result(one: ObservationRecord) -> bytes:
    return one.report.result if one.report is not None else b""


#: A result, decoded once for all versions compared with it.
_decoded = lru_cache(maxsize=256)(msgspec.json.decode)


def _ending(one: ObservationRecord, *, decode: bool) -> Ending:
    report = one.report
    if report is None:
        return Ending(state=one.state)
    return Ending(
        state=one.state,
        result=_decoded(report.result) if decode and report.result else None,
        error_type=report.error_type,
        error_message=report.error_message,
    )


def _with_builds(
    participants: Mapping[str, ParticipantRecord], reports: Sequence[Report], at: datetime
) -> Mapping[str, ParticipantRecord]:
    """Record the active builds, before orders are judged: missing answers count for builds too."""
    changed = dict(participants)
    for version, build in dict.fromkeys((one.version, one.build) for one in reports):
        one = changed[version]
        builds = tuple(record_build(one.builds, build, at.timestamp()))
        changed[version] = msgspec.structs.replace(one, builds=builds)
    for version, build in {one.version: one.build for one in reports}.items():
        changed[version] = msgspec.structs.replace(changed[version], build=build)
    return changed


def _with_freshness(
    participants: Mapping[str, ParticipantRecord],
    reports: Sequence[Report],
    orders: Mapping[str, OrderRecord],
    at: datetime,
) -> Mapping[str, ParticipantRecord]:
    """Note when each version last reported, and until when it has ended orders.

    Other clocks may be wrong: reports count as of now, and no order was placed later than that.
    """
    changed = dict(participants)
    for report in reports:
        one = changed[report.version]
        until = one.ended_until
        if report.state is not State.RECEIVED:
            placed_at = min(orders[report.order_id].placed_at, at)
            until = max(placed_at, until or placed_at)
        changed[report.version] = msgspec.structs.replace(one, newest_at=at, ended_until=until)
    return changed


def _with_times(
    participants: Mapping[str, ParticipantRecord], ends: Iterable[Report]
) -> Mapping[str, ParticipantRecord]:
    times: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for one in ends:
        if one.state is State.HANDLED and one.handling_ms is not None:
            times[one.version][bucket_of(one.handling_ms)] += 1
    return {
        name: msgspec.structs.replace(one, times=_added(one.times, times[name]))
        if name in times
        else one
        for name, one in participants.items()
    }


def _with_counts(
    participants: Mapping[str, ParticipantRecord], seen: Observations
) -> Mapping[str, ParticipantRecord]:
    changed = dict(participants)
    for name, counts in seen.counts.items():
        one = changed[name]
        added = {field: getattr(one, field) + number for field, number in counts.items()}
        changed[name] = msgspec.structs.replace(one, **added)
    return changed


def _with_hindsight(
    participants: Mapping[str, ParticipantRecord], pairs: Iterable[ObservedPair]
) -> Mapping[str, ParticipantRecord]:
    timed: defaultdict[str, list[TimedPair]] = defaultdict(list)
    for pair in pairs:
        name, ours, theirs = pair.version.version, time_of(pair.control), time_of(pair.version)
        is_counted = pair.order.id >= participants[name].accounted_from
        if is_counted and pair.slower is not None and ours is not None and theirs is not None:
            timed[name].append(TimedPair(pair.order.order_id, ours, theirs))
    return {
        name: msgspec.structs.replace(one, hindsight=one.hindsight.with_pairs(timed[name]))
        if name in timed
        else one
        for name, one in participants.items()
    }


def _with_live_effect(
    stored: Stored,
    participants: Mapping[str, ParticipantRecord],
    seen: Observations,
    at: datetime,
) -> Mapping[str, ParticipantRecord]:
    """Add the control's times on sampled and on other orders."""
    control = participants[stored.state.control]
    orders = [
        TimedOrder(order.sent_at, one.handling_ms, bool(order.sample))
        for one in seen.ends
        if one.version == control.version
        and one.state is State.HANDLED
        and one.handling_ms is not None
        and (order := seen.orders[one.order_id]).id >= control.accounted_from
    ]
    if not orders:
        return participants
    effect = control.live_effect.with_orders(orders, at, stored.timing.deadline_s)
    changed = msgspec.structs.replace(control, live_effect=effect)
    return {**participants, control.version: changed}


def _with_arrivals(
    participants: Mapping[str, ParticipantRecord], control: str, arrived: Sequence[OrderRecord]
) -> Mapping[str, ParticipantRecord]:
    if not arrived:
        return participants
    one = participants[control]
    arrivals = one.arrivals.with_orders(order.sent_at for order in arrived)
    return {**participants, control: msgspec.structs.replace(one, arrivals=arrivals)}


def _with_matrix(
    participants: Mapping[str, ParticipantRecord],
    pairs: Sequence[ObservedPair],
    judged: Sequence[JudgedPair],
) -> Mapping[str, ParticipantRecord]:
    matrices = {one.version: Counter(participants[one.version].matrix) for one in judged}
    for pair, one in zip(pairs, judged, strict=True):
        matrix = matrices[one.version]
        if pair.was is not None and (was := outcome(*pair.was, agree=True)) is not None:
            matrix[cell(*pair.was, was)] -= 1
        matrix[cell(pair.control.state, pair.version.state, one.judgement.outcome)] += 1
    return {
        name: msgspec.structs.replace(one, matrix=_positive(matrices[name]))
        if name in matrices
        else one
        for name, one in participants.items()
    }


def _slices(
    stored: Stored, ends: Iterable[Report], at: datetime
) -> Mapping[tuple[str, int], Slice]:
    changed: dict[tuple[str, int], Slice] = {}
    for one in ends:
        key = one.version, _slice_start(one, at)
        before = changed.get(key) or stored.state.slices.get(key)
        before = before or Slice(version=one.version, start=key[1])
        if one.state is State.HANDLED and one.handling_ms is not None:
            times = _added(before.times, {bucket_of(one.handling_ms): 1})
            changed[key] = msgspec.structs.replace(before, handled=before.handled + 1, times=times)
        else:
            changed[key] = msgspec.structs.replace(before, failed=before.failed + 1)
    return changed


def _slice_start(report: Report, at: datetime) -> int:
    finished = report.finished_at or at
    if abs((finished - at).total_seconds()) > _MAX_CLOCK_ERROR_S:
        finished = at
    return int(finished.timestamp()) // SLICE_S * SLICE_S


def _added(first: Mapping[int, int], second: Mapping[int, int]) -> dict[int, int]:
    whole = dict(first)
    for key, number in second.items():
        whole[key] = whole.get(key, 0) + number
    return whole


def _positive(counter: Mapping[str, int]) -> dict[str, int]:
    return {name: number for name, number in counter.items() if number > 0}
