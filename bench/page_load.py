"""What an open page costs its browser: tasks that block it, its process's time, its memory."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Browser, CDPSession, Page

from bench.families import used_s

_MB = 1024 * 1024
#: Notes the length of each task of more than 50 ms, which is what a browser calls long.
_LISTEN = """() => {
  window.longTasks = [];
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) window.longTasks.push(task.duration);
  }).observe({ type: "longtask" });
}"""
_TAKE = "() => window.longTasks.splice(0)"
#: Lengths of the paints of frames, which the board itself marks.
_PAINTS = """() => {
  const paints = performance.getEntriesByName("board-paint", "measure").map((one) => one.duration);
  performance.clearMeasures("board-paint");
  return paints;
}"""


@dataclass(frozen=True)
class PageLoad:
    """An open page, listened to from when this was made."""

    page: Page
    session: CDPSession
    renderers: tuple[int, ...]

    @classmethod
    def of(cls, browser: Browser, page: Page) -> PageLoad:
        """Listen to a page that has loaded."""
        told = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        page.evaluate(_LISTEN)
        renderers = (one["id"] for one in told["processInfo"] if one["type"] == "renderer")
        return cls(page, session, tuple(renderers))

    def used_s(self) -> float:
        """Processor time of the browser's renderers; this page has the only one that works."""
        return sum(used_s(pid) for pid in self.renderers)

    def long_tasks_ms(self) -> list[float]:
        """Tasks of more than 50 ms since the last question."""
        tasks: list[float] = self.page.evaluate(_TAKE)
        return tasks

    def paints_ms(self) -> list[float]:
        """How long each frame took to paint since the last question."""
        paints: list[float] = self.page.evaluate(_PAINTS)
        return paints

    def heap_mb(self) -> float:
        """The page's objects that are in use, after what is not was collected."""
        self.session.send("HeapProfiler.collectGarbage")
        metrics = self.session.send("Performance.getMetrics")["metrics"]
        used = next(one["value"] for one in metrics if one["name"] == "JSHeapUsedSize")
        return float(used) / _MB
