"""The lanes: what is in sight goes with every frame, the rest now and then; filters and searches go
over the socket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.tests.verdict_frames import a_frame
from tests.browser.faked_board import FakedBoard
from tests.browser.using import in_view

pytestmark = pytest.mark.browser

ROWS = 40
_NUMBERS = "() => [...document.querySelectorAll('#lanes .number a')].map((one) => one.textContent)"

#: A clock that stands still, and what the first row said as soon as each frame was painted.
_INSTRUMENTS = """
  window.clock = 5000;
  performance.now = () => window.clock;
  window.firsts = [];
  const measure = performance.measure.bind(performance);
  performance.measure = (...what) => {
    window.firsts.push(document.querySelector("#lanes .number a").textContent);
    return measure(...what);
  };
"""


def _frame(newest: int, *, rate: float) -> dict[str, Any]:
    """Forty orders, of which the newest has this number."""
    return {**a_frame(None), "rate": rate, "rows": [_row(newest - n) for n in range(ROWS)]}


def _row(number: int) -> dict[str, Any]:
    handled = {"state": "handled", "ms": 12.5, "error": None, "late": False}
    return {
        "id": str(UUID(int=number)),
        "number": number,
        "name": f"#{number}",
        "items": "burger",
        "note": False,
        "placed_at": 1.7e9,
        "cells": {"vlatest": {**handled, "pair": None}, "vnext": {**handled, "pair": None}},
    }


@pytest.fixture
def board(browser: Browser) -> Iterator[FakedBoard]:
    """A board whose lanes are in sight, some of them, and whose clock stands still."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(15_000)
    page.add_init_script(_INSTRUMENTS)
    shown = FakedBoard(page, _frame(1000, rate=500.0))
    page.locator("#lanes").evaluate("lanes => lanes.scrollIntoView()")
    page.evaluate("window.clock += 1001")
    shown.send(_frame(1100, rate=500.0))
    yield shown
    page.close()


def _numbers(page: Page) -> list[int]:
    return [int(text.removeprefix("#")) for text in page.evaluate(_NUMBERS)]


def _of(newest: int) -> list[int]:
    return [newest - n for n in range(ROWS)]


def test_rows_in_sight_go_with_every_frame_and_the_others_once_a_second(board: FakedBoard) -> None:
    board.send(_frame(1200, rate=500.0))
    numbers = _numbers(board.page)
    assert numbers[:8] == _of(1200)[:8]
    assert numbers[-8:] == _of(1100)[-8:]

    board.page.evaluate("window.clock += 1001")
    board.send(_frame(1300, rate=500.0))
    assert _numbers(board.page) == _of(1300)


def test_a_row_that_comes_into_sight_shows_what_it_was_given_last(board: FakedBoard) -> None:
    board.send(_frame(1200, rate=500.0))
    board.page.locator(".lanes-window").evaluate("one => one.scrollTo(0, one.scrollHeight)")
    board.page.wait_for_function(f"({_NUMBERS})().at(-1) === '#{1200 - ROWS + 1}'")
    assert _numbers(board.page)[-8:] == _of(1200)[-8:]


def test_an_order_that_comes_is_there_as_soon_as_its_frame_is_painted(board: FakedBoard) -> None:
    for newest in (1101, 1102, 1110):
        board.send(_frame(newest, rate=20.0))
    assert board.page.evaluate("window.firsts.slice(-3)") == ["#1101", "#1102", "#1110"]
    assert board.page.locator("#lanes .arrived").count() == 0


def test_what_is_held_is_one_frame_all_through(board: FakedBoard) -> None:
    board.send(_frame(1200, rate=500.0))
    in_view(board.page.get_by_role("button", name="Pause")).click()
    assert _numbers(board.page) == _of(1200)


def test_while_few_orders_come_every_row_goes_with_every_frame(board: FakedBoard) -> None:
    board.send(_frame(1101, rate=1.0))
    assert _numbers(board.page) == _of(1101)


def test_a_choice_goes_over_the_socket_and_the_address_follows(board: FakedBoard) -> None:
    page = board.page
    in_view(page.locator("#toolbar [data-text=failed]")).click()
    expect(page).to_have_url(re.compile(r"/dashboard/\?filter=failed&version=vnext$"))
    in_view(page.locator("#toolbar select")).select_option("vlatest-b")
    expect(page).to_have_url(re.compile(r"/dashboard/\?filter=failed&version=vlatest-b$"))
    # A frame of what was shown before is not drawn any more.
    board.send(_frame(1200, rate=1.0))
    assert _numbers(page)[0] == 1100
    assert [one for one in board.said if "filter" in one] == [
        {"filter": "failed", "version": "vnext"},
        {"filter": "failed", "version": "vlatest-b"},
    ]
    board.send(_frame(1300, rate=1.0) | {"filter": "failed", "version": "vlatest-b"})
    assert _numbers(page)[0] == 1300
    expect(page.locator("#lanes thead .version").last).to_have_text("vlatest-b")
    expect(page.locator("#lanes .passing")).to_contain_text("newest 40 failed of")


def test_a_search_shows_what_was_found_until_it_is_cleared(board: FakedBoard) -> None:
    page = board.page
    find = in_view(page.locator("#find"))
    find.fill("#1042")
    board.wait_for({"q": "#1042"})
    expect(page.locator("#lanes")).to_have_attribute("aria-busy", "true")
    board.say({"type": "found", "q": "#1042", "rows": [_row(1042)]})
    expect(page.locator("#lanes")).to_have_attribute("aria-busy", "false")
    board.send(_frame(1200, rate=1.0))
    assert _numbers(page) == [1042]
    expect(page).to_have_url(re.compile("q=%231042"))
    find.fill("77")
    board.wait_for({"q": "77"})
    board.say({"type": "found", "q": "77", "rows": []})
    expect(page.locator("#lanes .empty")).to_contain_text("the number or id 77")
    find.fill("")
    expect(page).not_to_have_url(re.compile("q="))
    assert _numbers(page) == _of(1200)


def test_a_frame_that_names_a_row_which_never_came_makes_the_page_connect_again(
    board: FakedBoard,
) -> None:
    board.send(_frame(1101, rate=1.0))
    assert board.joins == 1
    board.forget_a_row()
    board.page.wait_for_function("() => document.querySelector('#board').dataset.socket === 'lost'")
    board.wait_for_join(2)
    board.send(_frame(1102, rate=1.0))
    assert _numbers(board.page) == _of(1102)


def test_a_row_keeps_its_element_while_it_is_focused(board: FakedBoard) -> None:
    board.send(_frame(1101, rate=1.0))
    link = board.page.get_by_role("link", name="#1090", exact=True)
    link.focus()
    board.send(_frame(1120, rate=1.0))
    expect(link).to_be_focused()
    assert _numbers(board.page) == _of(1120)
    # It would leave the lanes: they are held for it.
    board.send(_frame(1190, rate=1.0))
    expect(link).to_be_focused()
    assert _numbers(board.page) == _of(1120)
    expect(board.page.locator("#hold")).to_contain_text("held while you are on a row")
