"""P6: what people look at, in a launch of very many orders beside one of 10,000.

Both launches last equally long, so that orders alone are more in one of them. The large one has
100,000 orders, or as many as ``--orders`` says. Pages are looked at in turn.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from subprocess import Popen

from bench.events import ROLES, publish, reported
from bench.figures import FLOOR, PRODUCT, Figure, at_most
from bench.growth import grow
from bench.processes import ask, line, running
from bench.rig import Engine, Product, Rig

SECONDS = 150

_SMALL, _RATE = 10_000, 100.0


def measure(rig: Rig) -> Iterator[Figure]:
    """Look at everything in a small and in a large database of each engine."""
    engines: tuple[Engine, ...] = ("sqlite", "postgresql")
    for number, engine in enumerate(engines, start=1):
        until_left = rig.left() * (1 - number / len(engines))
        with ExitStack() as stack:
            small, large = (stack.enter_context(rig.product(engine=engine)) for _ in range(2))
            for product in (small, large):
                _record(product)
            orders = grow(large, rig.large_orders, engine=engine)
            lookers = [stack.enter_context(looker(one.database_url)) for one in (small, large)]
            found = _rounds(rig, lookers, until_left)
        yield from _figures(found, f"{engine}, {orders:,} orders")


def _record(product: Product) -> None:
    """Let the observer record the small launch."""
    product.open(site=False)
    publish(product, reported(product, _SMALL, rate=_RATE))
    product.wait_for_ends(len(ROLES) * _SMALL)
    product.stop("observer")


@contextmanager
def looker(url: str) -> Iterator[tuple[Popen[str], list[str]]]:
    """A process that looks at the database of a URL, and the names of its looks."""
    settings = {
        "DJANGO_SETTINGS_MODULE": "restaurant.settings",
        "SECRET_KEY": "of a bench and of nothing else, on no machine but this",
        "DATABASE_URL": url,
        "BOARD_PUBLIC": "1",
    }
    words = (sys.executable, "-W", "ignore", "-m", "bench.programs.pages")
    with running(*words, environ={**os.environ, **settings}) as process:
        yield process, json.loads(line(process))


def _rounds(
    rig: Rig, lookers: Sequence[tuple[Popen[str], list[str]]], until_left: float
) -> dict[str, list[float]]:
    """Milliseconds by look, in each database: the shortest of all rounds but the first, which warms
    up. What else the machine does makes looks longer, and of many the one that it makes longest is
    not the one that grows most."""
    found: dict[str, list[float]] = {}
    for number in (-1, *rig.rounds(until_left=until_left)):
        for look in lookers[0][1]:
            took = [float(ask(process, look)) for process, _ in lookers]
            if number >= 0:
                found[look] = list(map(min, took, found.get(look, took)))
    return found


def _figures(found: dict[str, list[float]], where: str) -> Iterator[Figure]:
    """Of each kind of look, the one that grows most."""
    kinds: dict[str, list[str]] = {}
    for look in found:
        kinds.setdefault(look.partition(":")[0], []).append(look)
    for kind, several in kinds.items():
        worst = max(several, key=lambda look: found[look][1] / found[look][0])
        floor, product = found[worst]
        yield Figure(
            goal="P6",
            what=f"{kind}, {where}",
            unit="ms",
            seen={FLOOR: [floor], PRODUCT: [product]},
            floor_is=f"the same at {_SMALL:,} orders",
            bound=at_most(1.2),
            note=f"“{worst}”, which grows most of {len(several)}." if len(several) > 1 else "",
        )
