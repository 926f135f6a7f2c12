"""The verdict on the board: a word with a shape, a checklist that ticks itself, charts; and a page
that is never wider than the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from dashboard.tests.verdict_frames import AT, RUNS, a_frame, a_verdict
from tests.browser.faked_board import FakedBoard
from tests.browser.using import overflow

pytestmark = pytest.mark.browser

WORDS = ("not yet", "ready", "worse", "withheld")
#: All elements, attributes and texts of the verdict's part.
_WRITTEN = """() => {
  const tree = (node) => node.nodeType === Node.TEXT_NODE ? node.data : [
    node.nodeName,
    [...node.attributes].map(({ name, value }) => `${name}=${value}`).sort(),
    [...node.childNodes].map(tree),
  ];
  return tree(document.querySelector("[data-part=verdict]"));
}"""


@pytest.fixture
def open_board(browser: Browser) -> Iterator[Callable[[dict[str, Any]], FakedBoard]]:
    """Opens boards, and fails when one logged an error or broke its content policy."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(15_000)
    errors: list[str] = []

    def opened(frame: dict[str, Any]) -> FakedBoard:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        return FakedBoard(page, frame)

    yield opened
    context.close()
    assert errors == []


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize(
    ("code", "why"),
    [(4403, "You were logged out, or lost the permission"), (4429, "Too many boards are open")],
)
def test_a_board_that_is_closed_says_why(
    open_board: Callable[[dict[str, Any]], FakedBoard], code: int, why: str, width: int
) -> None:
    frame = a_frame(None)
    board = open_board(frame)
    board.page.set_viewport_size({"width": width, "height": 900})
    board.send(frame)
    board.close(code)
    banner = board.page.locator("#banner")
    expect(banner).to_be_visible()
    expect(banner).to_contain_text(why)
    expect(banner.get_by_role("link", name="Log in")).to_be_visible(visible=code == 4403)
    assert banner.evaluate("(one) => one.scrollHeight <= one.clientHeight")
    assert overflow(board.page, width) <= 0


@pytest.mark.parametrize(
    ("word", "run"),
    [*((word, "running") for word in (*WORDS, None)), *(("worse", run) for run in RUNS)],
)
def test_the_first_paint_and_the_next_write_the_same(
    open_board: Callable[[dict[str, Any]], FakedBoard], word: str | None, run: str
) -> None:
    board = open_board(a_frame(word, run))
    served = board.page.evaluate(_WRITTEN)
    board.send(a_frame(word, run))

    assert board.page.evaluate(_WRITTEN) == served


def test_the_bounds_by_which_requirements_passed_are_written_the_same(
    open_board: Callable[[dict[str, Any]], FakedBoard],
) -> None:
    frame = a_frame("ready", "final")
    lines = {"slow orders": 0.125}
    bounds = {"speed": 14.0, "failures": 0.0045, "slow orders": 0.0125, "differences": 0.0055}
    rows = [
        {
            **row,
            "line": lines.get(row["key"], row["line"]),
            "bound": bounds.get(row["key"]),
            "passed_at": AT if row["key"] in bounds else None,
        }
        for row in frame["verdict"]["requirements"]
    ]
    ones = {"pairs": 1, "blocks": 1, "orders": 1}
    frame = {**frame, "verdict": {**frame["verdict"], **ones, "requirements": rows}}
    board = open_board(frame)
    served = board.page.evaluate(_WRITTEN)
    board.send(frame)

    assert board.page.evaluate(_WRITTEN) == served
    histories = board.page.locator(".requirements .history").all_text_contents()
    assert [": \N{LESS-THAN OR EQUAL TO}" in text for text in histories[:4]] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("word", WORDS)
