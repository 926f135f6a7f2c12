"""P8: five hundred watching boards: what they cost the observer, the web process and each other.

The clients run on the same processors; what they use is in the notes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from bench.asking import Ask, asking
from bench.backlog import ROLES
from bench.families import used_s
from bench.figures import AtLeast, AtMost, Figure, Samples
from bench.memory import pss_mb
from bench.rig import Rig
from bench.trickle import prepared, publish_all_now, trickling
from bench.watching import Report, Watching, watching
from local.stack import Stack, StackFailed

SECONDS = 80

SOCKETS = 500
_PER_S = 200.0
_SETTLE_S = 1.0
_ENDED = "select coalesce(sum(handled + failed), 0) from dashboard_tally"
_EVENTS = 2 * len(ROLES)
_POLL_S, _PATIENCE_S = 0.01, 30.0


@dataclass(frozen=True)
class _Watched:
    """Some seconds of watching at a steady pace of orders."""

    report: Report
    web_cores: float
    client_cores: float
    web_mb: float


def measure(rig: Rig) -> Iterator[Figure]:
    """The observer with and without them; then how they fare, without and with a silent one."""
    url = rig.database("sqlite")
    with rig.stack(DATABASE_URL=url, DEADLINE_SECONDS="3600") as stack, asking(url) as ask:
        stack.start("site", "observer")
        yield _throughput(rig, stack, ask, until_left=rig.left() / 2)
        yield from _watching(rig, stack)


def _throughput(rig: Rig, stack: Stack, ask: Ask, *, until_left: float) -> Figure:
    without: list[float] = []
    beside: list[float] = []
    orders, took_s = 500 if rig.quick else 2000, 0.0
    _drained_per_s(stack, ask, 200, seed=0)
    while not beside or (len(beside) < rig.rounds and rig.left() - took_s > until_left):
        began = time.monotonic()
        without.append(_drained_per_s(stack, ask, orders, seed=len(without)))
        with watching(stack, SOCKETS):
            beside.append(_drained_per_s(stack, ask, orders, seed=len(without)))
        took_s = time.monotonic() - began
    return Figure(
        goal="P8",
        what=f"observer's throughput while {SOCKETS} boards watch",
        unit="events/s",
        floor=Samples(tuple(without)),
        floor_is="the same while nobody watches",
        product=Samples(tuple(beside)),
        bound=AtLeast(0.95),
    )


def _drained_per_s(stack: Stack, ask: Ask, orders: int, *, seed: int) -> float:
    """Events a second at which the observer records what stands in its queue at once."""
    messages = prepared(stack, orders, rate=1000.0, seed=seed)
    ended, began = ask(_ENDED) + len(ROLES) * orders, time.perf_counter()
    publish_all_now(stack.amqp_url, messages)
    while ask(_ENDED) < ended:
        if time.perf_counter() - began > _PATIENCE_S:
            raise StackFailed("the observer has not recorded all in time")
        time.sleep(_POLL_S)
    return _EVENTS * orders / (time.perf_counter() - began)


def _watching(rig: Rig, stack: Stack) -> Iterator[Figure]:
    alone: list[_Watched] = []
    beside: list[_Watched] = []
    seconds, took_s = 2.0 if rig.quick else 5.0, 0.0
    with watching(stack, SOCKETS) as boards:
        _watched(stack, boards, seconds=seconds)
        while not beside or (len(beside) < rig.rounds and rig.left() > took_s):
            began = time.monotonic()
            alone.append(_watched(stack, boards, seconds=seconds))
            with watching(stack, 1, silent=1):
                beside.append(_watched(stack, boards, seconds=seconds))
            took_s = time.monotonic() - began
    yield from _figures(alone, beside)


def _watched(stack: Stack, boards: Watching, *, seconds: float) -> _Watched:
    whole_s = seconds + _SETTLE_S
    messages = prepared(stack, round(_PER_S * whole_s), rate=_PER_S, seed=8)
    site = stack.pids()["site"]
    with ExitStack() as running:
        running.enter_context(trickling(stack.amqp_url, messages, seconds=whole_s))
        time.sleep(_SETTLE_S)
        boards.report()
        web_s, clients_s, began = used_s(site), used_s(boards.pid), time.monotonic()
        time.sleep(seconds)
        took_s = time.monotonic() - began
        report = boards.report()
        return _Watched(
            report=report,
            web_cores=(used_s(site) - web_s) / took_s,
            client_cores=(used_s(boards.pid) - clients_s) / took_s,
            web_mb=pss_mb(site),
        )


def _figures(alone: list[_Watched], beside: list[_Watched]) -> Iterator[Figure]:
    rates = Samples(tuple(one.report.frames_per_s for one in alone))
    clients = Samples(tuple(one.client_cores for one in alone))
    size = alone[0].report.bytes / max(1, len(alone[0].report.ages_ms)) / 1000
    note = (
        f"{_PER_S:.0f} orders/s; each board got {rates.median:.1f} frames/s of {size:.0f} kB;"
        f" their clients used {clients.median:.2f} core"
    )
    yield Figure(
        goal="P8",
        what=f"web process with {SOCKETS} boards",
        unit="cores",
        product=Samples(tuple(one.web_cores for one in alone)),
        bound=AtMost(0.3, of="product"),
        note=note,
    )
    p99 = Samples(tuple(one.report.age_ms(99) for one in alone))
    yield Figure(
        goal="P8",
        what="from when a frame's tick began until it was there, p99",
        unit="ms",
        product=p99,
        bound=AtMost(100, of="product"),
        note=note,
    )
    yield Figure(
        goal="P8",
        what="the same while one more never reads",
        unit="ms",
        floor=p99,
        floor_is="nobody who never reads",
        product=Samples(tuple(one.report.age_ms(99) for one in beside)),
        bound=AtMost(1.3),
    )
    costs = zip(alone, beside, strict=True)
    yield Figure(
        goal="P8",
        what="memory that the one costs the web process",
        unit="MB",
        product=Samples(tuple(two.web_mb - one.web_mb for one, two in costs)),
        bound=AtMost(2, of="product"),
    )
