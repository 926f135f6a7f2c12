"""Discrepancies reviewed by keyboard, by two people at once, and by a rule: in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.using import in_view, log_in, overflow
from tests.end_to_end.test_launch import until_all_observed
from tests.stack import EVERYTHING, Stack, a_stack

pytestmark = pytest.mark.browser

LIST = "/dashboard/discrepancies/"
REVIEWERS = ("ada", "bo")
_MAKE_REVIEWERS = ";".join(
    [
        "from django.contrib.auth.models import User",
        *(f"User.objects.create_superuser('{name}', password='dark')" for name in REVIEWERS),
    ]
)
STATE = "select state from dashboard_discrepancy where version = 'vnext' and path = ?"


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, make_amqp_url: Callable[[], str]
) -> Iterator[Stack]:
    """Processes of this file alone: it decides and makes rules."""
    with a_stack(tmp_path_factory.mktemp("review"), make_amqp_url()) as one:
        one.start(*EVERYTHING)
        one.manage("shell", "-c", _MAKE_REVIEWERS)
        one.manage("rush", "--orders", "300", "--rate", "150", "--seed", "7")
        until_all_observed(one)
        yield one


@pytest.fixture
def other(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A second person's browser."""
    context = browser.new_context(base_url=stack.url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


def row(page: Page, path: str) -> str:
    """The selector of a row of the list."""
    return f"#discrepancies tr:has(.what code:text-is('{path}'))"


def page_of(stack: Stack, path: str) -> str:
    [(pk,)] = stack.query(
        "select id from dashboard_discrepancy where version = 'vnext' and path = ?", path
    )
    return f"{LIST}{pk}/"


def test_a_proposal_leads_to_its_preview(page: Page, stack: Stack) -> None:
    log_in(page, "ada", "/dashboard/rules/")
    proposed = page.locator(".proposals li").filter(has_text="cook")
    in_view(proposed.get_by_role("link", name="ignore it?")).click()
    expect(page.locator("[data-hidden]")).to_be_visible()
    expect(page.locator("#rule-preview")).to_contain_text("Sample: the newest differing pairs")
    expect(page.locator("#id_reason")).to_have_value(re.compile("Noise: .* of control pairs"))


def test_the_list_is_worked_off_by_keyboard_alone(page: Page, stack: Stack) -> None:
    log_in(page, "ada", LIST)
    rows = page.locator("#discrepancies tbody tr")
    focused = page.locator("#discrepancies tbody tr:focus")
    first, second, third = (rows.nth(at).get_attribute("id") for at in range(3))

    page.keyboard.press("j")
    expect(focused).to_have_attribute("id", first or "")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(focused).to_have_attribute("id", first or "")
    page.keyboard.press("d")
    expect(page.locator(f"#{first} .decision")).to_have_text("by design")
    expect(focused).to_have_attribute("id", second or "")

    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("[data-chosen]")).to_have_text("2 selected")
    page.keyboard.press("b")
    for decided in (second, third):
        expect(page.locator(f"#{decided} .decision")).to_have_text("bug")
    expect(page.locator(f"#{first} .by")).to_contain_text("ada")

    in_view(page.locator("#note")).fill("bdnojkx")
    expect(page.locator("#note")).to_have_value("bdnojkx")
    assert stack.number("select count(*) from dashboard_review") == 3
    page.locator("#note").press("Escape")
    page.keyboard.press("k")
    opened = page.locator("#discrepancies tbody tr:focus .what code").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(rf"{LIST}\d+/"))
    expect(page.locator("h1 code")).to_have_text(opened)


def test_enter_alone_decides_nothing(browser: Browser, stack: Stack) -> None:
    context = browser.new_context(base_url=stack.url, java_script_enabled=False)
    page = context.new_page()
    log_in(page, "ada", LIST)
    before = stack.number("select count(*) from dashboard_review")
    box = in_view(page.locator("#discrepancies input[name=seen]").first)
    box.check()
    box.press("Enter")
    expect(page.locator("#problem-decision")).to_have_text("Choose a decision.")
    context.close()
    assert stack.number("select count(*) from dashboard_review") == before