def test_a_verdict_that_comes_is_painted_as_if_it_had_been_served(
    open_board: Callable[[dict[str, Any]], FakedBoard], word: str
) -> None:
    served = open_board(a_frame(word)).page.evaluate(_WRITTEN)
    board = open_board(a_frame(None))
    for before in WORDS:
        board.send(a_frame(before))
    board.send(a_frame(word))

    assert board.page.evaluate(_WRITTEN) == served


def test_the_sentence_is_said_when_its_words_change_and_not_only_its_numbers(
    open_board: Callable[[dict[str, Any]], FakedBoard],
) -> None:
    board = open_board(a_frame("not yet"))
    said = board.page.locator("#announcement")
    more = a_frame("not yet")
    more["verdict"]["sentence"] = more["verdict"]["sentence"].replace("0.81", "0.92")
    board.send(more)
    expect(board.page.locator("h1")).to_contain_text("+0.92 pp")
    expect(said).to_be_empty()
    board.send(a_frame("worse"))
    expect(said).to_have_text(
        "WORSE: vnext: failure rate +1.9 pp (1.2 to 2.7). Roll back?"
        " failures: not met. differences: met."
    )


def test_a_link_that_has_the_focus_keeps_it_and_what_is_open_stays_open(
    open_board: Callable[[dict[str, Any]], FakedBoard],
) -> None:
    board = open_board(a_frame("not yet"))
    link = board.page.get_by_role("link", name="speed", exact=True)
    link.focus()
    board.page.locator("[data-indicator=dead] summary").click()
    link.focus()
    worse = a_frame("worse")
    worse["feed"] |= {"dead_letters": 1, "dead_reasons": [{"queue": "dead", "reason": "torn"}]}
    board.send(worse)
    expect(board.page.locator("h1")).to_contain_text("WORSE")
    expect(link).to_be_focused()
    expect(board.page.locator("[data-indicator=dead] .reasons")).to_be_visible()
    expect(board.page.locator("[data-indicator=dead]")).to_contain_text("torn")


def test_every_word_and_every_standing_has_a_shape_of_its_own(
    open_board: Callable[[dict[str, Any]], FakedBoard],
) -> None:
    board = open_board(a_frame(None))
    shape = "(where) => getComputedStyle(document.querySelector(where)).maskImage"
    words, standings = set(), set()
    for word in WORDS:
        board.send(a_frame(word))
        expect(board.page.locator("h1 strong")).to_have_text(word.upper())
        words.add(board.page.evaluate(shape, ".conclusion .shape"))
    for standing, word in (("passed", "ready"), ("not yet", "not yet"), ("failed", "worse")):
        board.send(a_frame(word))
        where = f"[data-standing='{standing}'] .shape"
        standings.add(board.page.evaluate(shape, where))

    assert (len(words), len(standings)) == (4, 3)


def test_the_line_says_which_orders_are_slower_and_the_segments_are_marked(
    open_board: Callable[[dict[str, Any]], FakedBoard],
) -> None:
    page = open_board(a_frame("ready")).page

    expect(page.locator("h1")).to_contain_text("Faster on small orders, slower on huge ones.")
    marked = page.locator("[data-verdict-chart=segments] [data-marked] th")
    expect(marked).to_have_text(["smallbest", "hugeworst"])


def test_the_charts_of_the_verdict_are_drawn(
    open_board: Callable[[dict[str, Any]], FakedBoard],
) -> None:
    page = open_board(a_frame("not yet")).page
    page.locator("#verdict-charts").scroll_into_view_if_needed()

    expect(page.locator("#verdict-charts .plot canvas")).to_have_count(2)
    expect(page.locator("[data-verdict-chart=ladder] tbody tr")).to_have_count(7)
    expect(page.locator("[data-verdict-chart=ladder]")).to_contain_text("independent")
    said = page.locator("[data-verdict-chart=narrowing] figcaption")
    expect(said.locator("time")).to_contain_text("3,168 orders")
    expect(said.locator(".readout")).to_contain_text("vnext−31")


@pytest.mark.parametrize("low", [0.0097, 0.037, 0.37, 0.97, 1.3, 970.0])
def test_times_below_a_millisecond_are_drawn_as_any_others(
    open_board: Callable[[dict[str, Any]], FakedBoard], low: float
) -> None:
    frame = a_frame("not yet")
    distribution = frame["series"]["verdict"]["distribution"]
    distribution["edges"] = [low * 1.3**bar for bar in range(len(distribution["edges"]))]
    board = open_board(frame)
    board.page.locator("[data-verdict-chart=distribution]").scroll_into_view_if_needed()
    expect(board.page.locator("[data-verdict-chart=distribution] canvas")).to_have_count(1)
    board.send(frame)
    board.send(frame)


def test_charts_stand_back_while_there_is_no_verdict(
    open_board: Callable[[dict[str, Any]], FakedBoard],
) -> None:
    board = open_board(a_frame(None))
    expect(board.page.locator("#verdict-charts")).to_be_hidden()
    expect(board.page.locator(".requirements")).to_be_hidden()
    expect(board.page.locator("#standing")).to_contain_text("No verdict yet")
    board.send(a_frame("ready"))
    expect(board.page.locator("#verdict-charts")).to_be_visible()


def test_a_baseline_is_said_to_get_no_verdict(
    open_board: Callable[[dict[str, Any]], FakedBoard],
) -> None:
    frame = a_frame(None) | {"version": "vlatest-b"}
    board = open_board(frame)
    served = board.page.evaluate(_WRITTEN)
    board.send(frame)

    assert board.page.evaluate(_WRITTEN) == served
    expect(board.page.locator("h1")).to_contain_text("No verdict: vlatest-b is a second copy")


def test_a_frame_of_another_version_changes_nothing_of_the_verdict(
    open_board: Callable[[dict[str, Any]], FakedBoard],
) -> None:
    board = open_board(a_frame(None) | {"version": "vlatest-b"})
    served = board.page.evaluate(_WRITTEN)
    board.send(a_frame("worse"))

    assert board.page.evaluate(_WRITTEN) == served


def test_a_version_in_the_warm_up_says_what_is_awaited(
    open_board: Callable[[dict[str, Any]], FakedBoard],
) -> None:
    frame = a_frame("not yet")
    rows = [
        {**row, "standing": "not yet", "word": "warming up", "text": "warming up", "lo": -14.0,
         "hi": 14.0, "estimate": None, "more_orders": None, "since": None, "was": None}
        for row in a_verdict("not yet")["requirements"]
    ]  # fmt: skip
    sentence = "NOT YET: warming up, 130 of 200 orders timed."
    nothing: dict[str, Any] = {
        "total_time": None,
        "faster_share": None,
        "contrasts": [],
        "warnings": [],
    }
    frame["verdict"] |= {"requirements": rows, "sentence": sentence, **nothing}
    board = open_board(frame)
    served = board.page.evaluate(_WRITTEN)
    board.send(frame)

    assert board.page.evaluate(_WRITTEN) == served
    expect(board.page.locator("h1")).to_contain_text("130 of 200 orders timed")


def test_the_page_is_never_wider_than_the_screen(
    open_board: Callable[[dict[str, Any]], FakedBoard],
) -> None:
    board = open_board(a_frame("not yet"))
    wider = {}
    for width in (3840, 1440, 1345, 1200, 1000, 768, 390, 360):
        board.page.set_viewport_size({"width": width, "height": 900})
        board.send(a_frame("not yet"))
        wider[width] = overflow(board.page, width)

    assert set(wider.values()) == {0}, wider


def test_another_word_moves_nothing_in_the_checklist(
    open_board: Callable[[dict[str, Any]], FakedBoard],
) -> None:
    board = open_board(a_frame("worse"))
    table = "document.querySelector('.requirements table').getBoundingClientRect().height"
    before = board.page.evaluate(table)
    board.send(a_frame("ready"))

    assert board.page.evaluate(table) == before
