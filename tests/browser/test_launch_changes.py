"""A launch is changed from a terminal and in the admin, and an open board shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.using import WIDTHS, in_view, log_in, overflow
from tests.stack import Stack, a_stack

pytestmark = pytest.mark.browser

_MAKE_ADA = (
    "from django.contrib.auth.models import User;"
    "User.objects.create_superuser('ada', password='dark')"
)


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, make_amqp_url: Callable[[], str]
) -> Iterator[Stack]:
    """The site of this file alone: it ends its launch."""
    with a_stack(tmp_path_factory.mktemp("changes"), make_amqp_url()) as one:
        one.start("site")
        one.manage("shell", "-c", _MAKE_ADA)
        yield one


def test_an_open_board_shows_a_change_that_is_made_in_a_terminal(page: Page, stack: Stack) -> None:
    page.goto("/dashboard/")
    changes = page.locator("#launch-changes li")
    expect(changes).to_have_count(1)
    stack.manage("set_percent", "vnext=5", "--why", "slow since noon", "--by", "ben")
    expect(changes.first).to_contain_text("vnext 100 % \N{RIGHTWARDS ARROW} 5 %")
    expect(changes.first).to_contain_text("ben (command line): slow since noon")
    page.get_by_role("link", name="All changes").click()
    expect(page.locator(".launch-changes li")).to_have_count(2)
    assert [overflow(page, width) for width in WIDTHS] == [0, 0]


def test_a_percent_is_changed_in_the_admin_with_its_reason(page: Page) -> None:
    log_in(page, "ada", "/admin/restaurant/launch/")
    page.locator("#result_list tbody th a").first.click()
    percent = page.locator("#id_dark_versions-0-percent")
    in_view(percent).fill("40")
    in_view(page.get_by_role("button", name="Save", exact=True)).click()
    expect(page.locator(".field-reason .errorlist")).to_have_text("Enter a reason.")
    in_view(page.get_by_label("Reason")).fill("half is too much")
    in_view(page.get_by_role("button", name="Save", exact=True)).click()
    page.goto("/dashboard/")
    newest = page.locator("#launch-changes li").first
    expect(newest).to_contain_text("\N{RIGHTWARDS ARROW} 40 %")
    expect(newest).to_contain_text("ada: half is too much")


def test_a_launch_is_ended_in_the_admin_after_a_second_question(page: Page) -> None:
    log_in(page, "ada", "/admin/restaurant/launch/")
    page.locator("#result_list tbody th a").first.click()
    in_view(page.get_by_role("link", name="End launch")).click()
    expect(page.get_by_text("This can't be undone")).to_be_visible()
    in_view(page.get_by_label("Reason")).fill("promoted")
    in_view(page.get_by_role("button", name="End this launch")).click()
    expect(page.locator(".messagelist")).to_contain_text("First launch has ended.")
    page.goto("/dashboard/")
    expect(page.locator("#launch-changes li").first).to_contain_text("ada: promoted")
