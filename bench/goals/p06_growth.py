"""P6: what people look at, in a launch of very many orders beside one of 10,000.

Both launches last equally long, so that orders alone are more in one of them. The large one has
100,000 orders, or as many as ``--orders`` says. Pages are looked at in turn.
"""

from __future__ import annotations

import itertools
import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from random import Random
from urllib.parse import urlencode
from uuid import UUID

from bench.events import ROLES, publish, reported
from bench.figures import FLOOR, PRODUCT, Figure, at_most
from bench.growth import grow
from bench.rig import Engine, Product, Rig

_SMALL, _RATE = 10_000, 100.0
#: Looks at a page in a row, of which the shortest counts: what else the machine does makes a look
#: longer, never shorter.
_LOOKS = 5
#: Of the user who looks, as the product's DJANGO_SUPERUSER_PASSWORD.
PASSWORD = "of a bench and of nothing else"  # noqa: S105
_COUNTED_MOST = "select id, launch from dashboard_discrepancy order by count desc limit 1"
_ORDER = "select uuid from restaurant_order where id = ?"
#: Each with what it asks for; ``{...}`` is filled in.
PAGES = {
    "board page": "/dashboard/",
    "board page: searched for an order's number": "/dashboard/?q=%237",
    "board page: searched for an id as it is shown": "/dashboard/?q={order:.8}",
    "board page: differing orders": "/dashboard/?filter=differing",
    "board page: failed orders": "/dashboard/?filter=failed",
    "discrepancy list": "/dashboard/discrepancies/",
    "discrepancy page": "/dashboard/discrepancies/{discrepancy}/",
    "discrepancy page: its orders": "/dashboard/discrepancies/{discrepancy}/orders/",
    "order page: of any order": "/dashboard/orders/{order}/",
    "verdict: coverage page": "/dashboard/coverage/",
    "admin lists: orders": "/admin/restaurant/order/",
    "admin lists: discrepancies": "/admin/dashboard/discrepancy/",
}


def measure(rig: Rig) -> Iterator[Figure]:
    """Look at everything in a small and in a large database of each engine."""
    engines: tuple[Engine, ...] = ("sqlite", "postgresql")
    for engine in engines:
        with ExitStack() as stack:
            small, large = (
                stack.enter_context(rig.product(engine=engine, DJANGO_SUPERUSER_PASSWORD=PASSWORD))
                for _ in range(2)
            )
            for product in (small, large):
                _record(product)
            orders = grow(large, rig.large_orders, engine=engine)
            lookers = [Looker(product) for product in (small, large)]
            found: dict[str, list[float]] = {}
            for number in (-1, *rig.rounds):
                for page in PAGES:
                    took = [looker.ms(page) for looker in lookers]
                    if number >= 0:  # the first round warms up
                        found[page] = list(map(min, took, found.get(page, took)))
        yield from _figures(found, f"{engine}, {orders:,} orders")


def _record(product: Product) -> None:
    """Let the observer record the small launch."""
    product.open(site=False)
    publish(product, reported(product, _SMALL, rate=_RATE))
    product.wait_for_ends(len(ROLES) * _SMALL)
    product.stop("observer")


class Looker:
    """A user who may see everything, at a product's site."""

    def __init__(self, product: Product) -> None:
        product.start("site")
        product.manage("createsuperuser", "--noinput", "--username", "looker", "--email", "")
        self._site = product.url
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor()
        )
        self._log_in()
        rng, newest = Random(7), product.newest()
        ((discrepancy, launch),) = product.query(_COUNTED_MOST)

        def any_order() -> dict[str, object]:
            ((order,),) = product.query(_ORDER, rng.randint(1, newest))
            return {"order": str(UUID(str(order)))}

        # Drawn beforehand: to look for an order's name is no part of the page.
        known = {"discrepancy": discrepancy, "launch": UUID(str(launch))}
        orders = [known | any_order() for _ in range(16)]
        self._addresses = {
            name: itertools.cycle([page.format(**order) for order in orders])
            for name, page in PAGES.items()
        }

    def ms(self, page: str) -> float:
        """Milliseconds of the shortest of a few looks at a page."""
        return min(self._ms(next(self._addresses[page])) for _ in range(_LOOKS))

    def _ms(self, address: str) -> float:
        began = time.perf_counter()
        with self._opener.open(self._site + address, timeout=60) as answer:
            answer.read()
        return 1000 * (time.perf_counter() - began)

    def _log_in(self) -> None:
        address = f"{self._site}/admin/login/?next=/admin/"
        page = self._opener.open(address, timeout=60).read().decode()
        (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[:1]
        fields = {"csrfmiddlewaretoken": token, "username": "looker", "password": PASSWORD}
        answer = self._opener.open(address, urlencode(fields).encode(), timeout=60)
        if "login" in answer.url:
            raise RuntimeError("the bench's own user cannot log in")


def _figures(found: dict[str, list[float]], where: str) -> Iterator[Figure]:
    """Of each kind of page, the one that grows most."""
    for kind, several in itertools.groupby(found, lambda page: page.partition(":")[0]):
        pages = list(several)
        worst = max(pages, key=lambda page: found[page][1] / found[page][0])
        floor, product = found[worst]
        yield Figure(
            goal="P6",
            what=f"{kind}, {where}",
            unit="ms",
            seen={FLOOR: [floor], PRODUCT: [product]},
            floor_is=f"the same at {_SMALL:,} orders",
            bound=at_most(1.2),
            note=f"“{worst}”, which grows most of {len(pages)}." if len(pages) > 1 else "",
        )
