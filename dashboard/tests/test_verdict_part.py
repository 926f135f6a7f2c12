"""The verdict on the board: its sentence and checklist, words, limits, plots, histories."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dashboard.board import verdict, wording
from dashboard.board.verdict import VerdictText, verdict_text
from dashboard.tests.verdict_frames import (
    AT,
    LAUNCH,
    RUNS,
    a_frame,
    a_requirement,
    a_verdict,
    part,
    words,
)

SPACE = "\N{NO-BREAK SPACE}"


def the_line(word: str, run: str = "running", **said: Any) -> VerdictText:
    """The line of a verdict, with other things said in it."""
    found = verdict_text({"run": RUNS[run], "verdict": {**a_verdict(word), **said}})
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("run", "before", "after"),
    [
        (
            "stopped",
            "Stopped (0 % of orders) since ",
            ", on 3,160 orders after the warm-up.",
        ),
        ("ended", "Ended ", "; the last orders are still being counted."),
        ("final", "Final: the launch ended ", ", on 3,160 orders after the warm-up."),
    ],
)
def test_where_no_more_orders_come_it_is_said_since_when_and_none_are_predicted(
    run: str, before: str, after: str
) -> None:
    line = the_line("not yet", run)
    assert line.state is not None
    assert (line.state.before.replace(SPACE, " "), line.state.after) == (before, after)
    assert line.state.at.timestamp() == AT
    assert line.so_far == ""
    assert [one.more for one in line.requirements] == [""] * 6
    assert the_line("not yet").state is None


def test_one_pair_of_one_block_is_not_called_pairs() -> None:
    line = the_line("not yet", "stopped", pairs=1, blocks=1, orders=1)
    assert line.tested.startswith("1 pair measured (build git:1a2b3c), 1 block of 10")
    assert line.state is not None
    assert line.state.after == ", on 1 order after the warm-up."


def the_requirement(key: str, **said: Any) -> verdict.ChecklistItem:
    """One requirement of the checklist."""
    row = {**a_requirement(key, "not yet", "inconclusive", ""), **said}
    return next(line for line in verdict.checklist([row]) if line.key == key)


@pytest.mark.parametrize(
    ("word", "look", "before", "loud", "after"),
    [
        ("ready", "ready", "vnext is ", "READY", "31 % faster (28 to 34 %), fails no more often"),
        (
            "not yet",
            "not-yet",
            "",
            "NOT YET",
            "4 of 6 requirements met, differences beyond",
        ),
        ("worse", "worse", "", "WORSE", "vnext: failure rate +1.9 pp (1.2 to 2.7)."),
        ("withheld", "withheld", "", "WITHHELD", "4.8 % of results are missing (at most 1 %)."),
    ],
)
def test_the_word_stands_between_what_leads_to_it_and_why(
    word: str, look: str, before: str, loud: str, after: str
) -> None:
    line = the_line(word)

    assert (line.slug, line.before, line.word) == (look, before, loud)
    assert line.after.replace(SPACE, " ").startswith(after)


def test_percentages_of_a_sentence_do_not_break() -> None:
    assert " %" not in the_line("ready").after


def test_the_effect_is_said_while_the_word_is_open_and_only_where_it_is_known() -> None:
    assert the_line("not yet").so_far == f"So far 31{SPACE}% faster (28 to 34{SPACE}%)."
    assert the_line("ready").so_far == ""
    unknown = [
        a_requirement("speed", "not yet", "inconclusive", "between 2 % faster and 3 % slower")
    ]
    assert the_line("not yet", requirements=unknown).so_far == ""


@pytest.mark.parametrize(
    ("contrast", "text"),
    [
        (("size", "small", "huge", True), "Faster on small orders, slower on huge ones."),
        (("item", "soda", "pie", True), "Faster on orders with soda, slower on those with pie."),
        (
            ("hour", "09", "13", True),
            "Faster on orders at 09:00 UTC, slower on those at 13:00 UTC.",
        ),
        (("size", "small", "huge", False), "Best on small orders, worst on huge ones."),
    ],
)
def test_what_misleads_is_in_the_line_in_short(
    contrast: tuple[str, str, str, bool], text: str
) -> None:
    named = dict(zip(("kind", "faster", "slower", "opposite"), contrast, strict=True))

    assert the_line("ready", contrasts=[named]).contrast == text
    assert the_line("ready", contrasts=[]).contrast == ""


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ([0.68, 0.745], "total time 26–32 % less"),
        ([1.02, 1.2], "total time 2–20 % more"),
        ([0.97, 1.02], "total time −3 % to +2 %"),
        ([-14, 14], ""),
        (None, ""),
    ],
)
def test_total_time_is_less_or_more_or_between(interval: list[float] | None, text: str) -> None:
    assert the_line("ready", total_time=interval).total_time.replace(SPACE, " ") == text


def test_answers_that_could_not_be_counted_are_said_if_there_are_any() -> None:
    assert the_line("ready").trouble == ""
    assert the_line("ready", late=1200, bad=1).trouble == "1,200 counted late, 1 not usable"
    assert the_line("ready", lost=2).trouble == "2 too late to count"


@pytest.mark.parametrize(
    ("version", "run", "said"),
    [
        (
            "vnext",
            "running",
            "No verdict yet: waiting for vnext's first completed block of orders.",
        ),
        (
            "vnext",
            "ended",
            "No verdict: the launch ended before vnext had a completed block of orders.",
        ),
        (
            "vlatest-b",
            "running",
            "No verdict: vlatest-b is a second copy of the control: it measures noise.",
        ),
    ],
)
def test_without_a_verdict_the_board_says_why(version: str, run: str, said: str) -> None:
    frame = a_frame(None, run) | {"version": version}

    assert words(part("verdict", frame).find("h1")) == said
    assert len(part("requirements", frame)) == 0


def test_a_verdict_is_rendered_with_its_numbers_and_the_checklist() -> None:
    shown = part("verdict", a_frame("not yet"))

    assert words(shown.find("h1")).startswith(
        "NOT YET: 4 of 6 requirements met, differences beyond noise +0.81 pp"
    )
    checklist = part("requirements", a_frame("not yet"))
    rows = checklist.findall(".//tbody/tr")
    assert [row.attrib["data-standing"] for row in rows] == [
        "passed", "not yet", "passed", "not yet", "passed", "passed",
    ]  # fmt: skip
    assert words(rows[0].find("th")) == "speed met"
    assert words(rows[1].find("td[@class='needs']")) == "about 1,400 more orders show failed orders"
    assert len(checklist.findall(".//ul[@class='warnings']/li")) == 2


def test_several_candidates_each_have_a_word_and_a_link() -> None:
    frame = a_frame("not yet") | {"words": {"vnext": "not yet", "vlatest-b": "worse"}}
    links = part("verdict", frame, is_pinned=True).findall(".//nav//a")

    assert [words(one) for one in links] == ["vnext NOT YET", "vlatest-b WORSE"]
    assert [one.get("aria-current") for one in links] == ["true", None]
    assert links[1].attrib["href"] == f"?version=vlatest-b&launch={LAUNCH}"
    assert part("verdict", a_frame("not yet")).find(".//nav") is None


@pytest.mark.parametrize(
    ("word", "run", "offered"),
    [
        ("worse", "running", True),
        ("worse", "stopped", False),
        ("worse", "final", False),
        ("not yet", "running", True),
    ],
)
def test_a_version_that_gets_orders_can_be_stopped(word: str, run: str, offered: bool) -> None:
    button = part("launch", a_frame(word, run)).find(".//a[@class='may-launch button stop']")

    assert (button is not None) is offered
    assert button is None or words(button) == "Stop vnext"


def test_a_cause_leads_to_its_orders_of_this_version_and_launch() -> None:
    shown = part("requirements", a_frame("not yet"), is_pinned=True)
    links = {words(one): one for one in shown.findall(".//a[@class='cause']")}

    asked = links["show failed orders"].attrib["href"]
    assert asked == f"?filter=failed&version=vnext&launch={LAUNCH}#lanes"
    assert links["show failed orders"].attrib["data-filter"] == "failed"
    assert links["show discrepancies"].attrib["href"] == "#discrepancies"


def test_an_ended_launch_says_how_long_it_ran_and_what_share_the_version_had() -> None:
    shown = words(part("launch", a_frame("ready", "final")))

    assert "ran 10 h 0 min" in shown
    assert "sample 100 % at the end" in shown
    assert "change" not in shown


@pytest.mark.parametrize(
    ("key", "limit"),
    [
        ("speed", "≤ 2 % slower"),
        ("failures", "≤ +0.5 pp"),
        ("slow orders", "≤ +1.0 pp"),
        ("differences", "≤ +0.5 pp"),
        ("completeness", "≤ 1 % missing"),
        ("keeping up", "≤ 10 s behind"),
    ],
)
def test_every_requirement_says_what_it_passes_with(key: str, limit: str) -> None:
    line = the_requirement(key)

    assert line.limit.replace(SPACE, " ") == limit
    assert line.anchor == key.replace(" ", "-")


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("failure rate +1.9 pp (1.2 to 2.7)", "+1.9 pp (1.2 to 2.7)"),
        ("slow orders +0.3 pp (0.1 to 0.5)", "+0.3 pp (0.1 to 0.5)"),
        ("differences beyond noise +2.0 pp (1.0 to 3.0)", "+2.0 pp (1.0 to 3.0)"),
        ("differs on 2 to 3 % of orders", "differs on 2 to 3 % of orders"),
    ],
)
def test_a_line_does_not_say_its_name_again(text: str, short: str) -> None:
    assert the_requirement("failures", text=text).text.replace(SPACE, " ") == short


@pytest.mark.parametrize(
    ("said", "more"),
    [
        ({"needs": "about 1,400 more orders"}, "about 1,400 more orders"),
        ({"needs": ""}, ""),
        ({"needs": "about 1,400 more orders", "word": "not comparable"}, ""),
    ],
)
def test_what_is_still_needed_is_said_of_what_is_open(said: dict[str, Any], more: str) -> None:
    assert the_requirement("failures", **said).more == more


@pytest.mark.parametrize(
    ("said", "history"),
    [
        ({}, None),
        ({"since": AT}, ("inconclusive since ", AT, "")),
        (
            {"was": "faster", "was_at": AT + 119},
            ("since ", AT + 119, ": faster \N{RIGHTWARDS ARROW} inconclusive"),
        ),
        (
            {"standing": "passed", "passed_at": AT, "was": "faster", "was_at": AT + 119},
            ("since ", AT, ""),
        ),
        (
            {"standing": "passed", "passed_at": AT, "bound": math.log1p(0.011)},
            ("since ", AT, f": ≤{SPACE}1.1{SPACE}% slower (95{SPACE}%)"),
        ),
        (
            {"standing": "passed", "passed_at": AT, "bound": math.log1p(-0.29)},
            ("since ", AT, f": ≥{SPACE}29{SPACE}% faster (95{SPACE}%)"),
        ),
        # Unknown just now, or wider than it was: the pass stays, the bound of now is not named.
        ({"standing": "passed", "passed_at": AT, "bound": 14.0}, ("since ", AT, "")),
        (
            {"standing": "passed", "passed_at": AT, "bound": math.log1p(0.03)},
            ("since ", AT, ""),
        ),
        ({"standing": "not yet", "passed_at": AT}, None),
    ],
)
def test_a_requirement_says_since_when_or_what_it_was(
    said: dict[str, Any], history: tuple[str, float, str] | None
) -> None:
    found = the_requirement("speed", **said).history
    assert (found and (found.before, found.at.timestamp(), found.after)) == history


@pytest.mark.parametrize(
    ("key", "said", "plot"),
    [
        # A scale of ± 5 %: zero in the middle, the line right of it, the interval left.
        ("speed", (-0.03, -0.04, -0.01), ("50.0%", "69.8%", "10.0%", "30.0%", "20.0%")),
        # Beyond the last scale all ends at its edge.
        ("speed", (-0.7, -2.0, 2.0), ("50.0%", "50.7%", "0.0%", "100.0%", "25.0%")),
        # An end that says nothing draws no interval.
        ("speed", (-0.03, -14.0, 14.0), ("50.0%", "69.8%", "0.0%", "0.0%", "20.0%")),
        ("failures", (0.005, 0.0, 0.01), ("50.0%", "75.0%", "50.0%", "50.0%", "75.0%")),
        ("failures", (0.005, -1.0, 1.0), ("50.0%", "75.0%", "0.0%", "0.0%", "75.0%")),
        ("failures", (None, None, None), ("50.0%", "75.0%", "0.0%", "0.0%", "")),
        # What is counted has no interval, and begins at zero.
        ("completeness", (0.002, -0.01, 0.01), ("0.0%", "50.0%", "0.0%", "0.0%", "10.0%")),
        ("keeping up", (15.0, None, None), ("0.0%", "50.0%", "0.0%", "0.0%", "75.0%")),
    ],
)
def test_number_interval_and_line_are_drawn_on_one_scale(
    key: str, said: tuple[float | None, ...], plot: tuple[str, ...]
) -> None:
    estimate, lo, hi = said
    drawn = the_requirement(key, estimate=estimate, lo=lo, hi=hi).plot

    assert (drawn.zero, drawn.line, drawn.start, drawn.width, drawn.dot) == plot


@pytest.mark.parametrize(
    ("of_one", "text"),
    [
        (0, "0 %"), (0.0021, "0.21 %"), (0.005, "0.5 %"), (math.expm1(math.log1p(0.02)), "2 %"),
        (-0.31, "31 %"), (0.0994, "9.9 %"), (0.0996, "10 %"), (12.04, "1,204 %"),
    ],
)  # fmt: skip
def test_a_change_has_as_many_digits_as_it_deserves(of_one: float, text: str) -> None:
    assert wording.percent(of_one).replace(SPACE, " ") == text


@pytest.mark.parametrize(
    ("ends", "text"),
    [((-0.34, -0.28), "28–34 %"), ((0.012, 0.027), "1.2–2.7 %"), ((0.91, 0.912), "91 %")],
)
def test_a_range_is_written_from_the_smaller_to_the_larger(
    ends: tuple[float, float], text: str
) -> None:
    assert wording.span(*ends).replace(SPACE, " ") == text


def test_a_change_has_a_sign_unless_it_is_none() -> None:
    signed = [wording.change(one).replace(SPACE, " ") for one in (-0.31, 0.004, 0.0)]

    assert signed == ["−31 %", "+0.4 %", "0 %"]


def test_a_requirement_that_passed_is_drawn_up_to_its_bound_and_not_across_the_threshold() -> None:
    interval = {"estimate": 0.001, "lo": -0.003, "hi": 0.006, "bound": 0.0045}
    crossing = the_requirement("failures", standing="not yet", **interval).plot
    passed = the_requirement("failures", standing="passed", **interval).plot

    def end(plot: verdict.Plot) -> float:
        return float(plot.start[:-1]) + float(plot.width[:-1])

    assert end(passed) < float(passed.line[:-1]) < end(crossing)
    assert passed.start == crossing.start
    since_then = {**interval, "bound": 0.0055}
    assert the_requirement("failures", standing="passed", **since_then).plot.width == "0.0%"


def test_what_does_not_pass_leads_to_what_causes_it() -> None:
    def cause(key: str, **said: Any) -> tuple[str, str] | None:
        found = the_requirement(key, **{"estimate": 0.1, **said}).cause
        return found and (found.filter, found.part)

    assert cause("failures") == ("failed", "lanes")
    assert cause("differences") == ("", "discrepancies")
    assert cause("speed") == ("slower", "lanes")
    assert cause("completeness") == ("missing", "lanes")
    assert cause("failures", standing="passed") is None
    assert cause("failures", estimate=None) is None
    assert cause("failures", word="not comparable") is None
