"""P6: what people look at, in a launch of very many orders beside one of 10,000.

The floor is the small database, the product the large one: the one that `make grow` has made of
this engine, else one that is grown here, as large as the time allows. Both launches last equally
long, so that orders alone are more in one of them. Pages are looked at in turn.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import astuple

from bench.figures import AtMost, Figure, Samples
from bench.growth.looking import Looker, a_looker
from bench.growth.names import Period
from bench.growth.places import Grown, grown_before
from bench.rig import Rig
from bench.servers import Engine
from local.settings import ROOT, run_directory

SECONDS = 125

_ENGINES: tuple[Engine, ...] = ("sqlite", "postgresql")
_SMALL = 10_000
#: Into how few and how short periods the small launch falls.
_PERIODS, _PERIOD_S = 5, 5_000
#: Orders that are grown here, where there is nothing larger, and what of it the product records.
_PERIOD = Period(orders=2_000)
_LARGE, _QUICK_LARGE = 100_000, 30_000


def measure(rig: Rig) -> Iterator[Figure]:
    """Look at everything in both databases of each engine."""
    for number, engine in enumerate(_ENGINES, start=1):
        until_left = rig.left() * (1 - number / len(_ENGINES)) if number == 1 else 0.0
        yield from _on(engine, rig, until_left)


def _on(engine: Engine, rig: Rig, until_left: float) -> Iterator[Figure]:
    large = grown_before(run_directory(os.environ)).get(engine) or _grown_here(
        engine, rig, _QUICK_LARGE if rig.quick else _LARGE, _PERIOD
    )
    small = _grown_here(engine, rig, _SMALL, _as_long(large))
    with ExitStack() as stack:
        lookers = [stack.enter_context(a_looker(one.url)) for one in (small, large)]
        found = _rounds(lookers, rig, until_left)
    for kind in dict.fromkeys(map(_kind, found)):
        several = {look: shortest for look, shortest in found.items() if _kind(look) == kind}
        worst = max(several, key=lambda look: several[look][1] / several[look][0])
        floor, product = several[worst]
        yield Figure(
            goal="P6",
            what=f"{kind}, {engine}, {large.orders:,} orders",
            unit="ms",
            floor=Samples((floor,)),
            floor_is=f"the same at {small.orders:,} orders",
            product=Samples((product,)),
            bound=AtMost(1.2),
            note=f"“{worst}”, which grows most of {len(several)}" if len(several) > 1 else "",
        )


def _kind(look: str) -> str:
    return look.partition(":")[0]


def _rounds(lookers: list[Looker], rig: Rig, until_left: float) -> dict[str, tuple[float, ...]]:
    """Milliseconds by look, of each database: the shortest of all rounds but the first, which warms
    up. What else the machine does makes looks longer, and of many the one that it makes longest is
    not the one that grows most."""
    found: dict[str, tuple[float, ...]] = {}
    for number in range(1 + rig.rounds):
        for look in lookers[0].looks:
            took = tuple(looker.ms(look) for looker in lookers)
            if number:
                found[look] = tuple(map(min, took, found.get(look, took)))
        if number and rig.left() < until_left:
            break
    return found


def _as_long(large: Grown) -> Period:
    """Periods in which the small launch lasts as long as the large one."""
    periods = max(_PERIODS, -(-large.seconds // _PERIOD_S))
    return Period(orders=-(-_SMALL // periods), seconds=large.seconds // periods)


def _grown_here(engine: Engine, rig: Rig, orders: int, period: Period) -> Grown:
    url = rig.database(engine)
    subprocess.run(
        [sys.executable, "-m", "bench.growth.fill", *map(str, (orders, *astuple(period)))],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        check=True,
    )
    return Grown(url, orders, period.lasts(orders))
