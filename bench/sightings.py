"""When an open board showed orders: the moment at which both lanes say how each order ended."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate

from playwright.sync_api import Page

#: Runs in the page, before the page's own scripts; notes an order when its row first says so.
SCRIPT = """
window.sightings = new Map();
document.addEventListener("DOMContentLoaded", () => {
  const ended = ["handled", "failed"];
  const look = () => {
    const now = performance.timeOrigin + performance.now();
    for (const row of document.querySelectorAll("#lanes tbody tr[data-order]")) {
      const cells = [...row.querySelectorAll("td[data-state]")];
      if (!window.sightings.has(row.dataset.order)
          && cells.every((cell) => ended.includes(cell.dataset.state)))
        window.sightings.set(row.dataset.order, now);
    }
  };
  const changes = { subtree: true, childList: true, attributes: true };
  new MutationObserver(look).observe(document.querySelector("#lanes"), changes);
});
"""


class Sightings:
    """What was seen of orders by their numbers, in seconds of the time of day."""

    def __init__(self, page: Page, numbers: Mapping[str, int]) -> None:
        seen: Mapping[str, float] = page.evaluate("Object.fromEntries(window.sightings)")
        both = sorted((numbers[order], at / 1000) for order, at in seen.items() if order in numbers)
        self._numbers = [number for number, _ in both]
        times = [at for _, at in both]
        #: For each number, when it or any later one was first seen.
        self._soonest = list(accumulate(reversed(times), min))[::-1]

    def shown_at(self, number: int) -> float | None:
        """When the board was first as new as this order: it, or a later one, stood in both lanes.

        The lanes have room for forty: at hundreds a second, most orders pass between two frames.
        """
        place = bisect_left(self._numbers, number)
        return self._soonest[place] if place < len(self._soonest) else None

    def was_seen(self, number: int) -> bool:
        """Whether the order itself stood in both lanes."""
        place = bisect_left(self._numbers, number)
        return self._numbers[place : place + 1] == [number]
