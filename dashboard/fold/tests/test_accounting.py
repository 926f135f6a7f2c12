"""Every order that a version was sent is at one place, and the places add up to the sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.comparison.outcome import State
from dashboard.fold.accounting import Place, graver, place_of
from dashboard.fold.fold import LaunchBatch, fold, lose, mark_missing
from dashboard.fold.records import (
    Key,
    LaunchState,
    Loss,
    NextIds,
    ObservationRecord,
    OrderRecord,
    ParticipantRecord,
    Report,
    Stored,
)
from dashboard.fold.tests.test_fold import LAUNCH, NOW, ROLES, RULES
from kitchen_worker.contract.messages import TIMED_OUT

VERSIONS = tuple(ROLES)
ORDERS = ("a", "b", "c", "d")


def a_report(order_id: str, version: str, state: State, error: str = "") -> Report:
    has_ended = state is not State.RECEIVED
    return Report(
        event_id=f"{order_id} {version} {state} {error}",
        order_id=order_id,
        version=version,
        state=state,
        received_at=NOW,
        finished_at=NOW if has_ended else None,
        handling_ms=2.0 if has_ended else None,
        error_type=error,
    )


def an_observation(state: State, *, started: bool = True, error: str = "") -> ObservationRecord:
    reported = state if state is not State.MISSING else State.RECEIVED
    report = a_report("a", "vnext", reported, error) if started else None
    return ObservationRecord(id=1, order=1, version="vnext", state=state, report=report)


@pytest.mark.parametrize(
    ("one", "loss", "place"),
    [
        (None, None, Place.IN_WORK),
        (None, Loss.DROPPED, Place.DROPPED),
        (None, Loss.REFUSED, Place.REFUSED),
        (an_observation(State.RECEIVED), None, Place.IN_WORK),
        (an_observation(State.RECEIVED), Loss.REFUSED, Place.REFUSED),
        (an_observation(State.HANDLED), None, Place.HANDLED),
        (an_observation(State.HANDLED), Loss.DROPPED, Place.HANDLED),
        (an_observation(State.FAILED, error="Burnt"), None, Place.FAILED),
        (an_observation(State.FAILED, error="Burnt"), Loss.REFUSED, Place.FAILED),
        (an_observation(State.FAILED, error=TIMED_OUT), None, Place.TIMED_OUT),
        (an_observation(State.MISSING), None, Place.TIMED_OUT),
        (an_observation(State.MISSING, started=False), None, Place.MISSING),
        (an_observation(State.MISSING, started=False), Loss.DROPPED, Place.DROPPED),
        (an_observation(State.MISSING), Loss.REFUSED, Place.REFUSED),
    ],
)
def test_the_place_of_an_order(
    one: ObservationRecord | None, loss: Loss | None, place: Place
) -> None:
    assert place_of(one, loss) is place


class World:
    """An observer without a database, with sweeps and dead letters."""

    def __init__(self) -> None:
        self.ids = NextIds()
        self.orders: dict[str, OrderRecord] = {}
        self.observations: dict[Key, ObservationRecord] = {}
        self.losses: dict[Key, Loss] = {}
        self.state = LaunchState(
            launch=LAUNCH,
            control="vlatest",
            participants={
                name: ParticipantRecord(version=name, role=role) for name, role in ROLES.items()
            },
        )

    def _stored(self) -> Stored:
        return Stored(
            state=self.state,
            orders=self.orders,
            observations=self.observations,
            losses=self.losses,
            rules=RULES,
        )

    def take(self, orders: Sequence[OrderRecord], reports: Sequence[Report]) -> None:
        new = []
        for one in orders:
            new.append(msgspec.structs.replace(one, id=self.ids.order))
            self.ids.order += 1
        self._apply(fold(self._stored(), LaunchBatch(new, reports), self.ids, NOW))

    def sweep(self) -> None:
        self._apply(mark_missing(self._stored(), self.orders.values(), self.ids, NOW))

    def lose(self, losses: Mapping[Key, Loss]) -> None:
        new = {key: graver(self.losses.get(key), loss) for key, loss in losses.items()}
        self._apply(lose(self._stored(), new))
        self.losses |= new

    def _apply(self, changes: Any) -> None:
        self.orders |= {one.order_id: one for one in changes.orders}
        named = {one.id: one.order_id for one in self.orders.values()}
        self.observations |= {(named[one.order], one.version): one for one in changes.observations}
        self.state = changes.applied_to(self.state)

    def recount(self, version: str, first: int = 0) -> Counter[str]:
        """The places of all orders that the version was sent, counted one by one."""
        found: Counter[str] = Counter()
        for order_id, order in self.orders.items():
            if order.id >= first and (version == "vlatest" or version in order.sample):
                key = order_id, version
                found[place_of(self.observations.get(key), self.losses.get(key)).value] += 1
        return found

    def adds_up(self) -> None:
        for version, one in self.state.participants.items():
            assert one.account == self.recount(version)
            assert sum(one.account.values()) == one.sampled


def an_order(order_id: str, sample: Sequence[str]) -> OrderRecord:
    return OrderRecord(
        id=0,
        order_id=order_id,
        launch=LAUNCH,
        arrived_at=NOW,
        sent_at=NOW - timedelta(seconds=3),
        placed_at=NOW - timedelta(seconds=3),
        sample=frozenset(sample),
    )


_SAMPLES = {"a": ("vnext", "noise"), "b": ("vnext",), "c": (), "d": ("noise",)}
_losses = st.tuples(st.sampled_from(ORDERS), st.sampled_from(VERSIONS), st.sampled_from(Loss))
_reports = st.builds(
    a_report,
    st.sampled_from(ORDERS),
    st.sampled_from(VERSIONS),
    st.sampled_from([State.RECEIVED, State.HANDLED]),
) | st.builds(
    a_report,
    st.sampled_from(ORDERS),
    st.sampled_from(VERSIONS),
    st.just(State.FAILED),
    st.sampled_from(["Burnt", TIMED_OUT]),
)


def _is_sent(report: Report) -> bool:
    return report.version == "vlatest" or report.version in _SAMPLES[report.order_id]


@settings(max_examples=150, deadline=None)
@given(st.lists(_reports | _losses | st.just("sweep"), max_size=25))
def test_after_every_step_the_places_are_those_counted_one_by_one(news: list[Any]) -> None:
    world, known = World(), set()
    for one in news:
        if one == "sweep":
            world.sweep()
        elif isinstance(one, Report):
            if _is_sent(one):
                new = [] if one.order_id in known else [one.order_id]
                known.update(new)
                world.take([an_order(name, _SAMPLES[name]) for name in new], [one])
        else:
            order_id, version, loss = one
            world.lose({(order_id, version): loss})
        world.adds_up()


@settings(max_examples=100, deadline=None)
@given(st.data(), st.lists(_reports.filter(_is_sent), max_size=12), st.lists(_losses, max_size=6))
def test_dead_letters_count_the_same_whenever_they_come(
    data: st.DataObject, reports: list[Report], losses: list[Any]
) -> None:
    # The first end of an order counts, so reports keep their sequence.
    places = sorted(data.draw(st.integers(0, len(reports))) for _ in losses)
    cuts = sorted({0, *places, len(reports)})
    orders = [an_order(name, sample) for name, sample in _SAMPLES.items()]
    mixed, at_once = World(), World()
    at_once.take(orders, reports)
    at_once.lose({})
    for order_id, version, loss in losses:
        at_once.lose({(order_id, version): loss})
    shuffled = data.draw(st.permutations(losses))
    for place, (order_id, version, loss) in zip(places, shuffled, strict=True):
        if place == 0:
            mixed.lose({(order_id, version): loss})
    mixed.take(orders, [])
    for start, end in pairwise(cuts):
        mixed.take([], reports[start:end])
        for place, (order_id, version, loss) in zip(places, shuffled, strict=True):
            if place == end:
                mixed.lose({(order_id, version): loss})
    mixed.adds_up()
    for name, one in mixed.state.participants.items():
        other = at_once.state.participants[name]
        assert (one.sampled, one.account) == (other.sampled, other.account)


def test_orders_from_before_the_counting_began_stay_out() -> None:
    world = World()
    world.take([an_order("a", ["vnext"])], [])
    fresh = {
        name: msgspec.structs.replace(one, sampled=0, account={}, accounted_from=2)
        for name, one in world.state.participants.items()
    }
    world.state = replace(world.state, participants=fresh)
    world.take([an_order("b", ["vnext"])], [a_report("a", "vnext", State.HANDLED)])
    world.sweep()
    vnext = world.state.participants["vnext"]
    assert (vnext.sampled, vnext.account) == (1, {"missing": 1})
    assert vnext.account == world.recount("vnext", first=2)
