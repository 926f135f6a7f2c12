"""One clock on a page: the reader's own, its zone named once; UTC where there is no JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from dashboard.comparison.outcome import Decision
from dashboard.models import Discrepancy
from dashboard.review.reviews import SeenRevision, review
from dashboard.tests.factories import START, a_launch
from dashboard.tests.making import a_discrepancy
from dashboard.tests.verdict_frames import a_frame
from tests.browser.faked_board import FakedBoard

pytestmark = pytest.mark.browser

#: Five hours and a half ahead of UTC, winter and summer.
ZONE = "Asia/Kolkata"


@pytest.fixture
def discrepancy(live_server: LiveServer, settings: Settings) -> Discrepancy:
    """Seen first and last at 10:00 UTC."""
    settings.BOARD_PUBLIC = True
    return a_discrepancy(a_launch().pk)


def reader(browser: Browser, url: str, *, with_script: bool) -> Iterator[Page]:
    context = browser.new_context(base_url=url, timezone_id=ZONE, java_script_enabled=with_script)
    yield context.new_page()
    context.close()


@pytest.fixture
def page(browser: Browser, live_server: LiveServer) -> Iterator[Page]:
    """A reader in India."""
    yield from reader(browser, live_server.url, with_script=True)


@pytest.fixture
def plain_page(browser: Browser, live_server: LiveServer) -> Iterator[Page]:
    """The same, without JavaScript."""
    yield from reader(browser, live_server.url, with_script=False)


def test_what_the_server_writes_is_on_the_readers_clock(
    page: Page, discrepancy: Discrepancy
) -> None:
    page.goto(f"/dashboard/discrepancies/{discrepancy.pk}/")
    first = page.locator("dt:text-is('first seen') + dd time")
    assert START.isoformat() == "2026-01-05T10:00:00+00:00"
    expect(first).to_have_text("5 Jan, 15:30:00")
    expect(first).to_have_attribute("title", "5 Jan, 10:00:00 UTC")
    zone = re.compile(r"Times are in Asia/(Calcutta|Kolkata) \(UTC\+5:30\)\.")
    expect(page.locator("[data-zone]")).to_have_text(zone)
    assert page.locator("body").inner_text().count("UTC") == 1


def test_a_part_that_comes_later_is_on_the_same_clock(page: Page, discrepancy: Discrepancy) -> None:
    page.goto(f"/dashboard/discrepancies/{discrepancy.pk}/")
    review([SeenRevision(discrepancy.pk, 0)], Decision.BUG, note="", author="ada")
    page.evaluate(
        "htmx.ajax('GET', location.href, { select: '#review', target: '#review',"
        " swap: 'outerHTML' })"
    )
    decided = page.locator("#review .history time")
    expect(decided).to_have_attribute("title", re.compile("UTC"))
    assert "UTC" not in decided.inner_text()


def test_without_javascript_each_time_names_utc(plain_page: Page, discrepancy: Discrepancy) -> None:
    plain_page.goto(f"/dashboard/discrepancies/{discrepancy.pk}/")
    first = plain_page.locator("dt:text-is('first seen') + dd time")
    expect(first).to_have_text("5 Jan, 10:00:00 UTC")
    expect(plain_page.locator("[data-zone]")).to_be_hidden()


def test_charts_and_requirements_are_on_the_same_clock(browser: Browser) -> None:
    frame = a_frame("not yet")
    frame["verdict"]["requirements"][0] |= {
        "was": "faster", "was_at": START.timestamp(), "word": "inconclusive"
    }  # fmt: skip
    page = browser.new_page(timezone_id=ZONE)
    board = FakedBoard(page, frame)
    history = page.locator("[data-key=speed] .history")
    expect(history).to_have_text("since 15:30: faster \N{RIGHTWARDS ARROW} inconclusive")
    board.send(frame)
    expect(history).to_have_text("since 15:30: faster \N{RIGHTWARDS ARROW} inconclusive")
    last = frame["series"]["t"][-1]
    minutes = datetime.fromtimestamp(last, UTC).minute
    chart = page.locator("[data-chart=handling] figcaption time")
    chart.scroll_into_view_if_needed()
    expect(chart).to_have_text(re.compile(rf":{(minutes + 30) % 60:02}:"))
    expect(page.locator("[data-zone]")).to_contain_text("UTC+5:30")
    page.close()
