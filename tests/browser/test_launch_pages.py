"""A whole launch by a person, on the launches' own pages, at a desk and on a phone."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Locator, Page, expect

from tests.browser.using import in_view, log_in, overflow

pytestmark = pytest.mark.browser

LIST = "/dashboard/launches/"
#: The most clicks for each act, from the page of the launch (of the list, to start one) to what
#: says that it is done. Typing is not counted.
CLICKS = {"start": 2, "percent": 1, "stop": 2, "end": 2, "abandon": 2}


class Person:
    """Clicks what is inside the viewport, and counts the clicks."""

    def __init__(self, page: Page, width: int) -> None:
        self.page = page
        self.width = width
        self.clicks = 0

    def click(self, target: Locator) -> None:
        in_view(target, [self.width]).click()
        self.clicks += 1
        assert overflow(self.page, self.width) == 0

    def type(self, target: Locator, text: str) -> None:
        in_view(target, [self.width]).fill(text)

    def is_told(self, text: str) -> int:
        """Waits for the message, which must have the focus; returns the clicks so far."""
        said = self.page.locator(".messages")
        expect(said).to_contain_text(text)
        expect(said).to_be_focused()
        clicks, self.clicks = self.clicks, 0
        return clicks


@pytest.fixture
def ada(django_user_model: type[User]) -> User:
    return django_user_model.objects.create_superuser("ada", password="dark")


@pytest.mark.parametrize("width", [1440, 390])
def test_a_launch_is_started_raised_stopped_ended_and_abandoned(
    site: Page, ada: User, width: int
) -> None:
    site.set_viewport_size({"width": width, "height": 900})
    person, clicks = Person(site, width), {}
    log_in(site, ada.username, LIST)

    person.click(site.get_by_role("link", name="Start a launch"))
    person.type(site.get_by_label("Name"), "December")
    person.click(site.get_by_role("button", name="Start the launch"))
    clicks["start"] = person.is_told("December has started")

    person.type(site.get_by_label("Percent of orders for vnext"), "25")
    person.type(site.get_by_label("Reason"), "nothing failed so far")
    person.click(site.get_by_role("button", name="Change share"))
    clicks["percent"] = person.is_told("vnext 5 % \N{RIGHTWARDS ARROW} 25 %")

    person.click(site.get_by_role("link", name="Stop vnext"))
    expect(site.get_by_label("Reason")).to_be_focused()
    person.type(site.get_by_label("Reason"), "it fails")
    person.click(site.get_by_role("button", name="Stop vnext"))
    clicks["stop"] = person.is_told("Stopped: vnext gets no orders.")

    person.click(site.get_by_role("link", name="End this launch"))
    person.type(site.get_by_label("Reason"), "the next build comes on Monday")
    person.click(site.get_by_role("button", name="End this launch"))
    clicks["end"] = person.is_told("December has ended.")

    person.click(site.get_by_role("link", name="Decide on vnext"))
    person.type(site.get_by_label("Reason"), "it fails")
    person.click(site.get_by_role("button", name="Abandon vnext"))
    clicks["abandon"] = person.is_told("Decided to abandon vnext.")

    assert clicks == CLICKS
    events = site.locator(".timeline li")
    expect(events).to_have_count(5)
    expect(events.first).to_contain_text("decided to abandon")
    expect(events.last).to_contain_text("started")


@pytest.mark.parametrize("width", [1440, 390])
def test_the_first_wrong_field_has_the_focus_and_keeps_what_was_typed(
    site: Page, ada: User, width: int
) -> None:
    site.set_viewport_size({"width": width, "height": 900})
    log_in(site, ada.username, f"{LIST}new/")
    percent = site.locator("[name=percent-0]")
    in_view(percent).fill("500")
    in_view(site.get_by_role("button", name="Start the launch")).click()
    expect(percent).to_be_focused()
    expect(percent).to_have_value("500")
    expect(site.locator("#problem-percent-0")).to_contain_text("from 0 to 100")
    in_view(site.get_by_role("button", name="Add another candidate")).click()
    expect(site.locator("[name=candidate-1]")).to_be_focused()
    expect(percent).to_have_value("500")
