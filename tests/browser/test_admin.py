"""The admin's review, as a person sees it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from dashboard.comparison.outcome import Decision
from dashboard.models import Discrepancy, Review
from dashboard.tests.factories import a_launch
from dashboard.tests.making import a_discrepancy
from tests.browser.using import in_view, overflow

pytestmark = pytest.mark.browser

ADMIN = "/admin/dashboard/discrepancy/"


@pytest.fixture
def discrepancy(site: Page) -> Discrepancy:
    """An open discrepancy, and a reviewer who has logged in to the admin."""
    User.objects.create_superuser("ada", password="dark")
    found = a_discrepancy(a_launch().pk)
    site.goto("/admin/login/")
    in_view(site.locator("[name=username]")).fill("ada")
    in_view(site.locator("[name=password]")).fill("dark")
    in_view(site.locator("[type=submit]")).click()
    return found


def test_a_person_decides_on_a_discrepancys_page_in_the_admin(
    site: Page, discrepancy: Discrepancy
) -> None:
    site.goto(f"{ADMIN}{discrepancy.pk}/change/")
    in_view(site.locator("#id_decision")).select_option("by_design")
    in_view(site.locator("#id_note")).fill("meant so")
    in_view(site.get_by_role("button", name="Decide")).click()
    expect(site.locator(".messagelist")).to_contain_text("Decision saved for 1 discrepancy.")
    assert list(Review.objects.values_list("decision", "note")) == [("by_design", "meant so")]


def test_the_admins_form_decides_nothing_that_nobody_chose(
    site: Page, discrepancy: Discrepancy
) -> None:
    site.goto(f"{ADMIN}{discrepancy.pk}/change/")
    expect(site.locator("#id_decision option:checked")).to_have_text("choose …")
    # Past the browser's own check as well: it is the server that refuses.
    site.locator("#id_decision").evaluate("select => select.form.noValidate = true")
    in_view(site.get_by_role("button", name="Decide")).click()
    expect(site.locator(".errorlist")).to_contain_text("Choose a decision.")
    assert not Review.objects.exists()
    discrepancy.refresh_from_db()
    assert discrepancy.state == Decision.OPEN


def test_many_are_decided_on_in_the_admins_list(site: Page, discrepancy: Discrepancy) -> None:
    site.goto(ADMIN)
    in_view(site.locator(".action-select").first).check()
    in_view(site.locator("[name=action]")).select_option(label="Decide: noise …")
    in_view(site.locator("[name=index]")).click()
    in_view(site.locator("#id_note")).fill("chance")
    in_view(site.get_by_role("button", name="Decide: noise")).click()
    expect(site.locator(".messagelist")).to_contain_text("Decision saved for 1 discrepancy.")
    assert list(Review.objects.values_list("decision", "note")) == [("noise", "chance")]


@pytest.mark.parametrize("width", [1440, 390])
def test_the_admins_page_is_no_wider_than_the_screen(
    site: Page, discrepancy: Discrepancy, width: int
) -> None:
    site.goto(f"{ADMIN}{discrepancy.pk}/change/")
    assert overflow(site, width) == 0
