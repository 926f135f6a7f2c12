"""Makes the steps of the recorded run from a seed: 20,000 orders, and all that may go wrong.

Times are virtual, ids are drawn from the seed. Nothing here asks the product: which version gets
which order is worked out by the documented hash, and events are written as the contract has them.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import msgspec

from tests.oracle import steps
from tests.oracle.kitchens import MENU, answer
from tests.oracle.steps import Message, PlacedOrder, Step

ORDERS = 20_000
SEED = 13
START = datetime(2026, 3, 2, 11, 50, tzinfo=UTC)
#: A version may be silent for so long; the observer's setting in the run.
DEADLINE_S = 30.0
TICK_S = 2.0

SPRING, SUMMER = UUID(int=0x5921, version=4), UUID(int=0x50AA, version=4)
_EVENTS = "kitchen.events"
_DEAD = "orders.dead"
_NOTES = ("no onions", "extra napkins", "ring twice", "für Zoë", "<b>hot</b>")
_ROLES = {
    "vlatest": "control", "vnext": "candidate", "vslow": "candidate", "vlate": "candidate",
    "vlatest-b": "baseline",
}  # fmt: skip
#: Events in one message, at most.
_GATHERED = 25
#: Of each role: orders that it never takes, takes and does not end, ends too late, ends twice.
_FATES = {
    "control": (0.0004, 0.0003, 0.001, 0.001),
    "candidate": (0.0006, 0.0008, 0.004, 0.003),
    "baseline": (0.002, 0.0, 0.003, 0.002),
}
#: Events that the broker delivers twice, ends that overtake their own ``received``, and ends that
#: have one at all.
_TWICE, _OVERTAKEN, _RECEIVED = 0.002, 0.01, 0.3


def run() -> Iterator[Step]:
    """All steps of the run, in the order of time."""
    yield from _Script().whole()


class _Script:
    """The run as it is made: what was placed, who gets what, and which events are under way."""

    def __init__(self) -> None:
        self._rng = Random(SEED)
        self._now = START
        self._placed: list[PlacedOrder] = []
        self._unsent: list[tuple[PlacedOrder, str | None, tuple[str, ...]]] = []
        self._launch: UUID | None = None
        self._percents: dict[str, int] = {}
        self._builds = {
            "vlatest": "v1",
            "vlatest-b": "v1",
            "vnext": "a1",
            "vslow": "s1",
            "vlate": "c3",
        }
        #: Events under way: when they arrive, a number that keeps them in order, and what they say.
        self._under_way: list[tuple[datetime, int, str, bytes]] = []
        self._numbered = 0
        self._ticks = 0
        self._broker_away = self._observer_away = False
        self._no_sweep_before = START
        #: How far the site's clock is behind.
        self._behind = timedelta()

    def whole(self) -> Iterator[Step]:
        """The script."""
        yield from self._for(20, rate=2)
        yield from self._spring()
        yield from self._for(60, rate=1.5)
        yield from self._forged_between_launches()
        yield from self._for(60, rate=0)
        yield from self._summer()

    def _spring(self) -> Iterator[Step]:
        yield from self._start("spring", SPRING, {"vnext": 100, "vlatest-b": 30, "vslow": 10})
        yield from self._for(60, rate=24)
        yield from self._rules()
        yield from self._for(30, rate=24)
        yield from self._set_percent("vnext", 50)
        yield from self._for(30, rate=24)
        yield from self._set_percent("vnext", 100)
        yield from self._more_rules()
        yield from self._reviews()
        yield from self._forged()
        yield from self._for(40, rate=24)
        self._broker_away = True
        yield steps.BrokerGoes(at=self._now)
        yield from self._for(46, rate=20)
        self._broker_away = False
        yield steps.BrokerReturns(at=self._now)
        yield steps.Looked(at=self._now, name="spring, broker back")
        yield from self._for(80, rate=20)
        self._observer_away = True
        yield from self._for(60, rate=20)
        self._observer_away = False
        self._no_sweep_before = self._now + timedelta(seconds=DEADLINE_S)
        yield from self._for(40, rate=20)
        yield steps.Looked(at=self._now, name="spring, observer back")
        yield from self._next_build()
        yield from self._for(40, rate=20)
        yield from self._replays()
        yield from self._changes()
        yield from self._for(60, rate=20)
        yield steps.LaunchEnds(at=self._now)
        self._launch, self._percents = None, {}
        yield steps.Looked(at=self._now, name="spring, ended")

    def _summer(self) -> Iterator[Step]:
        self._builds["vnext"] = "c3"
        yield from self._start("summer", SUMMER, {"vnext": 100, "vlatest-b": 30, "vslow": 10})
        yield from self._for(100, rate=22)
        yield steps.RuleEnds(at=self._now, path="actual_minutes", treatment="tolerance")
        yield steps.ReviewMade(
            at=self._now, version="vnext", kind="extra", path="loyalty", decision="by_design"
        )
        yield steps.Looked(at=self._now, name="summer, warmed up")
        yield from self._for(60, rate=22)
        yield from self._set_percent("vslow", 0)
        yield steps.ThresholdsSet(at=self._now, thresholds={"failures_margin": 0.01})
        while len(self._placed) < ORDERS:
            yield from self._tick(22)
        yield from self._for(80, rate=0)
        yield steps.Looked(at=self._now, name="end")

    def _rules(self) -> Iterator[Step]:
        yield steps.RuleMade(at=self._now, path="**.cook", treatment="ignore")
        yield steps.RuleMade(
            at=self._now, path="ticket", treatment="replace", pattern="[0-9a-f]{8}", replacement="#"
        )
        yield steps.Looked(at=self._now, name="spring, before the past is judged")
        yield steps.PastJudged(at=self._now)
        yield steps.BackgroundWorks(at=self._now)
        yield steps.Looked(at=self._now, name="spring, past judged")

    def _more_rules(self) -> Iterator[Step]:
        """The past is judged again while orders come."""
        yield steps.RuleMade(
            at=self._now, path="actual_minutes", treatment="tolerance", absolute=1.0
        )
        yield steps.RuleMade(at=self._now, path="lines", treatment="unordered", version="vnext")
        yield steps.PastJudged(at=self._now)
        yield steps.BackgroundWorks(at=self._now)

    def _reviews(self) -> Iterator[Step]:
        for kind, path, decision in (
            ("value", "total_price", "bug"),
            ("missing", "note", "bug"),
            ("type", "estimated_minutes", "bug"),
            ("extra", "loyalty", "by_design"),
            ("missing", "meta.*", "noise"),
            ("extra", "meta.*", "noise"),
        ):
            yield steps.ReviewMade(
                at=self._now, version="vnext", kind=kind, path=path, decision=decision, note="seen"
            )

    def _next_build(self) -> Iterator[Step]:
        """For a few seconds two builds answer side by side."""
        for build in ("b2", "a1", "b2"):
            self._builds["vnext"] = build
            yield from self._tick(20)

    def _replays(self) -> Iterator[Step]:
        """One that proves a fix, and one that does not, with orders that stay unanswered."""
        for kind, path, silent_on in (
            ("value", "total_price", 0),
            ("type", "estimated_minutes", 3),
        ):
            yield steps.ReplayAsked(at=self._now, version="vnext", kind=kind, path=path)
            for _ in range(2):
                yield steps.BackgroundWorks(at=self._now)
                yield from self._tick(20)
                yield steps.ReplayAnswered(
                    at=self._now, version="vnext", build="b2", silent_on=silent_on
                )
        yield from self._for(40, rate=20)
        yield steps.Looked(at=self._now, name="spring, replayed")

    def _changes(self) -> Iterator[Step]:
        yield steps.VersionJoins(at=self._now, version="vlate", role="candidate", percent=5)
        self._percents["vlate"] = 5
        yield from self._for(20, rate=20)
        yield steps.ThresholdsSet(
            at=self._now, thresholds={"speed_margin": 0.05, "slow_margin": 0.03}
        )
        yield from self._set_percent("vlatest-b", 20)
        # Orders of a block that is counted and settled: they come too late.
        self._behind = timedelta(seconds=200)
        yield from self._tick(3)
        self._behind = timedelta()

    def _start(self, name: str, launch: UUID, percents: dict[str, int]) -> Iterator[Step]:
        self._launch, self._percents = launch, dict(percents)
        dark = tuple((version, _ROLES[version], percent) for version, percent in percents.items())
        yield steps.LaunchStarts(at=self._now, name=name, id=launch, control="vlatest", dark=dark)

    def _set_percent(self, version: str, percent: int) -> Iterator[Step]:
        self._percents[version] = percent
        yield steps.PercentChanges(at=self._now, version=version, percent=percent)

    def _for(self, seconds: float, *, rate: float) -> Iterator[Step]:
        for _ in range(round(seconds / TICK_S)):
            yield from self._tick(rate)

    def _tick(self, rate: float) -> Iterator[Step]:
        """Two seconds: orders come, the relay sends them, kitchens answer, the observer records."""
        begun = self._now
        self._now += timedelta(seconds=TICK_S)
        self._ticks += 1
        if orders := self._new_orders(begun, rate):
            yield steps.OrdersPlaced(at=self._now, orders=orders)
        if not self._broker_away:
            yield steps.RelayWorks(at=self._now)
            if self._ticks % 10 == 0:
                yield steps.RelayChecks(at=self._now)
            self._cook()
            if messages := self._arrived():
                yield steps.Published(at=self._now, messages=messages)
            if not self._observer_away:
                yield steps.ObserverWorks(at=self._now, loses_ack=self._ticks % 60 == 0)
        if self._ticks % 3 == 0 and not (self._observer_away or self._broker_away):
            yield from self._sweep()

    def _sweep(self) -> Iterator[Step]:
        """Not before everybody was able to answer, after the observer was away."""
        if self._now >= self._no_sweep_before:
            yield steps.ObserverSweeps(at=self._now)

    def _new_orders(self, begun: datetime, rate: float) -> tuple[PlacedOrder, ...]:
        count = min(round(rate * TICK_S), ORDERS - len(self._placed))
        each = TICK_S / max(count, 1)
        orders = tuple(
            self._order(
                begun - self._behind + timedelta(seconds=each * (place + self._rng.random()))
            )
            for place in range(count)
        )
        launch = None if self._launch is None else str(self._launch)
        self._unsent += [(order, launch, self._sample(order.id)) for order in orders]
        return orders

    def _order(self, placed_at: datetime) -> PlacedOrder:
        rng = self._rng
        names = rng.sample(sorted(MENU), rng.choices((1, 2, 3, 4, 6), (40, 33, 17, 8, 2))[0])
        items = {name: rng.choices((1, 2, 3, 5), (60, 25, 10, 5))[0] for name in names}
        if rng.random() < 0.006:
            items[names[0]] = rng.randint(21, 40)
        order = PlacedOrder(
            number=len(self._placed) + 1,
            id=UUID(int=rng.getrandbits(128), version=4),
            placed_at=placed_at,
            items=items,
            note=rng.choice(_NOTES) if rng.random() < 0.15 else "",
        )
        self._placed.append(order)
        return order

    def _sample(self, order: UUID) -> tuple[str, ...]:
        digest = hashlib.sha256(str(order).encode()).digest()
        point = int.from_bytes(digest[:8], "big") * 10_000 >> 64
        return tuple(name for name, percent in self._percents.items() if percent * 100 > point)

    def _cook(self) -> None:
        """What was just sent reaches the kitchens, whose events will arrive in their time."""
        for order, launch, sample in self._unsent:
            for version in ("vlatest", *sample):
                self._handle(order, launch, version)
        self._unsent = []

    def _handle(self, order: PlacedOrder, launch: str | None, version: str) -> None:
        role = _ROLES[version]
        rng = Random(f"{SEED} {order.number} {version}")
        queue_ms = round(rng.uniform(1, 40), 3)
        received_at = self._now + timedelta(milliseconds=queue_ms)
        event = self._event(order, launch, version, received_at, queue_ms)
        ended = _ended(event, order, version, self._builds[version], received_at)
        arrives_at = datetime.fromisoformat(ended["finished_at"])
        never, half, late, again = _FATES[role]
        fate = rng.random()
        if fate < never:
            return
        if fate < never + half:
            self._send(received_at, version, event)
            return
        if fate < never + half + late:
            arrives_at += timedelta(seconds=DEADLINE_S + rng.uniform(6, 40))
            ended["finished_at"] = arrives_at.isoformat()
        elif fate < never + half + late + again:
            self._send(arrives_at + timedelta(seconds=rng.uniform(0, 4)), version, _repeated(ended))
        if rng.random() < _RECEIVED:
            self._send(received_at, version, event)
        elif rng.random() < _OVERTAKEN:
            self._send(arrives_at + timedelta(seconds=3), version, event)
        self._send(arrives_at, version, ended)
        if rng.random() < _TWICE:
            self._send(arrives_at + timedelta(seconds=rng.uniform(0, 9)), version, ended)

    def _event(
        self,
        order: PlacedOrder,
        launch: str | None,
        version: str,
        received_at: datetime,
        queue_ms: float,
    ) -> dict[str, Any]:
        return {
            "event_id": f"{order.number}-{version}-received",
            "kind": "received",
            "order_id": str(order.id),
            "launch": launch,
            "version": version,
            "role": _ROLES[version],
            "build": self._builds[version],
            "worker": f"host-{order.number % 3}:1",
            "placed_at": order.placed_at.isoformat(),
            "received_at": received_at.isoformat(),
            "queue_ms": queue_ms,
        }

    def _send(self, at: datetime, version: str, event: dict[str, Any]) -> None:
        self._numbered += 1
        heapq.heappush(self._under_way, (at, self._numbered, version, _written(event)))

    def _arrived(self) -> tuple[Message, ...]:
        """The events that have arrived by now, gathered by version."""
        by_version: defaultdict[str, list[bytes]] = defaultdict(list)
        while self._under_way and self._under_way[0][0] <= self._now:
            _, _, version, event = heapq.heappop(self._under_way)
            by_version[version].append(event)
        return tuple(
            _said(version, events[start : start + _GATHERED])
            for version, events in by_version.items()
            for start in range(0, len(events), _GATHERED)
        )

    def _forged(self) -> Iterator[Step]:
        """What is no message, and what nobody may say; each costs itself alone."""
        good = self._placed[-40]
        at = self._now

        def event(order: PlacedOrder, version: str = "vnext", **changes: Any) -> dict[str, Any]:
            made = self._event(order, str(SPRING), version, at, 1.0)
            return {**_ended(made, order, version, "a1", at), **changes}

        stranger = {**event(good), "version": "vstranger", "role": "candidate"}
        nobody = str(UUID(int=1, version=4))
        unsampled = next(
            order for order in reversed(self._placed) if "vlatest-b" not in self._sample(order.id)
        )
        outside = self._placed[10]
        deep: dict[str, Any] = {}
        for _ in range(70):
            deep = {"deeper": deep}
        text = '{"event_id": "x", "kind": "handled"'
        yield steps.Published(
            at=at,
            messages=(
                _said("vlatest", [_written(event(good))]),
                Message(
                    exchange=_EVENTS, routing_key="candidate.vstranger", body=_written(stranger)
                ),
                Message(
                    exchange=_EVENTS,
                    routing_key="baseline.vnext",
                    body=_written(event(good, role="baseline")),
                ),
                _said("vnext", [_written(event(good, order_id=nobody))]),
                _said("vlatest", [_written(event(good, "vlatest", order_id=nobody))]),
                _said("vnext", [_written(event(good, launch=str(SUMMER)))]),
                _said("vnext", [_written(event(outside))]),
                _said("vlatest-b", [_written(event(unsampled, "vlatest-b"))]),
                _said("vnext", [_written(event(good, order_id="no-order"))]),
                _said("vnext", [_written(event(good, result=deep))]),
                _said("vnext", [_written(event(good, handling_ms=None))]),
                _said("vnext", [_written(event(good, handling_ms=-1))]),
                _said("vnext", [_written(event(good, received_at="1970-01-01T00:00:00Z"))]),
                _said("vnext", [text.encode()]),
                _said("vnext", [b"\xff\xfe\x00"]),
                _said("vnext", [b""]),
                Message(exchange=_EVENTS, routing_key="candidate.vnext", body=b"[]"),
                _said("vnext", [_written(event(good, worker="w" * 300_000))]),
                # Of these two the second alone is wrong.
                _said("vnext", [_written(event(good)), _written(event(good, kind="eaten"))]),
                _said("vnext", [_written(event(good, delivery=2**70, event_id="too-large"))]),
            ),
        )
        yield steps.ObserverWorks(at=at)
        body = _written({"id": str(good.id)})
        died = {"x-death": [{"queue": "kitchen.vlatest-b", "reason": "maxlen"}]}
        refused = {"x-reason": "not an order: it is soup"}
        yield steps.Published(
            at=at,
            messages=tuple(
                Message(exchange=_DEAD, routing_key=queue, body=body, headers=headers)
                for queue, headers, times in (
                    ("kitchen.vlatest-b", died, 30),
                    ("kitchen.vnext", refused, 2),
                )
                for _ in range(times)
            ),
        )
        yield steps.ObserverWorks(at=at)

    def _forged_between_launches(self) -> Iterator[Step]:
        """Of orders outside a launch, one that names an ended launch, and one for an order of it
        that comes an hour late in a version's own time."""
        outside, ended = self._placed[-20], self._placed[-900]

        def event(order: PlacedOrder, launch: str | None, **changes: Any) -> bytes:
            made = self._event(order, launch, "vnext", self._now, 1.0)
            return _written({**_ended(made, order, "vnext", "b2", self._now), **changes})

        yield steps.Published(
            at=self._now,
            messages=(
                _said("vnext", [event(outside, None)]),
                _said("vnext", [event(outside, str(SPRING))]),
                _said("vnext", [event(ended, str(SPRING), event_id="after the end")]),
                _said("vnext", [event(ended, None, event_id="after the end, again")]),
            ),
        )
        yield steps.ObserverWorks(at=self._now)


