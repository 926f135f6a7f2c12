"""A real browser: headless Chromium, as the tests of the pages use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
)
_VIEWPORT: ViewportSize = {"width": 1440, "height": 900}
_PATIENCE_MS = 30_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; gone at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=list(_ARGUMENTS)
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_board(browser: Browser, site: str, *, script: str = "") -> Iterator[Page]:
    """The board of a site in a page of its own, its socket live and its lanes in sight, as who
    watches a rush has it; ``script`` runs before its own."""
    page = browser.new_page(viewport=_VIEWPORT)
    page.set_default_timeout(_PATIENCE_MS)
    if script:
        page.add_init_script(script)
    try:
        page.goto(f"{site}/dashboard/")
        page.wait_for_selector("#board[data-socket='live']")
        page.locator("#lanes").evaluate("lanes => lanes.scrollIntoView()")
        yield page
    finally:
        page.close()