def test_of_two_reviewers_none_overwrites_the_other_unseen(
    page: Page, other: Page, stack: Stack
) -> None:
    path = page_of(stack, "total_price")
    log_in(page, "ada", path)
    log_in(other, "bo", path)
    before = stack.number("select count(*) from dashboard_review")

    in_view(page.locator("#note")).fill("a cent is missing")
    in_view(page.get_by_role("button", name="Bug")).click()
    expect(page.locator("#review .stands")).to_contain_text("bug")
    in_view(other.locator("#note")).fill("must be rounding")
    in_view(other.get_by_role("button", name="Noise")).click()

    alert = other.locator("#review .conflicts")
    expect(alert).to_contain_text("ada marked")
    expect(alert).to_contain_text("Your decision was not saved; your note is still in the form")
    expect(other.locator("#note")).to_have_value("must be rounding")
    expect(other.locator("#review .history")).to_contain_text("a cent is missing")
    assert stack.query(STATE, "total_price") == [("bug",)]
    assert stack.number("select count(*) from dashboard_review") == before + 1

    in_view(other.get_by_role("button", name="Noise")).click()
    expect(other.locator("#review .stands")).to_contain_text("noise")
    assert stack.query(STATE, "total_price") == [("noise",)]
    assert stack.number("select count(*) from dashboard_review") == before + 2


def test_coverage_is_narrowed_as_one_types(page: Page) -> None:
    log_in(page, "ada", "/dashboard/coverage/")
    shapes = page.locator("#shapes")
    expect(shapes).to_contain_text("burger and fries")
    page.locator("#find").press_sequentially("soda")
    expect(shapes).not_to_contain_text("burger and fries")
    expect(shapes).to_contain_text("soda")


def test_a_rule_hides_what_its_preview_said_once_it_is_applied_to_the_past(
    page: Page, stack: Stack
) -> None:
    differing = "select count(*) from dashboard_observation where exception = 'differ'"
    before = stack.number(differing)
    log_in(page, "ada", page_of(stack, "cook"))
    in_view(page.get_by_role("link", name="Ignore it with a rule")).click()
    in_view(page.locator("#id_version")).select_option("")
    in_view(page.get_by_role("button", name="Preview")).click()
    said = page.locator("[data-hidden]")
    expect(said).to_be_visible()
    would_hide = int(said.get_attribute("data-hidden") or 0)
    assert would_hide > 0
    expect(page.locator(".fates")).to_contain_text("vanishes")

    in_view(page.get_by_role("button", name="Save the rule")).click()
    expect(page.locator("#problem-reason")).not_to_be_empty()
    in_view(page.locator("#id_reason")).fill("Chance decides who cooks.")
    in_view(page.get_by_role("button", name="Save the rule")).click()
    page.wait_for_url(re.compile(r"/dashboard/rules/\d+/"))
    assert stack.number(differing) == before

    in_view(page.get_by_role("button", name="Re-evaluate past orders")).click()
    expect(page.locator("#rejudging")).to_contain_text("were re-evaluated", timeout=60_000)
    assert before - stack.number(differing) == would_hide
    page.goto(LIST)
    expect(page.locator(f"{row(page, 'cook')} .count b")).to_have_text("0")
    expect(page.locator(f"{row(page, 'cook')} .count .ignored")).to_contain_text("ignored")

    page.goto(page_of(stack, "cook"))
    in_view(page.locator(".example .whose a").first).click()
    # The baseline may have the order, too: each that differs is marked.
    marks = page.locator("tr[data-path='cook'] .differs")
    expect(marks.first).to_be_visible()
    assert {mark.get_attribute("data-standing") for mark in marks.all()} == {"ignored"}
    expect(page.locator("tr[data-path='cook']")).to_contain_text("Chance decides who cooks.")


@pytest.mark.parametrize("width", [360, 390, 768, 1440])
def test_no_page_of_review_is_wider_than_the_screen(page: Page, stack: Stack, width: int) -> None:
    log_in(page, "ada", LIST)
    for path in (
        LIST,
        page_of(stack, "actual_minutes"),
        "/dashboard/rules/",
        "/dashboard/rules/new/",
        "/dashboard/rules/proposals/",
        "/dashboard/coverage/",
    ):
        page.goto(path)
        assert overflow(page, width) <= 0, path
