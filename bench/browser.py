"""A browser with the board: what it costs, and when it showed which order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from bench.processes import used_s

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
)
_PATIENCE_MS = 30_000
_MIB = 2**20
#: Notes each task of more than 50 ms, and when each order's row first shows two ends.
_SCRIPT = """
window.longTasks = [];
window.shown = new Map();
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.longTasks.push(task.duration);
}).observe({ type: "longtask" });
document.addEventListener("DOMContentLoaded", () => {
  const look = () => {
    const now = performance.timeOrigin + performance.now();
    for (const row of document.querySelectorAll("#lanes tbody tr[data-order]")) {
      const states = [...row.querySelectorAll("td[data-state]")].map((one) => one.dataset.state);
      if (!window.shown.has(row.dataset.order)
          && states.every((state) => ["handled", "failed"].includes(state)))
        window.shown.set(row.dataset.order, now);
    }
  };
  const changes = { subtree: true, childList: true, attributes: true };
  const lanes = document.querySelector("#lanes");
  if (lanes && WATCH) new MutationObserver(look).observe(lanes, changes);
});
"""
#: How long frames took to draw, which the board itself measures; earlier checkouts painted them.
_DRAWN = """() => ["board-draw", "board-paint"].flatMap((name) => {
  const drawn = performance.getEntriesByName(name, "measure").map((one) => one.duration);
  performance.clearMeasures(name);
  return drawn;
})"""


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=list(_ARGUMENTS)
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_board(browser: Browser, site: str, *, watch_rows: bool = False) -> Iterator[Page]:
    """The board of a site, its socket live and its lanes in sight.

    ``watch_rows``: note when orders are shown, for `Shown`.
    """
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(_PATIENCE_MS)
    page.add_init_script(_SCRIPT.replace("WATCH", str(watch_rows).lower()))
    try:
        page.goto(f"{site}/dashboard/")
        page.wait_for_selector("#board[data-socket='live']")
        page.locator("#lanes").evaluate("lanes => lanes.scrollIntoView()")
        yield page
    finally:
        page.close()


@dataclass(frozen=True)
class PageLoad:
    """What an open page costs its browser."""

    page: Page
    session: CDPSession
    renderers: tuple[int, ...]

    @classmethod
    def of(cls, browser: Browser, page: Page) -> PageLoad:
        found = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        pids = (one["id"] for one in found if one["type"] == "renderer")
        return cls(page, session, tuple(pids))

    def used_s(self) -> float:
        return sum(map(used_s, self.renderers))

    def long_tasks_ms(self) -> list[float]:
        """Tasks of more than 50 ms since the last call."""
        tasks: list[float] = self.page.evaluate("() => window.longTasks.splice(0)")
        return tasks

    def drawn_ms(self) -> list[float]:
        """How long each frame took to draw since this was asked last."""
        drawn: list[float] = self.page.evaluate(_DRAWN)
        return drawn

    def heap_mb(self) -> float:
        """The page's heap after a collection, whose own task isn't the page's."""
        self.session.send("HeapProfiler.collectGarbage")
        metrics = self.session.send("Performance.getMetrics")["metrics"]
        used = next(one["value"] for one in metrics if one["name"] == "JSHeapUsedSize")
        self.long_tasks_ms()
        return float(used) / _MIB


class ShownOrder:
    """When the board showed orders, by their numbers, in seconds of the time of day."""

    def __init__(self, page: Page, numbers: Mapping[str, int]) -> None:
        seen: Mapping[str, float] = page.evaluate("Object.fromEntries(window.shown)")
        both = sorted((numbers[order], at / 1000) for order, at in seen.items() if order in numbers)
        self._numbers = [number for number, _ in both]
        #: For each number, when it or any later one was first shown.
        self._soonest = list(accumulate((at for _, at in reversed(both)), min))[::-1]

    def at(self, number: int) -> float | None:
        """When the board was first as new as this order: it, or a later one, was in both lanes.

        The lanes have room for forty: at hundreds a second, most orders pass between two frames.
        """
        place = bisect_left(self._numbers, number)
        return self._soonest[place] if place < len(self._soonest) else None
