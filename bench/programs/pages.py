"""``python -m bench.programs.pages``: pages that people look at, timed on the database of
DATABASE_URL.

Prints the pages' names, then for each name of its input the milliseconds of the shortest of a few
looks: what else the machine does makes a look longer, never shorter. The pages are built by the
product's own views, without a server between.
"""

from __future__ import annotations

import importlib
import itertools
import json
import sys
import time
from random import Random
from typing import Any

import django

_TIMES = 5
#: Each with what it asks for; ``{...}`` is filled in.
PAGES = {
    "board page": "/dashboard/",
    "board page: searched for an order's number": "/dashboard/?q=%237",
    "board page: searched for an id as it is shown": "/dashboard/?q={shown}",
    "lanes: all orders": "/dashboard/lanes/",
    "lanes: differing orders": "/dashboard/lanes/?lens=differing",
    "lanes: failed orders": "/dashboard/lanes/?lens=failed",
    "discrepancy list": "/dashboard/discrepancies/",
    "discrepancy page": "/dashboard/discrepancies/{discrepancy}/",
    "discrepancy page: its orders": "/dashboard/discrepancies/{discrepancy}/orders/",
    "order page: of any order": "/dashboard/orders/{order}/",
    "verdict: coverage page": "/dashboard/coverage/",
    "admin lists: orders": "/admin/restaurant/order/",
    "admin lists: letters": "/admin/restaurant/letter/",
    "admin lists: observations": "/admin/dashboard/observation/",
    "admin lists: observations that are missing": "/admin/dashboard/observation/?state=missing",
    "admin lists: observations of a version": (
        "/admin/dashboard/observation/?launch={launch}&version=vnext"
    ),
    "admin lists: observations of a day": "/admin/dashboard/observation/?placed={day}",
    "admin lists: pairs": "/admin/dashboard/comparison/",
    "admin lists: pairs of an outcome": (
        "/admin/dashboard/comparison/?launch={launch}&version=vnext&outcome=differ"
    ),
    "admin lists: pairs of an outcome that nobody had": (
        "/admin/dashboard/comparison/?launch={launch}&version=vnext&outcome=control_failed"
    ),
    "admin lists: discrepancies": "/admin/dashboard/discrepancy/",
}


def main() -> None:
    """Answer until the input ends."""
    django.setup()
    client, rng = _client(), Random(7)
    addresses = {
        # Drawn beforehand: to look for an order's name is no part of the page.
        name: itertools.cycle([page.format(**_given(rng)) for _ in range(16 if "{" in page else 1)])
        for name, page in PAGES.items()
    }
    print(json.dumps(list(PAGES)), flush=True)
    for line in sys.stdin:
        print(min(_ms(client, next(addresses[line.strip()])) for _ in range(_TIMES)), flush=True)


def _client() -> Any:
    """A browser whose user may see everything."""
    users = importlib.import_module("django.contrib.auth").get_user_model().objects
    user, _ = users.get_or_create(
        username="looker", defaults={"is_staff": True, "is_superuser": True}
    )
    client = importlib.import_module("django.test").Client(headers={"host": "localhost"})
    client.force_login(user)
    return client


def _given(rng: Random) -> dict[str, object]:
    """What an address asks for: the discrepancy that is counted most, and any order."""
    discrepancies = importlib.import_module("dashboard.models").Discrepancy.objects
    orders = importlib.import_module("restaurant.models").Order.objects
    discrepancy = discrepancies.order_by("-count")[0]
    order = orders.get(pk=rng.randint(1, orders.order_by("-pk")[0].pk))
    return {
        "launch": discrepancy.launch,
        "discrepancy": discrepancy.pk,
        "order": order.uuid,
        "shown": str(order.uuid)[:8],
        "day": f"{order.placed_at:%Y-%m-%d}",
    }


def _ms(client: Any, address: str) -> float:
    began = time.perf_counter()
    # The board asks for its lanes alone.
    headers = {"HX-Request": "true"} if "/lanes/" in address else {}
    response = client.get(address, headers=headers)
    took_s = time.perf_counter() - began
    if response.status_code != 200:
        raise RuntimeError(f"{address}: {response.status_code}")
    return 1000 * took_s


if __name__ == "__main__":
    main()
