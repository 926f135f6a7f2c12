"""The board as the site serves it: to a guest with keys, and of one candidate after another."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from dashboard.ingest.stream import read_roster
from dashboard.models import Discrepancy, Review
from dashboard.tests.factories import a_launch, an_event, an_order
from dashboard.tests.making import NOW, record_events
from restaurant.models import DarkVersion
from tests.browser.using import in_view, log_in

pytestmark = pytest.mark.browser


@pytest.fixture
def discrepancy(site: Page) -> Discrepancy:
    """Of the first of two candidates: the second agrees with the control."""
    launch = a_launch(name="vnext beside vlatest")
    DarkVersion.objects.create(launch=launch, version="vmine", role="candidate", percent=50)
    order = an_order(launch, sample=("vnext", "vmine"))
    prices = {"vlatest": "7.00", "vnext": "6.99", "vmine": "7.00"}
    record_events(
        read_roster(launch),
        [
            an_event(launch, order.uuid, version, result={"total_price": price})
            for version, price in prices.items()
        ],
        NOW,
    )
    return Discrepancy.objects.get()


@pytest.mark.parametrize("where", ["", "discrepancies/", "discrepancies/{pk}/"])
@pytest.mark.parametrize("key", ["b", "d", "n", "o"])
def test_a_key_that_decides_leads_a_guest_to_the_login(
    site: Page, discrepancy: Discrepancy, where: str, key: str
) -> None:
    path = f"/dashboard/{where.format(pk=discrepancy.pk)}"
    site.goto(path)
    site.keyboard.press("j")
    site.keyboard.press(key)
    expect(site.locator("[data-log-in] a:focus")).to_have_text("Log in")
    User.objects.create_superuser("ada", password="dark")
    site.keyboard.press("Enter")
    site.wait_for_url(f"**/login/?next={path}")
    assert not Review.objects.exists()


def test_who_may_not_decide_is_told_so(site: Page, discrepancy: Discrepancy) -> None:
    User.objects.create_user("bo", password="dark")
    log_in(site, "bo", "/dashboard/")
    site.keyboard.press("b")
    expect(site.locator("#discrepancies [data-log-in]:focus")).to_contain_text("To decide")


def test_a_reviewer_who_has_chosen_nothing_is_told_so(site: Page, discrepancy: Discrepancy) -> None:
    User.objects.create_superuser("ada", password="dark")
    log_in(site, "ada", "/dashboard/")
    site.keyboard.press("b")
    expect(site.locator("#discrepancies .said")).to_contain_text("Move to a discrepancy first")
    assert not Review.objects.exists()


@pytest.mark.parametrize("path", ["/dashboard/", "/dashboard/rules/?x=1"])
def test_the_navigation_offers_a_guest_the_login_which_leads_back(
    site: Page, discrepancy: Discrepancy, path: str
) -> None:
    User.objects.create_superuser("ada", password="dark")
    site.goto(path)
    in_view(site.get_by_role("navigation").get_by_role("link", name="Log in")).click()
    in_view(site.locator("[name=username]")).fill("ada")
    in_view(site.locator("[name=password]")).fill("dark")
    in_view(site.get_by_role("button", name="Log in")).click()
    site.wait_for_url(f"**{path}")
    expect(site.get_by_role("button", name="Log out ada")).to_be_visible()


def test_a_candidate_that_is_chosen_is_named_everywhere(
    site: Page, discrepancy: Discrepancy
) -> None:
    site.goto("/dashboard/")
    head = site.locator("#standing")
    caption = site.locator("#requirements caption")
    expect(caption).to_have_text(re.compile("What vnext must show"))
    expect(site.locator(".launch-bar .builds")).to_contain_text("vnext")
    site.goto("/dashboard/?version=vmine")
    expect(in_view(site.locator("#toolbar select"))).to_have_value("vmine")
    expect(caption).to_have_text(re.compile("What vmine must show"))
    expect(site.locator(".launch-bar .builds")).to_contain_text("vmine")
    expect(head.locator("[aria-current]")).to_contain_text("vmine")
    expect(site.locator("#requirements .coverage")).to_have_attribute("href", re.compile("vmine"))
    expect(site.locator("#lanes .version[data-role=candidate]")).to_have_text("vmine")


@pytest.mark.parametrize("path", ["/dashboard/launches/", "/dashboard/rules/"])
def test_the_navigation_keeps_its_words_whole_on_a_phone(
    site: Page, transactional_db: None, path: str
) -> None:
    User.objects.create_superuser("ada", password="dark")
    log_in(site, "ada", path)
    site.set_viewport_size({"width": 390, "height": 844})
    expect(site.locator(".masthead-account")).to_be_visible()
    lines = site.locator(".masthead-nav a").evaluate_all(
        "links => links.map((one) => one.getClientRects().length)"
    )
    assert lines == [1] * len(lines)
    masthead = site.locator(".masthead").bounding_box()
    assert masthead is not None
    assert masthead["height"] < 844 / 4
