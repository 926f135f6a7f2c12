"""P7: the memory of observer and web process does not grow with the orders, nor with who watches.

At 10,000 orders, and at as many as the goal's time allows; `make soak` goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.asking import Ask, asking
from bench.backlog import ROLES
from bench.figures import AtMost, Figure, Samples
from bench.memory import pss_mb
from bench.rig import Rig
from bench.trickle import prepared, publish_all_now, trickling
from bench.watching import watching
from local.stack import Stack, until

SECONDS = 90

_AT_FIRST, _AT_FIRST_QUICK = 10_000, 2_000
_AT_ONCE = 2_000
SOCKETS, _SILENT = 500, 50
_WATCHED_PER_S = 50.0
#: The part of the goal's time that is for orders; the rest is for who never reads.
_FOR_ORDERS = 0.65
_ENDED = "select coalesce(sum(handled + failed), 0) from dashboard_tally"


def measure(rig: Rig) -> Iterator[Figure]:
    """One stack, a few boards open, and orders in bulk."""
    url = rig.database("sqlite")
    with rig.stack(DATABASE_URL=url, DEADLINE_SECONDS="3600") as stack, asking(url) as ask:
        stack.start("site", "observer")
        yield from _with_orders(rig, stack, ask, until_left=rig.left() * (1 - _FOR_ORDERS))
        yield _with_silent(rig, stack)


def _with_orders(rig: Rig, stack: Stack, ask: Ask, *, until_left: float) -> Iterator[Figure]:
    at_first = _AT_FIRST_QUICK if rig.quick else _AT_FIRST
    orders, took_s = 0, 0.0
    first: dict[str, float] = {}
    with watching(stack, 3):
        while orders < 2 * at_first or rig.left() - took_s > until_left:
            began = time.monotonic()
            _record(stack, ask, seed=orders)
            orders += _AT_ONCE
            took_s = time.monotonic() - began
            if orders == at_first:
                first = _memory(stack)
        last = _memory(stack)
    for name, mb in last.items():
        yield Figure(
            goal="P7",
            what=f"memory of the {name} at {orders:,} orders",
            unit="MB",
            floor=Samples((first[name],)),
            floor_is=f"at {at_first:,} orders",
            product=Samples((mb,)),
            bound=AtMost(1.05),
            note="`make soak` goes further",
        )


def _record(stack: Stack, ask: Ask, *, seed: int) -> None:
    messages = prepared(stack, _AT_ONCE, rate=1000.0, seed=seed)
    ended = ask(_ENDED) + len(ROLES) * _AT_ONCE
    publish_all_now(stack.amqp_url, messages)
    until(lambda: ask(_ENDED) >= ended, "the observer has recorded all")


def _memory(stack: Stack) -> dict[str, float]:
    pids = stack.pids()
    return {"observer": pss_mb(pids["observer"]), "web process": pss_mb(pids["site"])}


def _with_silent(rig: Rig, stack: Stack) -> Figure:
    """Whoever never reads costs what one frame costs, however long it goes on."""
    seconds = 2.0 if rig.quick else 8.0
    site = stack.pids()["site"]
    messages = prepared(stack, round(_WATCHED_PER_S * 3 * seconds), rate=_WATCHED_PER_S, seed=7)
    with (
        watching(stack, SOCKETS, silent=_SILENT),
        trickling(stack.amqp_url, messages, seconds=3 * seconds),
    ):
        time.sleep(seconds)
        early = pss_mb(site)
        time.sleep(2 * seconds)
        late = pss_mb(site)
    return Figure(
        goal="P7",
        what=f"web process with {SOCKETS} boards of which {_SILENT} never read,"
        f" after {3 * seconds:.0f} s",
        unit="MB",
        floor=Samples((early,)),
        floor_is=f"after {seconds:.0f} s",
        product=Samples((late,)),
        bound=AtMost(1.05),
    )
