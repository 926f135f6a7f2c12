"""The lanes at speed: what is in sight goes with every frame, the rest now and then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page

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
