"""A real browser in front of the real processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.stack import EVERYTHING, Stack, a_stack

#: How long a page may take to show what is expected of it, on a machine that others use, too.
PATIENCE_MS = 15_000
expect.set_options(timeout=PATIENCE_MS)

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, session_amqp_url: str) -> Iterator[Stack]:
    """All processes, with a first launch."""
    with a_stack(tmp_path_factory.mktemp("stack"), session_amqp_url) as one:
        one.start(*EVERYTHING)
        yield one


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium, Debian's."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=list(_ARGUMENTS)
        )
        yield browser
        browser.close()


def _is_ours(said: ConsoleMessage) -> bool:
    """Whether a page complains of itself, and not of a server that refused or was not there."""
    of_the_server = ("Failed to load resource", "WebSocket connection to")
    return said.type == "error" and not said.text.startswith(of_the_server)


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A page that fails its test when it logged an error or broke its content policy."""
    context = browser.new_context(base_url=stack.url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if _is_ours(said) else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []
