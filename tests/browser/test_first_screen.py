"""The board's first screen: what is judged, what is missing and what happens now, unscrolled; its
charts by mouse and keyboard; its keys and its colour scheme."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.tests.verdict_frames import AT, a_frame
from tests.browser.faked_board import FakedBoard
from tests.browser.using import in_view, is_ours

pytestmark = pytest.mark.browser

#: Where the rows of the lanes and of the requirements lie, and the order of the parts.
_PLACES = """() => {
  const box = (one) => one.getBoundingClientRect();
  const window_ = box(document.querySelector(".lanes-window"));
  const bottom = Math.min(window_.bottom, window.innerHeight);
  const rows = [...document.querySelectorAll("#lanes tbody tr")].map(box);
  const requirements = [...document.querySelectorAll("#requirements tbody tr")].map(box);
  const top = (where) => box(document.querySelector(where)).top;
  return {
    first: Math.round(rows[0].top),
    rows: rows.filter((row) => row.bottom <= bottom + 0.5).length,
    last: Math.round(requirements.at(-1).bottom),
    verdict: Math.round(box(document.querySelector("h1")).bottom),
    lanes: Math.round(top(".watch")),
    requirements: Math.round(top("#requirements")),
  };
}"""


def _row(number: int) -> dict[str, Any]:
    handled = {"state": "handled", "ms": 100.0 + number % 90, "error": None, "late": False}
    pair = {"outcome": "agree", "differs": [], "more": 0, "accepted": 0}
    return {
        "id": str(UUID(int=number)),
        "name": f"#{number}",
        "items": "2 burger, fries",
        "note": False,
        "cells": {"vlatest": {**handled, "pair": None}, "vnext": {**handled, "pair": pair}},
    }


def a_busy_frame(word: str | None = "not yet") -> dict[str, Any]:
    """A frame with forty orders in the lanes."""
    return {**a_frame(word), "rows": [_row(3300 - n) for n in range(40)]}


@pytest.fixture
def open_board(browser: Browser) -> Iterator[Callable[..., FakedBoard]]:
    """Opens boards in a window of some size, and fails when one logged an error."""
    errors: list[str] = []
    contexts = []

    def opened(frame: dict[str, Any], size: tuple[int, int] = (1440, 900)) -> FakedBoard:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]})
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if is_ours(said) else None)
        board = FakedBoard(page, frame)
        board.send(frame)
        return board

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


@pytest.mark.parametrize("word", ["not yet", "ready", "worse", "withheld"])
@pytest.mark.parametrize(
    ("size", "rows"),
    [((1440, 900), 10), ((1280, 720), 10), ((1024, 768), 10), ((768, 1024), 10), ((390, 844), 5)],
)
def test_the_first_screen_shows_the_verdict_and_the_lanes(
    open_board: Callable[..., FakedBoard], size: tuple[int, int], rows: int, word: str
) -> None:
    found = open_board(a_busy_frame(word), size).page.evaluate(_PLACES)

    assert found["verdict"] < found["first"], found
    assert found["rows"] >= rows, found
    if size[0] >= 1280:
        # Beside each other.
        assert found["last"] <= size[1], found
        assert abs(found["lanes"] - found["requirements"]) < 4, found
    else:
        assert found["lanes"] < found["requirements"], found


def test_nothing_is_counted_while_nothing_has_happened(
    open_board: Callable[..., FakedBoard],
) -> None:
    frame = a_frame(None) | {"orders": 0, "matrix": {}}
    board = open_board(frame)
    for part in ("#counters", "#outcomes", "#charts", "#verdict-charts", "#requirements"):
        expect(board.page.locator(part)).to_be_hidden()
    expect(board.page.locator("#lanes .empty")).to_contain_text("No orders yet")
    board.send(a_busy_frame())
    for part in ("#counters", "#outcomes", "#charts", "#verdict-charts", "#requirements"):
        expect(board.page.locator(part)).to_be_visible()


def test_each_candidate_has_its_word_and_is_shown_when_chosen(
    open_board: Callable[..., FakedBoard],
) -> None:
    frame = a_busy_frame("worse")
    second = {**frame["versions"][1], "name": "vnext2"}
    frame["versions"].insert(2, second)
    frame["words"] = {"vnext": "worse", "vnext2": "ready"}
    board = open_board(frame)
    words = board.page.get_by_role("navigation", name="Candidates").get_by_role("link")
    expect(words).to_have_text([re.compile(r"vnext\s+WORSE"), re.compile(r"vnext2\s+READY")])
    expect(words.first).to_have_attribute("aria-current", "true")
    in_view(words.nth(1)).click()
    board.wait_for({"filter": "all", "version": "vnext2"})
    expect(board.page).to_have_url(re.compile("version=vnext2"))


def test_a_requirement_that_is_met_or_not_met_any_more_is_said(
    open_board: Callable[..., FakedBoard],
) -> None:
    board = open_board(a_busy_frame("ready"))
    frame = a_busy_frame("ready")
    row = frame["verdict"]["requirements"][1]
    frame["verdict"]["requirements"][1] = {**row, "standing": "not yet"}
    board.send(frame)
    expect(board.page.locator("#announcement")).to_have_text("failures: not yet.")


def _chart(page: Page, name: str = "handling") -> Any:
    figure = page.locator(f"[data-chart={name}]")
    figure.scroll_into_view_if_needed()
    expect(figure.locator("canvas")).to_have_count(1)
    return figure


def test_charts_out_of_sight_are_not_drawn(open_board: Callable[..., FakedBoard]) -> None:
    page = open_board(a_busy_frame()).page
    expect(page.locator("#charts canvas")).to_have_count(0)
    _chart(page)


def test_a_chart_is_read_by_the_keyboard(open_board: Callable[..., FakedBoard]) -> None:
    frame = a_busy_frame()
    frame["series"]["versions"]["vnext"] = {
        **frame["series"]["versions"]["vnext"], "p50": [float(100 + n) for n in range(150)]
    }  # fmt: skip
    figure = _chart(open_board(frame).page)
    plot = figure.get_by_role("slider")
    plot.focus()
    plot.press("Home")
    expect(plot).to_have_attribute(
        "aria-valuetext", re.compile("vnext p50 100\N{NO-BREAK SPACE}ms")
    )
    plot.press("ArrowRight")
    plot.press("ArrowRight")
    expect(plot).to_have_attribute(
        "aria-valuetext", re.compile("vnext p50 102\N{NO-BREAK SPACE}ms")
    )
    expect(plot).to_have_attribute("aria-valuenow", "2")
    expect(figure.locator(".readout")).to_contain_text("vnext p50102")
    plot.press("End")
    expect(plot).to_have_attribute("aria-valuenow", "149")


def test_a_series_is_switched_off_in_the_chart_its_table_and_its_file(
    open_board: Callable[..., FakedBoard],
) -> None:
    figure = _chart(open_board(a_busy_frame()).page)
    in_view(figure.get_by_role("button", name="vlatest p99")).click()
    expect(figure.get_by_role("button", name="vlatest p99")).to_have_attribute(
        "aria-pressed", "false"
    )
    in_view(figure.locator("summary")).click()
    heads = figure.locator("thead th")
    expect(heads).to_have_text(
        ["time", *(f"{name} (ms)" for name in ("vlatest p50", "vlatest p95", "vnext p50",
         "vnext p95", "vnext p99")), "changes"]
    )  # fmt: skip
    expect(figure.locator("tbody tr")).to_have_count(150)
    with figure.page.expect_download() as saved:
        in_view(figure.locator(".csv")).click()
    head, first, *_ = Path(saved.value.path()).read_text().splitlines()
    assert head == ",".join(heads.all_inner_texts())
    assert first.split(",")[1:3] == ["200", "400"]
    assert saved.value.suggested_filename == "handling.csv"


def test_a_change_of_the_launch_is_said_at_its_point(
    open_board: Callable[..., FakedBoard],
) -> None:
    frame = a_busy_frame()
    text = "vnext 5 % \N{RIGHTWARDS ARROW} 25 %"
    frame["series"]["marks"] = [{"at": AT - 299, "label": "vnext 25 %", "text": text}]
    plot = _chart(open_board(frame).page).get_by_role("slider")
    plot.focus()
    plot.press("Home")
    expect(plot).to_have_attribute("aria-valuetext", re.compile(re.escape(text)))
    plot.press("ArrowRight")
    expect(plot).not_to_have_attribute("aria-valuetext", re.compile(re.escape(text)))


def test_a_longer_range_is_read_from_the_server_and_its_loss_is_said(
    open_board: Callable[..., FakedBoard],
) -> None:
    frame = a_busy_frame()
    board = open_board(frame)
    page = board.page
    figure = _chart(page)
    page.route("**/series/hour/", lambda route: route.fulfill(status=503))
    in_view(page.locator(".range").get_by_text("1 h")).click()
    expect(page.locator(".range output")).to_contain_text("not loaded")
    lines = {"handled": [1.0, 2.0], "p50": [7.0, 8.0], "p95": [9.0, 9.0], "p99": [9.0, 9.0]}
    points = {"t": [AT - 3600, AT - 1800], "versions": {"vlatest": lines, "vnext": lines}}
    page.route("**/series/launch/", lambda route: route.fulfill(json=points))
    in_view(page.locator(".range").get_by_text("whole launch")).click()
    expect(figure.locator(".readout")).to_contain_text("vnext p508.0")
    expect(page.locator(".range output")).to_be_empty()
    board.send(frame)
    expect(figure.locator(".readout")).to_contain_text("vnext p508.0")


def test_the_keys_are_listed_and_the_focus_comes_back(
    open_board: Callable[..., FakedBoard],
) -> None:
    page = open_board(a_busy_frame()).page
    link = page.get_by_role("link", name="#3300", exact=True)
    link.focus()
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_be_visible()
    expect(keys.get_by_role("button", name="Close")).to_be_focused()
    # A key does nothing behind it.
    page.keyboard.press("p")
    expect(page.locator("#pause")).to_have_text("Pause")
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    expect(link).to_be_focused()
    in_view(page.get_by_role("button", name="Keys")).click()
    expect(keys).to_be_visible()


def test_the_list_of_launches_opens_and_escape_closes_it(
    open_board: Callable[..., FakedBoard],
) -> None:
    page = open_board(a_busy_frame()).page
    summary = page.locator("#switcher summary")
    in_view(summary).click()
    launches = page.get_by_role("navigation", name="Launches")
    expect(launches).to_be_visible()
    expect(launches.get_by_role("link")).to_have_text(re.compile(r"November\s+running"))
    launches.get_by_role("link").focus()
    page.keyboard.press("Escape")
    expect(launches).to_be_hidden()
    expect(summary).to_be_focused()


def test_the_colour_scheme_is_kept_and_applied_before_anything_is_painted(browser: Browser) -> None:
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    ground = "getComputedStyle(document.body).backgroundColor"
    FakedBoard(page, a_busy_frame())
    light = page.evaluate(ground)
    in_view(page.get_by_label("Colour scheme")).select_option("Dark")
    dark = page.evaluate(ground)
    assert light != dark
    page.reload()
    expect(page.get_by_label("Colour scheme")).to_have_value("dark")
    assert page.evaluate(ground) == dark
    # The script is before the style sheets, in the head.
    order = "[...document.head.querySelectorAll('script[src], link[rel=stylesheet]')]"
    assert page.evaluate(f"{order}[0].src").endswith("js/scheme.js")
    page.get_by_label("Colour scheme").select_option("System scheme")
    assert page.evaluate(ground) == light
    context.close()


def test_a_relative_time_has_the_absolute_one_in_its_title(browser: Browser) -> None:
    page = browser.new_page(timezone_id="Asia/Kolkata")
    FakedBoard(page, a_busy_frame())
    running = page.locator(".launch-bar .run time")
    expect(running).to_have_attribute("title", "5 Jan 2026, 05:29:30")
    expect(running).not_to_contain_text(":")
    page.close()