def _ended(
    event: dict[str, Any], order: PlacedOrder, version: str, build: str, received_at: datetime
) -> dict[str, Any]:
    """The end of an order whose beginning is given."""
    found = answer(order, version, build)
    finished_at = received_at + timedelta(milliseconds=found.handling_ms)
    ended = {
        **event,
        "event_id": f"{order.number}-{version}-ended",
        "kind": "handled" if found.error is None else "failed",
        "finished_at": finished_at.isoformat(),
        "handling_ms": found.handling_ms,
    }
    if found.error is None:
        return {**ended, "result": found.result}
    kind, message = found.error
    return {**ended, "error": {"type": kind, "message": message}}


def _repeated(ended: dict[str, Any]) -> dict[str, Any]:
    """A version handles the order once more, with another result: the first one counts."""
    again = {
        **ended,
        "event_id": f"{ended['event_id']}-again",
        "delivery": 2,
        "handling_ms": ended["handling_ms"] + 1000,
    }
    if "result" in again:
        again["result"] = {**again["result"], "total_price": "0.00"}
    return again


def replayed(order: PlacedOrder, sent_as: UUID, build: str, at: datetime) -> Message:
    """What vnext answers to an order that it was sent again, under another id."""
    event = {
        "event_id": f"{order.number}-{sent_as}-replayed",
        "order_id": str(sent_as),
        "launch": str(SPRING),
        "version": "vnext",
        "role": "candidate",
        "build": build,
        "worker": "host-0:1",
        "received_at": at.isoformat(),
        "queue_ms": 1.0,
    }
    return _said("vnext", [_written(_ended(event, order, "vnext", build, at))])


def _said(version: str, events: Sequence[bytes]) -> Message:
    body = events[0] if len(events) == 1 else b"[" + b",".join(events) + b"]"
    return Message(exchange=_EVENTS, routing_key=f"{_ROLES[version]}.{version}", body=body)


def _written(event: dict[str, Any]) -> bytes:
    return msgspec.json.encode(event)
