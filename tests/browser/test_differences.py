"""Differences on the live board: listed, announced, decided on by keyboard, followed everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.using import in_view, log_in
from tests.stack import EVERYTHING, Stack, a_stack, until

pytestmark = pytest.mark.browser

NAMES = ("ada", "grace")
#: Has a board stand still, as for somebody who is away from the network; what is due is painted.
STAND_STILL = """() => new Promise((still) => {
  const soon = window.requestAnimationFrame;
  window.requestAnimationFrame = () => 0;
  soon.call(window, still);
})"""


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, make_amqp_url: Callable[[], str]
) -> Iterator[Stack]:
    """Processes with a launch of this file's own, in which nothing has differed yet."""
    with a_stack(tmp_path_factory.mktemp("differences"), make_amqp_url()) as one:
        one.start(*EVERYTHING)
        yield one


@pytest.fixture(scope="module")
def reviewers(stack: Stack) -> None:
    """Two users who may review."""
    code = (
        "from django.contrib.auth.models import User\n"
        f"for name in {NAMES!r}:\n"
        "    if not User.objects.filter(username=name).exists():\n"
        "        User.objects.create_superuser(name, password='dark')"
    )
    stack.manage("shell", "-c", code)


def board_of(page: Page, name: str) -> Page:
    """The live board of somebody who logged in."""
    log_in(page, name, "/dashboard/")
    expect(page.locator("[data-indicator='socket']")).to_contain_text("open")
    return page


@pytest.fixture
def two_boards(browser: Browser, stack: Stack, reviewers: None) -> Iterator[tuple[Page, Page]]:
    """The same board in the browsers of two reviewers."""
    contexts = [browser.new_context(base_url=stack.url) for _ in NAMES]
    for context in contexts:
        context.set_default_timeout(15_000)
    ada, grace = (
        board_of(context.new_page(), name) for context, name in zip(contexts, NAMES, strict=True)
    )
    yield ada, grace
    for context in contexts:
        context.close()


def finding(page: Page, path: str) -> str:
    """A discrepancy's row on the board."""
    expect(page.locator(f"#discrepancies tr:has(code[title='{path}'])")).to_have_count(1)
    return f"#discrepancies tr:has(code[title='{path}'])"


def go_to(page: Page, row: str) -> None:
    """Move to a row with the keyboard, as a reviewer does."""
    page.locator("h1").click()
    for _ in range(9):
        page.keyboard.press("j")
        if page.locator(f"{row}:focus-within").count():
            return
    raise AssertionError(f"j never came to {row}")


def with_cooks(stack: Stack) -> None:
    """Have at least one order with another cook in vnext: each has eight or so to choose from."""
    shown = "select count(*) from dashboard_discrepancy where version = 'vnext' and path = 'cook'"

    def placed() -> bool:
        stack.post_order(["burger"])
        return stack.number(shown) > 0

    until(placed, "vnext has another cook")


def test_a_new_kind_of_difference_appears_and_is_announced(page: Page, stack: Stack) -> None:
    with_cooks(stack)
    page.goto("/dashboard/")
    expect(page.locator("[data-indicator='socket']")).to_contain_text("open")
    expect(page.locator(finding(page, "cook"))).to_be_visible()
    stack.post_order(["onion-rings"] * 21)
    said = "New kind of difference: failed at"
    expect(page.locator("#discrepancies .news")).to_contain_text(said)
    expect(page.get_by_role("status").filter(has_text=said)).to_have_count(1)
    row = page.locator("#discrepancies tbody tr", has_text="TooManyPortions")
    expect(row.locator(".new")).to_be_visible()
    expect(row).to_have_attribute("data-state", "open")


def test_a_number_of_the_matrix_shows_its_orders_in_the_lanes(page: Page, stack: Stack) -> None:
    failed = stack.post_order(["fries"] * 21)["number"]
    page.goto("/dashboard/")
    box = page.locator("#outcomes a[data-box='handled/failed']")
    expect(box).not_to_have_text("0")
    in_view(box).click()
    expect(page.locator(f"#lanes tr:has(a:text-is('#{failed}'))")).to_have_attribute(
        "data-mark", "failed"
    )
    expect(page.locator("#toolbar [name=filter][value=failed]")).to_be_checked()
    expect(page).to_have_url(re.compile("filter=failed"))


