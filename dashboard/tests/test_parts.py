"""The parts of the board that templates render: what somebody reads in them, and where it leads."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs
from xml.etree.ElementTree import Element

import pytest

from dashboard.board import wording
from dashboard.board.frame import frame_fields
from dashboard.board.parts import render_parts
from dashboard.tests.verdict_frames import AT, LAUNCH, a_frame, a_launch, part, words
from local.settings import ROOT

SPACE = "\N{NO-BREAK SPACE}"
A_DISCREPANCY = {
    "id": 12,
    "revision": 3,
    "kind": "value",
    "path": "total_price",
    "count": 1204,
    "ignored": 0,
    "rate": 0.008,
    "noise_rate": 0.0,
    "state": "open",
    "carried": False,
    "first": AT - 300,
    "last": AT - 1,
    "control_value": '"8.50"',
    "version_value": '"8.49"',
    "example": "8c0e0000-0000-4000-8000-000000000000",
}
CELLS = {"agree": 1200, "differ": 30, "handled/failed": 2, "missing/handled": 1}


def boxes(*, is_pinned: bool = False, **frame: Any) -> dict[str, Element]:
    """The boxes of the outcomes by their keys."""
    outcomes = part("outcomes", {**a_frame(None), "matrix": CELLS, **frame}, is_pinned=is_pinned)
    return {box.attrib["data-box"]: box for box in outcomes.findall(".//*[@data-box]")}


def test_the_outcomes_have_a_box_for_every_two_ends_and_split_what_both_handled() -> None:
    found = boxes()

    assert len(found) == 10
    assert {key: words(box) for key, box in found.items() if "data-none" not in box.attrib} == {
        "agree": "1,200",
        "differ": "30",
        "handled/failed": "2",
        "missing/handled": "1",
    }


@pytest.mark.parametrize(
    ("key", "look", "by"),
    [
        ("agree", "agree", None),
        ("differ", "differ", "differing"),
        ("handled/failed", "failed", "failed"),
        ("failed/handled", "failed", "failed"),
        ("failed/failed", "calm", "failed"),
        ("failed/missing", "missing", "missing"),
        ("missing/handled", "missing", "missing"),
        ("missing/missing", "calm", "missing"),
    ],
)
def test_a_box_looks_like_its_outcome_and_leads_to_its_orders(
    key: str, look: str, by: str | None
) -> None:
    box = boxes()[key]

    assert (box.attrib["data-look"], box.get("data-filter")) == (look, by)
    asked = {"filter": [by], "version": ["vnext"]} if by else {}
    assert parse_qs(box.get("href", "").lstrip("?")) == asked


def test_a_link_of_a_board_of_one_launch_stays_with_it() -> None:
    asked = parse_qs(boxes(is_pinned=True)["differ"].attrib["href"].lstrip("?"))

    assert asked == {"filter": ["differing"], "version": ["vnext"], "launch": [str(LAUNCH)]}


def test_the_box_whose_orders_are_shown_is_marked() -> None:
    chosen = [key for key, box in boxes(filter="differing").items() if "data-chosen" in box.attrib]

    assert chosen == ["differ"]


def test_a_box_says_in_words_what_it_counts() -> None:
    meaning = boxes()["handled/missing"].attrib["title"]

    assert meaning == "vlatest handled, vnext gave no answer"


def test_without_a_dark_version_there_are_no_outcomes_and_no_discrepancies() -> None:
    frame = a_frame(None)

    alone = {**frame, "version": "", "versions": frame["versions"][:1]}
    assert [len(part(name, alone)) for name in ("outcomes", "discrepancies")] == [0, 0]


def indicator(key: str, *, rate: float = 0.0, **feed: Any) -> Element:
    """One indicator of a board at rest, with other things in its feed."""
    frame = a_frame(None) | {"rate": rate}
    rest = {"newest_at": None, "state": "idle", "behind": 0, "oldest_s": None}
    shown = part("indicators", {**frame, "feed": {**frame["feed"], **rest, **feed}})
    found = shown.find(f".//*[@data-indicator='{key}']")
    assert found is not None
    return found


def test_a_queue_whose_length_is_not_known_is_a_quiet_dash() -> None:
    backlog = indicator("backlog", backlog=None)
    assert (words(backlog), backlog.attrib["data-status"]) == ("– observer backlog", "idle")


@pytest.mark.parametrize(
    ("state", "newest_at", "text", "status"),
    [
        ("fresh", AT, "events: live, last 5 Jan, 10:00:00 UTC", "good"),
        ("idle", None, "events: idle, last none yet", "idle"),
        ("stale", AT, "events: stale, last 5 Jan, 10:00:00 UTC", "bad"),
    ],
)
def test_the_events_are_live_idle_or_stale(
    state: str, newest_at: float | None, text: str, status: str
) -> None:
    feed = indicator("feed", state=state, newest_at=newest_at)
    assert (words(feed), feed.attrib["data-status"]) == (text, status)


@pytest.mark.parametrize(
    ("orders", "oldest_s", "text", "since", "status"),
    [
        (0, None, "0 queued orders", None, "good"),
        (12, 0.3, "12 queued orders", None, "good"),
        (12, 4.2, "12 queued orders, oldest", "09:59:56", "good"),
        (21, 4.2, "21 queued orders, oldest", "09:59:56", "doubt"),
        (1, 42.0, "1 queued orders, oldest", "09:59:18", "doubt"),
        (1001, 90.0, "1,000+ queued orders, oldest", "09:58:30", "doubt"),
    ],
)
def test_orders_that_wait_are_counted_and_the_oldest_has_its_age(
    orders: int, oldest_s: float | None, text: str, since: str | None, status: str
) -> None:
    behind = indicator("behind", behind=orders, oldest_s=oldest_s)
    assert words(behind) == (f"{text} since 5 Jan, {since} UTC" if since else text)
    assert behind.attrib["data-status"] == status


def test_more_may_wait_where_more_orders_come() -> None:
    assert indicator("behind", behind=99, rate=50.0).attrib["data-status"] == "good"
    assert indicator("behind", behind=101, rate=50.0).attrib["data-status"] == "doubt"


@pytest.mark.parametrize(
    ("again", "problems", "text", "status"),
    [
        (0, 0, "0 sent again No order had to be sent to the live kitchen again.", "good"),
        (3, 0, "3 sent again kitchen.vnext a < b", "doubt"),
        (1001, 1, "1,000+ sent again, 1 queue refused kitchen.vnext a < b", "bad"),
        (0, 2, "0 sent again, 2 queues refused kitchen.vnext a < b", "bad"),
    ],
)
def test_what_the_relay_had_to_put_right_is_counted_with_its_reasons(
    again: int, problems: int, text: str, status: str
) -> None:
    reasons = [{"queue": "kitchen.vnext", "reason": "a < b"}] if again or problems else []
    shown = indicator("again", again=again, problems=problems, again_reasons=reasons)
    assert (words(shown), shown.attrib["data-status"]) == (text, status)


def test_a_control_that_works_alone_has_indicators() -> None:
    frame = a_frame(None)
    alone = {**frame, "version": "", "versions": frame["versions"][:1]}
    assert len(part("indicators", alone)) == 6


def listed(**fields: Any) -> Element:
    """One discrepancy as it is listed."""
    return the_list({**A_DISCREPANCY, **fields}).findall(".//tbody/tr")[0]


def the_list(*rows: dict[str, Any]) -> Element:
    kinds = {"counting": 1209, "carried": 0, "decided": 2}
    return part("discrepancies", {**a_frame(None), "discrepancies": rows, "kinds": kinds})


def cells(row: Element) -> list[str]:
    """What somebody reads in a row: where, the example, pairs, rates, seen, decision."""
    return [words(cell) for cell in row]


def widths(row: Element) -> list[str]:
    return [bar.attrib["width"] for bar in row.findall(".//rect")]


def test_a_discrepancy_is_listed_with_how_often_beside_how_often_it_is_noise() -> None:
    row = listed(noise_rate=0.0025)

    buttons = "bug by design noise reopen".replace(" ", "")
    assert cells(row)[:4] == ["total_pricevalue new", '"8.50""8.49"', "1,204", "0.8 %0.3 %"]
    assert cells(row)[4] == "first 5 Jan, 09:55:00 UTClast 5 Jan, 09:59:59 UTC"
    assert cells(row)[5].replace(" ", "") == f"open{buttons}"
    assert widths(row) == ["80%", "25%"]
    assert row.attrib["data-look"] == "counting"


def test_a_decision_is_on_what_was_seen() -> None:
    buttons = listed().findall(".//button")

    assert [one.attrib["value"] for one in buttons] == ["bug", "by_design", "noise", "open"]
    assert {one.attrib["formaction"].partition("?")[2] for one in buttons} == {"seen=12:3"}


@pytest.mark.parametrize(
    ("rate", "scale"), [(0, 0.01), (0.01, 0.01), (0.011, 0.02), (0.3, 0.5), (0.97, 1)]
)
def test_all_bars_are_on_one_round_scale(rate: float, scale: float) -> None:
    found = the_list({**A_DISCREPANCY, "rate": rate}, {**A_DISCREPANCY, "rate": 0.001})

    assert words(found.find(".//thead//i")) == wording.part(scale).replace(SPACE, " ")


def test_without_a_baseline_the_noise_is_not_known() -> None:
    row = listed(noise_rate=None)

    assert (cells(row)[3], widths(row)[1]) == ("0.8 %–", "0%")


@pytest.mark.parametrize(
    ("fields", "look", "decision"),
    [
        ({"state": "bug"}, "counting", "bug"),
        ({"state": "by_design"}, "decided", "by design"),
        ({"state": "noise"}, "decided", "noise"),
        ({"state": "fixed"}, "decided", "fixed"),
        ({"count": 0, "ignored": 5}, "ignored", "open"),
        ({"count": 0, "carried": True, "state": "bug"}, "counting", "bug"),
    ],
)
def test_what_no_longer_counts_looks_so(fields: dict[str, Any], look: str, decision: str) -> None:
    row = listed(**fields)

    assert (row.attrib["data-look"], words(row.find("td[last()]/b"))) == (
        look,
        decision,
    )


def test_ignored_pairs_are_counted_apart() -> None:
    assert cells(listed(ignored=1500))[2] == "1,204+1,500 ignored"


def test_a_bug_of_an_earlier_launch_is_listed_as_not_seen_in_this_one() -> None:
    row = listed(carried=True, count=0, state="bug")

    assert cells(row)[4] == "in an earlier launchnot seen in this one"


@pytest.mark.parametrize(
    ("fields", "control", "version"),
    [
        ({}, '"8.50"', '"8.49"'),
        ({"kind": "missing", "version_value": ""}, '"8.50"', "nothing"),
        ({"kind": "failed", "control_value": "", "version_value": "E: m"}, "handled", "E: m"),
        ({"kind": "other", "control_value": "", "version_value": ""}, "", ""),
    ],
)
def test_the_example_shows_what_each_version_has(
    fields: dict[str, Any], control: str, version: str
) -> None:
    row = listed(**fields)

    assert [words(one) for one in row.findall("td/a/span")] == [control, version]


def test_without_discrepancies_the_list_says_what_would_come() -> None:
    assert "No differences yet" in words(the_list())
    assert "1,209 open for vnext, 2 resolved" in words(the_list(A_DISCREPANCY))
    assert "No difference" not in words(the_list(A_DISCREPANCY))


def texts(frame: dict[str, Any]) -> dict[str, str]:
    return render_parts(a_launch(frame), frame, is_pinned=False)


def test_a_part_is_the_same_while_nothing_changes_but_the_time() -> None:
    frame = a_frame("ready")
    later = {**frame, "at": AT + 3, "feed": {**frame["feed"], "age_s": 3.2, "oldest_s": 7.2}}
    frame["feed"]["oldest_s"] = 4.2

    assert texts(later) == texts(frame)


def test_the_scripts_read_every_field_of_a_frame() -> None:
    scripts = "".join(path.read_text() for path in (ROOT / "static/js/board").glob("*.js"))
    state = a_frame("ready") | {"ids": [], "change": None}
    unread = [name for name in frame_fields(state) if not re.search(rf"\b{name}\b", scripts)]
    assert unread == []
