"""P3: how long after an order was posted both versions stand on the board in a browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID

from bench.browser import chromium, open_board
from bench.figures import AtMost, Figure, Samples
from bench.letters import Letters
from bench.rig import CONTROL, Rig
from bench.sightings import SCRIPT, Sightings
from bench.sustained import sustained
from local.stack import Stack, until

SECONDS = 60

#: Orders that are posted one by one and timed; the rest of the load is a rush.
_POSTED_PER_S = 15.0
_WARM_UP = 300
_SETTLE_S = 1.0
_NEWEST = "select max(id) from restaurant_order"
_WHOSE = "select uuid, id from restaurant_order where id > ?"

#: When a request was sent, and the order's number.
_Posted = tuple[float, str]


def measure(rig: Rig) -> Iterator[Figure]:
    """Post orders while a rush runs, at half of what is kept up with beside one."""
    with rig.stack(MINUTE_MS="1", DEADLINE_SECONDS="3600") as stack, chromium() as browser:
        stack.start("site", "observer", "vnext")
        letters, orders = Letters(stack), 400 if rig.quick else 2500
        waiting = letters.place(_WARM_UP + orders)
        with open_board(browser, stack.url, script=SCRIPT) as page:
            stack.start("relay", CONTROL)
            letters.let_go(waiting[:_WARM_UP])
            drained = orders / letters.let_go(waiting[_WARM_UP:])
            rate = sustained(stack, drained=drained, seconds=2.0 if rig.quick else 6.0) / 2
            last = stack.number(_NEWEST)
            seconds = max(3.0, min(rig.left() - 6.0, 25.0))
            posted = _post_beside_a_rush(stack, rate=rate, seconds=seconds)
            page.wait_for_timeout(2000)
            placed = stack.query(_WHOSE, last)
            numbers = {str(UUID(str(uuid))): number for uuid, number in placed}
            sightings = Sightings(page, numbers)
    yield from _figures(posted, numbers, sightings, rate=rate)


def _post_beside_a_rush(stack: Stack, *, rate: float, seconds: float) -> list[_Posted]:
    """Post orders at their own pace, whatever the site's answers take."""
    rushed, before = rate - _POSTED_PER_S, stack.number(_NEWEST)
    options = ("--rate", f"{rushed:.1f}", "--wait", "0", "--seed", "3")
    stack.start("rush", options=("--orders", str(round(rushed * (seconds + 3))), *options))
    until(lambda: stack.number(_NEWEST) > before, "the rush is on its way")
    pace, futures = threading.Event(), list[Future[_Posted]]()
    pace.wait(_SETTLE_S)
    with ThreadPoolExecutor(8) as posting:
        began = time.monotonic()
        for number in range(round(seconds * _POSTED_PER_S)):
            pace.wait(max(0.0, began + number / _POSTED_PER_S - time.monotonic()))
            futures.append(posting.submit(_post, stack))
        return [future.result() for future in futures]


def _post(stack: Stack) -> _Posted:
    sent_at = time.time()
    return sent_at, stack.post_order(["burger", "fries"])["id"]


def _figures(
    posted: list[_Posted], numbers: dict[str, int], sightings: Sightings, *, rate: float
) -> Iterator[Figure]:
    waits_ms = []
    for sent_at, order in posted:
        shown_at = sightings.shown_at(numbers[order])
        if shown_at is None:
            raise RuntimeError(f"order {numbers[order]} never came to the board")
        waits_ms.append((shown_at - sent_at) * 1000)
    waits_ms.sort()
    seen = sum(sightings.was_seen(numbers[order]) for _, order in posted)
    note = (
        f"{len(posted)} orders posted beside a rush, {rate:.0f} orders/s in all; {seen} of them "
        f"stood in the lanes, the others had later ones there first. Longest {waits_ms[-1]:.0f} ms."
    )
    for percent, limit in ((50, 150), (99, 400)):
        yield Figure(
            goal="P3",
            what=f"order posted to both versions on the board, p{percent}",
            unit="ms",
            product=Samples((waits_ms[len(waits_ms) * percent // 100],)),
            bound=AtMost(limit, of="product"),
            note=note,
        )
