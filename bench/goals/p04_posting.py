"""P4: ``POST /orders`` with all that it commits, beside an empty view on the same server.

All are asked in turn by one client over four connections that stay open. That the broker is away
is measured on two sites with their relays at work, one of which has no broker.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.families import used_s
from bench.figures import AtLeast, Figure, Samples
from bench.posting import post
from bench.rig import Rig
from bench.rounds import left_out, rounds
from bench.servers import Engine
from local.ports import LOOPBACK, answers, free_ports
from local.processes import ends_with_us
from local.settings import ROOT
from local.stack import Stack, until

SECONDS = 50

_DATABASES: dict[Engine, str] = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_FLOOR = "bench.floors.empty_view:application"
_ORDER = b'{"menuItems": ["burger", "fries"]}'
#: Nobody listens there.
_NO_BROKER = f"amqp://guest:guest@{LOOPBACK}:1/"
_WARM_UP_S = 0.3


@dataclass
class _Server:
    """A server, the answers a second that it gave in each round, and what one cost it."""

    port: int
    pid: int
    rates: list[float] = field(default_factory=list)
    costs_us: list[float] = field(default_factory=list)

    def measure(self, seconds: float) -> None:
        """One round."""
        used = used_s(self.pid)
        posted = post(self.port, "/orders", _ORDER, seconds=seconds)
        self.rates.append(posted.rate)
        self.costs_us.append((used_s(self.pid) - used) / posted.answers * 1e6)

    @property
    def samples(self) -> Samples:
        """The answers a second of each round."""
        return Samples(tuple(self.rates))

    @property
    def cost(self) -> str:
        """What an answer costs."""
        return f"{Samples(tuple(self.costs_us)).median:,.0f} us"


def measure(rig: Rig) -> Iterator[Figure]:
    """An order on both databases, and without a broker; a quick run has time for one database."""
    part_s = rig.left() / (2 if rig.quick else 3)
    yield _beside_an_empty_view(rig, "sqlite", until_left=rig.left() - part_s)
    if not rig.quick:
        yield _beside_an_empty_view(rig, "postgresql", until_left=part_s)
    yield _without_a_broker(rig, until_left=0)


def _beside_an_empty_view(rig: Rig, engine: Engine, *, until_left: float) -> Figure:
    with rig.stack(database=engine) as stack, _empty_view(rig) as empty:
        stack.start("site")
        posting = _site(stack)
        _take_turns(rig, (empty, posting), until_left)
    return Figure(
        goal="P4",
        what=f"POST /orders committed, {_DATABASES[engine]}",
        unit="answers/s",
        floor=empty.samples,
        floor_is="an empty Django view under the default middleware, under daphne as well",
        product=posting.samples,
        bound=AtLeast(1.2),
        note=_note(rig, posting, empty),
    )


def _without_a_broker(rig: Rig, *, until_left: float) -> Figure:
    with rig.stack() as stack, rig.stack(AMQP_URL=_NO_BROKER) as alone:
        for one in (stack, alone):
            one.start("site", "relay")
        there, away = _site(stack), _site(alone)
        _take_turns(rig, (there, away), until_left)
    return Figure(
        goal="P4",
        what="POST /orders with the broker away, SQLite",
        unit="answers/s",
        floor=there.samples,
        floor_is="the same while the broker is there, and the relay posts what is ordered",
        product=away.samples,
        bound=AtLeast(0.97),
        note=_note(rig, away, there),
    )


def _take_turns(rig: Rig, servers: Sequence[_Server], until_left: float) -> None:
    """Round after round, while more than these seconds of the goal's time are left."""
    seconds = 0.7 if rig.quick else 1.5
    for server in servers:
        post(server.port, "/orders", _ORDER, seconds=_WARM_UP_S)
    for _ in rounds(rig, until_left=until_left):
        for server in servers:
            server.measure(seconds)


def _note(rig: Rig, product: _Server, floor: _Server) -> str:
    return (
        f"of its processor an answer takes the product {product.cost}, the floor {floor.cost}"
        f"{left_out(rig, len(product.rates))}"
    )


def _site(stack: Stack) -> _Server:
    return _Server(stack.port, stack.pids()["site"])


@contextmanager
def _empty_view(rig: Rig) -> Iterator[_Server]:
    """The floor, under the site's own server, which logs each request as the site's does."""
    (port,) = free_ports(1)
    words = ["-m", "daphne", "-b", LOOPBACK, "-p", str(port), _FLOOR]
    with (rig.folder / "empty-view.log").open("ab") as log:
        process = subprocess.Popen(
            ends_with_us([sys.executable, *words]),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: answers(port), "the empty view answers")
        yield _Server(port, process.pid)
    finally:
        process.terminate()
        process.wait()
