"""An order in the browser, seen live on the board: the main path, as its users walk it."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Page, expect

from tests.browser.using import in_view, overflow
from tests.stack import Stack, until

pytestmark = pytest.mark.browser


def place_order(page: Page, **portions: int) -> None:
    """Place an order on the order page, and come to its ticket."""
    page.goto("/")
    for name, quantity in portions.items():
        in_view(page.locator(f"input[aria-describedby='problem-{name}']")).fill(str(quantity))
    in_view(page.get_by_role("button", name="Place order")).click()
    page.wait_for_url(re.compile(r"/ticket/"))


def test_the_ticket_turns_ready_with_the_live_kitchens_answer(page: Page) -> None:
    place_order(page, burger=1, fries=1)
    expect(page.locator("#ticket-status")).to_contain_text("Ready. Enjoy!")
    expect(page.locator("main")).to_contain_text("The kitchen made")
    expect(page.locator("main")).to_contain_text("5.00")


def test_the_ticket_of_an_order_that_takes_longer_than_250_ms_is_placed_then_in_the_kitchen(
    page: Page,
) -> None:
    place_order(page, burger=40)
    status = page.locator("#ticket-status")
    expect(status).to_contain_text("Placed.")
    expect(status).to_contain_text("In the kitchen.")
    expect(status).to_contain_text("Ready. Enjoy!")


def test_both_lanes_show_an_order_within_a_second(page: Page, stack: Stack) -> None:
    page.goto("/dashboard/")
    expect(page.locator("[data-indicator='socket']")).to_contain_text("open")
    seconds = []
    for _ in range(5):
        started = time.monotonic()
        order = stack.post_order(["burger", "fries"])["id"]
        handled = "td[data-state='handled']"
        page.wait_for_selector(f"tr[data-order='{order}'] > {handled} ~ {handled}")
        seconds.append(time.monotonic() - started)
    print(f"\nboth lanes after {', '.join(f'{one:.2f} s' for one in seconds)}")
    assert sorted(seconds)[2] < 1.0


def test_a_double_click_orders_once(page: Page, stack: Stack) -> None:
    before = stack.number("select count(*) from restaurant_order")
    page.goto("/")
    in_view(page.locator("input[aria-describedby='problem-soda']")).fill("1")
    in_view(page.get_by_role("button", name="Place order")).dblclick(no_wait_after=True)
    page.wait_for_url(re.compile(r"/ticket/"))
    page.reload()
    assert stack.number("select count(*) from restaurant_order") == before + 1


def test_an_empty_order_says_so_and_places_nothing(page: Page, stack: Stack) -> None:
    before = stack.number("select count(*) from restaurant_order")
    page.goto("/")
    in_view(page.get_by_role("button", name="Place order")).click()
    expect(page.locator("#problem-order")).not_to_be_empty()
    assert stack.number("select count(*) from restaurant_order") == before


def test_the_total_follows_what_is_chosen(page: Page) -> None:
    page.goto("/")
    in_view(page.get_by_role("button", name="One burger more")).dblclick()
    in_view(page.get_by_role("button", name="One cheeseburger more")).click()
    expect(page.locator("#total")).to_contain_text("11.35")


def test_the_failed_filter_shows_the_failed_orders_alone(page: Page, stack: Stack) -> None:
    failed = stack.post_order(["fries"] * 21)["number"]
    stack.post_order(["soda"])
    page.goto("/dashboard/")
    in_view(page.get_by_text("failed", exact=True).first).click()
    row = page.locator(f"tr:has(a:text-is('#{failed}'))")
    expect(row.locator("[data-state='failed']")).to_have_count(1)
    states = page.locator("#lanes tbody tr[data-order]")
    until(lambda: states.count() >= 1, "rows in the filter")
    expect(page.locator("#lanes")).not_to_contain_text("no order")


def test_the_board_says_that_it_is_stale_and_comes_back(page: Page, stack: Stack) -> None:
    page.goto("/dashboard/")
    expect(page.locator("[data-indicator='socket']")).to_contain_text("open")
    stack.stop("site")
    expect(page.locator("#banner")).to_be_visible(timeout=20_000)
    stack.start("site")
    expect(page.locator("#banner")).to_be_hidden(timeout=30_000)
    number = stack.post_order(["soda"])["number"]
    expect(page.locator(f"tr:has(a:text-is('#{number}'))")).to_be_visible()


def test_one_order_shows_every_version_side_by_side(page: Page, stack: Stack) -> None:
    placed = stack.post_order(["burger", "soda"])
    observed = "select count(*) from observations where \"order\" = ? and state = 'handled'"
    until(lambda: stack.number(observed, placed["id"]) >= 2, "both versions handled it")
    page.goto(f"/dashboard/orders/{placed['id']}/")
    main = page.locator("main")
    for text in ("vlatest", "vnext", "burger", "actual_minutes", "curl"):
        expect(main).to_contain_text(text)


@pytest.mark.parametrize("path", ["/", "/dashboard/"])
@pytest.mark.parametrize("width", [360, 390, 768, 1440, 2560])
def test_no_page_is_wider_than_the_screen(page: Page, path: str, width: int) -> None:
    page.goto(path)
    assert overflow(page, width) <= 0
