"""How tests use a page: what they use can be seen and reached, on a desktop and on a phone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

#: Debian's Chromium.
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
)
#: How long a page may take to show what is expected of it, on a machine that others use, too.
PATIENCE_MS = 15_000
#: A desktop and a phone.
WIDTHS = (1440, 390)
_HEIGHT = 900
#: Scrolls an element into view as a person does, up and down alone, and says why it cannot be used.
_PROBLEM = """(element) => {
  const root = document.documentElement, field = "textarea, select, input:not([type=checkbox], "
    + "[type=radio], [type=submit], [type=button], [type=hidden])";
  element.scrollIntoView({ block: "center", inline: "nearest", behavior: "instant" });
  if (window.scrollX) return `the page scrolled sideways, by ${window.scrollX} px, to show it`;
  const { left, right, top, bottom, width, height } = element.getBoundingClientRect();
  const where = `x ${Math.round(left)} to ${Math.round(right)} of ${root.clientWidth}, `
    + `y ${Math.round(top)} to ${Math.round(bottom)} of ${root.clientHeight}`;
  if (!width || !height) return "it has no size";
  if (left < -1 || right > root.clientWidth + 1) return `it lies beside the page: ${where}`;
  if (element.matches(field) && width < 36) return `it is only ${Math.round(width)} px wide`;
  const x = (left + right) / 2, y = Math.max(0, top) / 2 + Math.min(root.clientHeight, bottom) / 2;
  if (y < 0 || y > root.clientHeight) return `no scrolling shows it: ${where}`;
  const hit = document.elementFromPoint(x, y), label = element.closest("label");
  const reached = element.contains(hit) || hit?.contains(element) || label?.contains(hit);
  return reached ? "" : `it is covered by ${hit?.outerHTML.slice(0, 80)}: ${where}`;
}"""
#: Charts take their new size a few frames after the window's.
_OVERFLOW = """async () => {
  const root = document.documentElement;
  for (let frame = 0; root.scrollWidth > root.clientWidth && frame < 60; frame++) {
    await new Promise(requestAnimationFrame);
  }
  return root.scrollWidth - root.clientWidth;
}"""


def is_ours(said: ConsoleMessage) -> bool:
    """Whether a page complains of itself, and not of a server that refused or was not there."""
    of_the_server = ("Failed to load resource", "WebSocket connection to")
    return said.type == "error" and not said.text.startswith(of_the_server)


@contextmanager
def watched_page(browser: Browser, url: str) -> Iterator[Page]:
    """A page that fails its test when it logged an error or broke its content policy."""
    context = browser.new_context(base_url=url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if is_ours(said) else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


def in_view(target: Locator, widths: Sequence[int] = WIDTHS) -> Locator:
    """The same element, once it is known to lie inside the page, uncovered, at these widths.

    A page may have to be scrolled down for it, but never sideways.
    """
    page = target.page
    before = page.viewport_size
    problems = {}
    for width in widths:
        page.set_viewport_size({"width": width, "height": _HEIGHT})
        problem = target.evaluate(_PROBLEM)
        if problem:
            problems[width] = problem
    if before:
        page.set_viewport_size(before)
    assert not problems, f"{target}: {problems}"
    return target


def overflow(page: Page, width: int) -> int:
    """How many pixels a page is wider than a screen of this width."""
    page.set_viewport_size({"width": width, "height": _HEIGHT})
    wider: int = page.evaluate(_OVERFLOW)
    return wider


def log_in(page: Page, name: str, then: str) -> None:
    """Log in with the password of every test, and come to a page."""
    page.goto(f"/login/?next={then}")
    in_view(page.locator("[name=username]")).fill(name)
    in_view(page.locator("[name=password]")).fill("dark")
    in_view(page.locator("main button[type=submit]")).click()
    page.wait_for_url(f"**{then}")
