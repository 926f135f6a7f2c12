"""A bug is mended, its orders are sent again, and it closes on evidence: in a real browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from kitchen_worker.amqp.connection import connect
from kitchen_worker.contract.topology import ORDERS, Binding, Queue, Topology
from tests.browser.using import in_view, log_in
from tests.end_to_end.test_differences import LIVE
from tests.end_to_end.test_launch import until_all_observed
from tests.stack import EVERYTHING, Stack, a_stack

pytestmark = pytest.mark.browser

#: Hears every order that the live exchange takes.
TAP = Topology(queues=(Queue(name="tap"),), bindings=(Binding(source=ORDERS, destination="tap"),))
ORDER_COUNT = 400


@pytest.fixture
def stack(tmp_path: Path, amqp_url: str) -> Iterator[Stack]:
    """Processes of this test alone: it restarts one of them otherwise."""
    with a_stack(tmp_path, amqp_url) as one:
        one.start(*EVERYTHING)
        yield one


@pytest.fixture
def board(browser: Browser, stack: Stack) -> Iterator[Page]:
    """Somebody else's board, open all the time."""
    context = browser.new_context(base_url=stack.url)
    context.set_default_timeout(15_000)
    page = context.new_page()
    page.goto("/dashboard/")
    expect(page.locator("[data-indicator='socket']")).to_contain_text("open")
    yield page
    context.close()


def come_as_ada(page: Page, stack: Stack) -> None:
    stack.manage(
        "shell",
        "-c",
        "from django.contrib.auth.models import User;"
        "User.objects.create_superuser('ada', password='dark')",
    )
    log_in(page, "ada", "/dashboard/discrepancies/")


def tapped(url: str) -> int:
    """How many orders the live exchange has taken since the tap was there."""

    async def depth() -> int:
        async with connect(url, "tap") as broker:
            await broker.declare(TAP)
            return await broker.depth("tap")

    with ThreadPoolExecutor(1) as thread:  # the browser's driver has a loop in this one
        return thread.submit(lambda: asyncio.run(depth())).result()


def test_a_mended_bug_closes_on_evidence_and_the_live_kitchen_sees_nothing_of_it(
    page: Page, stack: Stack, board: Page
) -> None:
    tapped(stack.amqp_url)
    stack.manage("rush", "--orders", str(ORDER_COUNT), "--rate", "150", "--seed", "7")
    until_all_observed(stack)
    wrong = stack.number(
        "select count from dashboard_discrepancy where version = 'vnext' and path = 'total_price'"
    )
    assert wrong > 10

    come_as_ada(page, stack)
    in_view(page.get_by_role("link", name="total_price").first).click()
    in_view(page.locator("#note")).fill("A cent is lost: prices are added as floats.")
    in_view(page.get_by_role("button", name="Bug")).click()
    expect(page.locator("#review .stands")).to_contain_text("bug")
    finding = board.locator("#discrepancies tr:has(code[title='total_price'])")
    expect(finding).to_have_attribute("data-state", "bug")

    stack.stop("vnext")
    stack.start("vnext", options=["--mend", "float-prices"])
    live = [stack.query(numbers) for numbers in LIVE]
    in_view(page.get_by_role("button", name=f"Send these {wrong:,} orders again")).click()
    page.wait_for_url(re.compile(r"/dashboard/replays/\d+/"))
    evidence = f"{wrong:,} of {wrong:,} orders agree there in build shipped, mended: float-prices."
    expect(page.locator("#replay")).to_contain_text(f"Closed as fixed: {evidence}")
    expect(page.locator("#replay tbody tr")).to_have_count(min(wrong, 100))
    expect(finding).to_have_attribute("data-state", "fixed")

    assert tapped(stack.amqp_url) == ORDER_COUNT
    assert [stack.query(numbers) for numbers in LIVE] == live
    in_view(page.get_by_role("link", name="total_price")).click()
    expect(page.locator("#review .stands")).to_contain_text("fixed")
    expect(page.locator("#review .history")).to_contain_text(evidence)
    expect(page.locator(".replay-past")).to_contain_text(f"{wrong:,} of {wrong:,} agree")