def test_the_first_paint_and_the_next_write_the_same(page: Page, stack: Stack) -> None:
    with_cooks(stack)
    page.goto("/dashboard/")
    row = finding(page, "cook")
    expect(page.locator("[data-indicator='socket']")).to_contain_text("open")
    texts = """(html) => {
      const page = html ? new DOMParser().parseFromString(html, "text/html") : document;
      const all = "#outcomes table, #discrepancies .sum, #discrepancies tbody :is(.where,"
        + " .values, .pairs, .rates, .decision b)";
      return [...page.querySelectorAll(all)].map((one) => one.innerText === undefined
        ? one.textContent : one.textContent).map((text) => text.replace(/\\s+/g, " ").trim());
    }"""
    # What comes between the two would be in one of them alone.
    expect(page.locator("#lanes td:is([data-state=waiting], [data-state=received])")).to_have_count(
        0
    )
    painted = page.evaluate(texts, None)
    served = page.evaluate(texts, page.request.get("/dashboard/").text())
    assert painted == served
    assert any("Farid" in text or "cook" in text for text in served)
    expect(page.locator(row)).to_be_visible()


def test_a_decision_by_keyboard_changes_every_open_board(
    two_boards: tuple[Page, Page], stack: Stack
) -> None:
    ada, grace = two_boards
    with_cooks(stack)
    row = finding(ada, "cook")
    go_to(ada, row)
    ada.keyboard.press("n")
    for board in (ada, grace):
        expect(board.locator(row)).to_have_attribute("data-state", "noise")
        expect(board.locator(row)).to_have_attribute("data-look", "decided")
    go_to(grace, row)
    grace.keyboard.press("o")
    for board in (ada, grace):
        expect(board.locator(row)).to_have_attribute("data-state", "open")


def test_a_key_that_is_typed_into_a_field_decides_nothing(
    two_boards: tuple[Page, Page], stack: Stack
) -> None:
    ada, _ = two_boards
    with_cooks(stack)
    row = finding(ada, "cook")
    in_view(ada.locator("#find")).press_sequentially("jbdno")
    expect(ada.locator(row)).to_have_attribute("data-state", "open")
    assert ada.locator("#find").input_value() == "jbdno"


def test_who_was_slower_is_told_what_was_decided_meanwhile_and_overwrites_nothing(
    two_boards: tuple[Page, Page], stack: Stack
) -> None:
    ada, grace = two_boards
    with_cooks(stack)
    row = finding(ada, "cook")
    finding(grace, "cook")
    grace.evaluate(STAND_STILL)
    before = ada.locator(row).get_attribute("data-revision") or ""
    bug = ada.locator(row).get_by_role("button", name="bug", exact=True)
    in_view(bug, widths=(390,))
    # On a wide screen it comes under the hand.
    ada.locator(row).hover()
    bug.click()
    state = "select state from dashboard_discrepancy where version = 'vnext' and path = 'cook'"
    until(lambda: stack.query(state) == [("bug",)], "ada's decision is stored")
    expect(grace.locator(row)).to_have_attribute("data-state", "open")
    grace.locator(row).locator(".where a").focus()
    grace.keyboard.press("d")
    said = grace.locator("#discrepancies .said")
    expect(said).to_contain_text(re.compile(r"ada marked value cook as .bug."))
    assert stack.query(state) == [("bug",)]
    # Until her own decision has come back to it, her board takes no other.
    expect(ada.locator(row)).not_to_have_attribute("data-revision", before)
    go_to(ada, row)
    ada.keyboard.press("o")
    expect(ada.locator(row)).to_have_attribute("data-state", "open")


def test_who_may_not_review_is_offered_no_decision(page: Page, stack: Stack) -> None:
    with_cooks(stack)
    page.goto("/dashboard/")
    row = finding(page, "cook")
    expect(page.locator(row).get_by_role("button", include_hidden=True).first).to_be_hidden()
    expect(page.locator(row).get_by_role("button")).to_have_count(0)
    expect(page.locator("#discrepancies .keys")).not_to_contain_text("by design")
