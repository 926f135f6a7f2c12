"""A real browser in front of the real processes, or of the site alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests.browser.using import ARGUMENTS, CHROMIUM, PATIENCE_MS, watched_page
from tests.stack import EVERYTHING, Stack, a_stack

expect.set_options(timeout=PATIENCE_MS)


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
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A page of the real processes."""
    with watched_page(browser, stack.url) as page:
        yield page


@pytest.fixture
def site(browser: Browser, live_server: LiveServer, settings: Settings) -> Iterator[Page]:
    """A page of the site alone, on the test's own database: no broker, no other process."""
    settings.BOARD_PUBLIC = True
    with watched_page(browser, live_server.url) as page:
        yield page
