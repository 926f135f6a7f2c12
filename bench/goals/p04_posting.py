"""P4: ``POST /orders`` with all that it commits, beside an empty view on the same server.

All are asked in turn by one client over four connections that stay open. That the broker is away
is measured on two sites with their relays at work, one of which has no broker.
"""

from __future__ import annotations

import http.client
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bench.figures import FLOOR, PRODUCT, Figure, at_least
from bench.processes import running, used_s
from bench.rig import Engine, Rig
from local.ports import LOOPBACK, answers, free_ports
from local.stack import until

_ORDER = '{"menuItems": ["burger", "fries"]}'
_JSON = {"Content-Type": "application/json"}
_CONNECTIONS = 4
_ENGINES: Sequence[Engine] = ("sqlite", "postgresql")
#: Nobody listens there.
_NO_BROKER = f"amqp://guest:guest@{LOOPBACK}:1/"
_WARM_UP_S = 0.3

#: Port and process of a server.
_Server = tuple[int, int]


def measure(rig: Rig) -> Iterator[Figure]:
    for engine in _ENGINES[:1] if rig.quick else _ENGINES:
        yield _beside_an_empty_view(rig, engine)
    yield _without_a_broker(rig)


def _beside_an_empty_view(rig: Rig, engine: Engine) -> Figure:
    with rig.products(engine=engine) as products, _empty_view(rig.folder / "empty.log") as empty:
        servers: dict[str, _Server] = {FLOOR: empty}
        for product in products:
            product.start("site")
            servers[product.label] = product.port, product.pids()["site"]
        seen, note = _take_turns(rig, servers)
    return Figure(
        goal="P4",
        what=f"POST /orders committed, {engine}",
        unit="answers/s",
        seen=seen,
        floor_is="an empty view under Django's default middleware, under daphne as well",
        bound=at_least(0.9),
        note=note,
    )


@contextmanager
def _empty_view(log: Path) -> Iterator[tuple[int, int]]:
    """The port and the process of an empty view under the site's own server, which logs each
    request as the site's does."""
    (port,) = free_ports(1)
    words = (
        "-m",
        "daphne",
        "-b",
        LOOPBACK,
        "-p",
        str(port),
        "bench.programs.empty_view:application",
    )
    with running(sys.executable, *words, log=log) as process:
        until(lambda: answers(port), "the empty view answers")
        yield port, process.pid


def _without_a_broker(rig: Rig) -> Figure:
    with rig.product() as with_broker, rig.product(AMQP_URL=_NO_BROKER) as without:
        servers: dict[str, _Server] = {}
        for label, product in ((FLOOR, with_broker), (PRODUCT, without)):
            product.start("site", "relay")
            servers[label] = product.port, product.pids()["site"]
        seen, note = _take_turns(rig, servers)
    return Figure(
        goal="P4",
        what="POST /orders with the broker away, sqlite",
        unit="answers/s",
        seen=seen,
        floor_is="the same while the broker is there, and the relay publishes the orders",
        bound=at_least(0.97),
        note=note,
    )


def _take_turns(rig: Rig, servers: Mapping[str, _Server]) -> tuple[Mapping[str, list[float]], str]:
    """Answers a second of each, round by round, and what an answer costs its processor."""
    seconds = 0.7 if rig.quick else 3.0
    rates, costs_us = defaultdict(list), defaultdict(list)
    for port, _ in servers.values():
        post(port, seconds=_WARM_UP_S)
    for _ in rig.rounds:
        for label, (port, pid) in servers.items():
            used, began = used_s(pid), time.perf_counter()
            answers = post(port, seconds=seconds)
            rates[label].append(answers / (time.perf_counter() - began))
            costs_us[label].append((used_s(pid) - used) / answers * 1e6)
    costs = (f"{label} {statistics.median(each):,.0f} µs" for label, each in costs_us.items())
    return rates, f"Processor time per answer: {', '.join(costs)}."


def post(port: int, *, seconds: float) -> int:
    """Post orders for so long, each connection one after the other; gives the answers. Raises
    RuntimeError at one that is not 200."""
    ends_at = time.perf_counter() + seconds

    def one_connection(_: int) -> int:
        connection, answered = http.client.HTTPConnection(LOOPBACK, port, timeout=20), 0
        while not answered or time.perf_counter() < ends_at:
            connection.request("POST", "/orders", _ORDER, _JSON)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"POST /orders: {answer.status} {body[:200]!r}")
            answered += 1
        connection.close()
        return answered

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        return sum(pool.map(one_connection, range(_CONNECTIONS)))
