"""P5: the control beside a dark launch at 100 %, with candidates of every kind.

Here all share two or so processors; in earnest the dark side has its own. So the kitchens' cooking
is a sleep, and candidate and observer run at the lowest priority: they get what the control leaves,
and what is measured is what they do to it by way of broker and database. What limits the control is
how many orders it cooks at once. A backlog shows its throughput; orders at less than half of that
show how long a customer waits, from when the relay may post the order to when the ticket has its
answer. The orders were all placed before, each with the sample of its launch, or outside of any.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg

from bench.figures import AtLeast, AtMost, Figure, Samples
from bench.floors.copied_orders import copied_orders
from bench.letters import Letters
from bench.priority import lower
from bench.rig import Rig
from bench.rounds import left_out, rounds
from bench.servers import Engine
from bench.sleepers import AT_ONCE, CRASHING, Sleepers
from local.stack import Stack

SECONDS = 110

_ENGINE: Engine = "postgresql"
#: The candidates, and what is said of each.
_CANDIDATES = {
    "good": "a good candidate",
    "hung": "one that hangs",
    CRASHING: "one that crashes",
    "slow": "one ten times slower",
}
#: Those that a quick run has time for.
_QUICK = ("good", "hung")
_NONE = ""
#: Rounds at most, the one that does not count aside.
_ROUNDS = 3
_RATE = 80
_LEAST = 0.97
_LOOK_S = 0.02

_GO = "update restaurant_letter set sent_at = null where order_id between %s and %s"
_OPEN = "select count(*) from restaurant_order where id between %s and %s and answered_at is null"
_ANSWERED = (
    "select extract(epoch from answered_at)::float8 from restaurant_order"
    " where id between %s and %s order by id"
)
_END = "update restaurant_launch set ended_at = current_timestamp returning id"
_REOPEN = "update restaurant_launch set ended_at = null returning id"
_PERCENT = (
    "update restaurant_darkversion set percent = case version when ? then 100 else 0 end"
    " returning id"
)


@dataclass
class _Measured:
    """The control's answers a second, and the 99th percentile of the wait, round by round."""

    throughput: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)


def measure(rig: Rig) -> Iterator[Figure]:
    """Round after round of no launch and of each candidate, then all figures."""
    names = _QUICK if rig.quick else tuple(_CANDIDATES)
    measured = {name: _Measured() for name in (_NONE, *names)}
    candidates, url = dict.fromkeys(names, 0), rig.database(_ENGINE)
    with (
        rig.stack(database=_ENGINE, candidates=candidates, DATABASE_URL=url) as stack,
        psycopg.connect(url, autocommit=True) as server,
    ):
        bench = _Bench(stack, server, quick=rig.quick)
        for name in measured:
            bench.place(name, 1 + _ROUNDS)
        stack.start("relay", "observer")
        bench.kitchens.open_control()
        bench.measure(names[0], _Measured())
        lower(stack.pids()["observer"])
        for _ in rounds(rig, at_most=_ROUNDS):
            for name, several in measured.items():
                bench.measure(name, several)
    for name in names:
        yield from _figures(rig, _CANDIDATES[name], measured[_NONE], measured[name])


class _Bench:
    """One stack, with the control at work."""

    def __init__(self, stack: Stack, server: psycopg.Connection, *, quick: bool) -> None:
        self.kitchens = Sleepers(stack)
        self._stack = stack
        self._server = server
        #: Orders of a backlog, and those that come one by one.
        self._backlog, self._stream = (100, 80) if quick else (300, 240)
        #: The orders that were placed for a candidate and are still to be let go.
        self._placed: dict[str, range] = {}

    def place(self, candidate: str, times: int) -> None:
        """Place the orders of so many rounds of a candidate, or of no launch at all."""
        self._stack.query(_PERCENT, candidate)
        if not candidate:
            self._stack.query(_END)
        each = self._backlog + self._stream
        self._placed[candidate] = Letters(self._stack).place(each * times)
        self._stack.query(_REOPEN)

    def measure(self, candidate: str, several: _Measured) -> None:
        """One round."""
        copies = copied_orders(self._stack.amqp_url)
        with self.kitchens.dark(candidate) if candidate else copies:
            backlog, stream = (
                self._next(candidate, self._backlog),
                self._next(candidate, self._stream),
            )
            began = time.time()
            self._let_go(backlog[0], backlog[-1])
            several.throughput.append(len(backlog) / (max(self._answered(backlog)) - began))
            times = self._streamed(stream)
            waits = [to - since for since, to in zip(times, self._answered(stream), strict=True)]
            p99_s = statistics.quantiles(waits, n=100, method="inclusive")[98]
            several.p99_ms.append(1000 * p99_s)

    def _next(self, candidate: str, orders: int) -> range:
        placed = self._placed[candidate]
        self._placed[candidate] = placed[orders:]
        return placed[:orders]

    def _let_go(self, first: int, last: int) -> None:
        self._server.execute(_GO, (first, last))

    def _streamed(self, orders: range) -> list[float]:
        """Let orders go at their rate; when each could go."""
        began, times = time.time(), []
        for position, number in enumerate(orders):
            time.sleep(max(0.0, began + position / _RATE - time.time()))
            times.append(time.time())
            self._let_go(number, number)
        return times

    def _answered(self, orders: range) -> list[float]:
        """Wait for all answers; when each came."""
        ends = (orders[0], orders[-1])
        while next(self._server.execute(_OPEN, ends))[0]:
            time.sleep(_LOOK_S)
        return [at for (at,) in self._server.execute(_ANSWERED, ends)]


def _figures(rig: Rig, called: str, floor: _Measured, product: _Measured) -> Iterator[Figure]:
    beside = f"beside {called} at 100 %"
    omitted = left_out(rig, len(product.p99_ms), at_most=_ROUNDS)
    floor_is = "orders outside of any launch, each copied to a queue that nobody reads"
    yield Figure(
        goal="P5",
        what=f"control's throughput {beside}",
        unit="answers/s",
        floor=Samples(tuple(floor.throughput)),
        floor_is=floor_is,
        product=Samples(tuple(product.throughput)),
        bound=AtLeast(_LEAST),
        note=f"a backlog, {AT_ONCE} orders cooked at once for 25 ms each; PostgreSQL{omitted}",
    )
    yield Figure(
        goal="P5",
        what=f"customer's wait {beside}, p99",
        unit="ms",
        floor=Samples(tuple(floor.p99_ms)),
        floor_is=floor_is,
        product=Samples(tuple(product.p99_ms)),
        bound=AtMost(round(1 / _LEAST, 3)),
        note=f"{_RATE} orders a second; PostgreSQL{omitted}",
    )
