"""A real browser in front of the real processes, or of the site alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

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
    # The browser's driver has a loop in the tests' thread, where Django then refuses a database.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=list(_ARGUMENTS)
        )
        yield browser
        browser.close()


def is_ours(said: ConsoleMessage) -> bool:
    """Whether a page complains of itself, and not of a server that refused or was not there."""
    of_the_server = ("Failed to load resource", "WebSocket connection to")
    return said.type == "error" and not said.text.startswith(of_the_server)


@contextmanager
def _watched_page(browser: Browser, url: str) -> Iterator[Page]:
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


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A page of the real processes."""
    with _watched_page(browser, stack.url) as page:
        yield page


@pytest.fixture
def site(browser: Browser, live_server: LiveServer, settings: Settings) -> Iterator[Page]:
    """A page of the site alone, on the test's own database: no broker, no other process."""
    settings.BOARD_PUBLIC = True
    with _watched_page(browser, live_server.url) as page:
        yield page
