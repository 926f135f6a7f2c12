"""``python -m bench.growth.looks``: what people look at, timed in the database of DATABASE_URL.

Reads the name of a look a line, looks at it a few times, and answers with the milliseconds of the
shortest: what else the machine does makes looks longer, never shorter. The pages are built by the
product's own views, without a server between. A name begins with the kind of look that it is.
"""

from __future__ import annotations

import importlib
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

import django

_TIMES = 5
#: Digits of an order's id that the board shows.
_SHOWN = 8
#: Each with what it asks for; ``{...}`` is filled in.
PAGES = {
    "board page": "/dashboard/",
    "board page: searched for an order's number": "/dashboard/?q=%237",
    "board page: searched for an id as it is shown": "/dashboard/?q={shown}",
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
    "admin lists: observations of a day": "/admin/dashboard/observation/?placed=2026-01-05",
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
    """Answer until there is nothing more to answer."""
    django.setup()
    looks = dict(_looks())
    print(json.dumps(list(looks)), flush=True)
    for line in sys.stdin:
        print(_shortest_ms(looks[line.strip()]), flush=True)


def _shortest_ms(look: Callable[[], object]) -> float:
    times = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        look()
        times.append(1000 * (time.perf_counter() - began))
    return min(times)


def _looks() -> Iterator[tuple[str, Callable[[], object]]]:
    frame = importlib.import_module("dashboard.board.frame")
    launch = importlib.import_module("restaurant.launches").newest_launch()
    for lens in importlib.import_module("dashboard.board.lenses").Lens:
        yield f"frame: {lens.value} orders", _frame_of(frame.build_frame, launch, lens)
    yield "verdict: from the stored evidence", _verdict_of(launch)
    client, given = _client(), _given(launch)
    for name, address in PAGES.items():
        yield name, _page_of(client, address, given)


def _frame_of(build: Any, launch: Any, lens: Any) -> Callable[[], object]:
    return lambda: build(launch, lens, with_series=True)


def _verdict_of(launch: Any) -> Callable[[], object]:
    """Read and judge all of the evidence: what a process does at the first look."""
    stored = importlib.import_module("dashboard.observing.evidence")
    verdicts = importlib.import_module("dashboard.verdict.evaluation")
    judged = importlib.import_module("dashboard.verdict.verdict")
    requirements = importlib.import_module("dashboard.verdict.requirements")

    def look() -> object:
        row = verdicts.current_evidence(launch.pk, "vnext")
        return judged.verdict(
            stored.whole_tally(row).evidence(),
            verdicts.requirements_of(launch.pk),
            requirements.Health(),
            timing=stored.timing_of(row),
        )

    return look


def _client() -> Any:
    """A browser of somebody who may see everything."""
    users = importlib.import_module("django.contrib.auth").get_user_model().objects
    user, _ = users.get_or_create(
        username="looker", defaults={"is_staff": True, "is_superuser": True}
    )
    client = importlib.import_module("django.test").Client(headers={"host": "localhost"})
    client.force_login(user)
    return client


def _given(launch: Any) -> Mapping[str, Callable[[], object]]:
    """What an address asks for: the discrepancy that is shown most, and orders of all times."""
    tables = importlib.import_module("dashboard.models")
    orders = importlib.import_module("restaurant.models").Order.objects
    shown = tables.Discrepancy.objects.filter(launch=launch.pk).order_by("-count")[0]
    random, last = Random(7), orders.order_by("-pk")[0].pk

    def an_order() -> object:
        return orders.get(pk=random.randint(1, last)).uuid

    return {
        "launch": lambda: launch.pk,
        "discrepancy": lambda: shown.pk,
        "order": an_order,
        "shown": lambda: str(an_order())[:_SHOWN],
    }


def _page_of(
    client: Any, address: str, given: Mapping[str, Callable[[], object]]
) -> Callable[[], object]:
    wanted = [name for name in given if f"{{{name}}}" in address]
    # Drawn beforehand: a look for an order's name is no part of the page.
    asked = itertools.cycle(
        [address.format(**{name: given[name]() for name in wanted}) for _ in range(64)]
    )

    def look() -> object:
        response = client.get(next(asked))
        if response.status_code != 200:
            raise RuntimeError(f"{address}: {response.status_code}")
        return response.content

    return look


if __name__ == "__main__":
    main()
