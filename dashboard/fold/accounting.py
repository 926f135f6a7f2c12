"""Accounts for every order that a version was sent: where it is, exactly one place an order.

An order's place follows from its observation and from its dead letter alone, so the counts do not
depend on the sequence in which messages arrive.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

from dashboard.comparison.outcome import State
from dashboard.fold.observations import Observations
from dashboard.fold.records import (
    Key,
    LaunchState,
    Loss,
    ObservationRecord,
    OrderRecord,
    ParticipantRecord,
)
from kitchen_worker.contract.messages import TIMED_OUT


class Place(StrEnum):
    """Where an order is for a version it was sent to; as a verdict's OrderStatus, and finer."""

    HANDLED = "handled"
    #: The version raised an error.
    FAILED = "failed"
    #: Cut off by the version's own limit, or taken and not answered by the deadline.
    TIMED_OUT = "timed_out"
    #: Never taken, and no dead letter says why.
    MISSING = "missing"
    #: Dropped by a bound of the version's queue: its length, or the time an order may wait.
    DROPPED = "dropped"
    #: A dead letter has the reason.
    REFUSED = "refused"
    #: Waits for the version, or is in its hands, within the deadline.
    IN_WORK = "in_work"


def place_of(one: ObservationRecord | None, loss: Loss | None) -> Place:
    """The place of an order."""
    if one is None:
        return place_in(None, loss)
    report = one.report
    error_type = report.error_type if report is not None else ""
    return place_in(one.state, loss, is_taken=report is not None, error_type=error_type)


def place_in(
    state: State | None, loss: Loss | None, *, is_taken: bool = False, error_type: str = ""
) -> Place:
    """The place of an order in this state; an answer counts even if a dead letter names the order.

    ``is_taken``: the version reported the order, ended or not.
    """
    if state is State.HANDLED:
        return Place.HANDLED
    if state is State.FAILED:
        return Place.TIMED_OUT if error_type == TIMED_OUT else Place.FAILED
    if loss is not None:
        return Place.DROPPED if loss is Loss.DROPPED else Place.REFUSED
    if state is State.MISSING:
        return Place.TIMED_OUT if is_taken else Place.MISSING
    return Place.IN_WORK


def graver(known: Loss | None, new: Loss) -> Loss:
    """Of two dead letters of one order, the one that counts: a reason says more than a bound."""
    return Loss.REFUSED if Loss.REFUSED in (known, new) else new


class Losses(NamedTuple):
    """The dead letters of some orders, before and after a batch."""

    before: Mapping[Key, Loss]
    after: Mapping[Key, Loss]


def account(
    state: LaunchState,
    participants: Mapping[str, ParticipantRecord],
    seen: Observations,
    losses: Losses,
    arrived: Iterable[OrderRecord] = (),
) -> dict[str, ParticipantRecord]:
    """The participants with the orders of a batch at their new places; ``arrived``: new orders."""
    moves: defaultdict[str, Counter[Place]] = defaultdict(Counter)
    sampled: Counter[str] = Counter()
    for order in arrived:
        for version, participant in participants.items():
            if _counts(order, participant, state.control):
                sampled[version] += 1
                place = place_of(None, losses.before.get((order.order_id, version)))
                moves[version][place] += 1
    for key in _changed(seen, losses):
        known, found = seen.orders.get(key[0]), participants.get(key[1])
        if known is None or found is None or not _counts(known, found, state.control):
            continue
        moves[key[1]][place_of(seen.before.get(key), losses.before.get(key))] -= 1
        moves[key[1]][place_of(seen.after.get(key), losses.after.get(key))] += 1
    return {
        name: msgspec.structs.replace(
            one, sampled=one.sampled + sampled[name], account=_moved(one.account, moves[name])
        )
        if name in moves
        else one
        for name, one in participants.items()
    }


def _changed(seen: Observations, losses: Losses) -> set[Key]:
    """The keys whose place may be another than before the batch."""
    observed = {key for key, one in seen.after.items() if one is not seen.before.get(key)}
    return observed | {
        key for key, loss in losses.after.items() if loss is not losses.before.get(key)
    }


def _counts(order: OrderRecord, participant: ParticipantRecord, control: str) -> bool:
    version = participant.version
    is_sent = version == control or version in order.sample
    return is_sent and order.id >= participant.accounted_from


def _moved(known: Mapping[str, int], moves: Mapping[Place, int]) -> dict[str, int]:
    whole = {place: known.get(place, 0) + moves.get(place, 0) for place in Place}
    return {place.value: number for place, number in whole.items() if number}
