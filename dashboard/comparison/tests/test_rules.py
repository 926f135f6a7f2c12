"""Which differences a rule disregards, and which rules cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.comparison.diff import compare
from dashboard.comparison.rules import (
    MAX_PLACES,
    MAX_REWRITTEN,
    ComparisonRule,
    RuleError,
    Rules,
    Treatment,
)
from dashboard.comparison.tests.growth import stays_in_hand

T = Treatment


def rules(*made: ComparisonRule, version: str = "vnext") -> Rules:
    return Rules.of(made, version)


def told(control: Any, version: Any, *made: ComparisonRule) -> list[tuple[str, int | None]]:
    """Each difference of two documents, with the rule that disregards it."""
    them = rules(*made)
    found = compare(control, version, them).differences
    return [(f"{one.kind} {one.shown}", them.ignoring(one)) for one in found]


def ignored(control: Any, version: Any, *made: ComparisonRule) -> bool:
    """Whether two values at ``a`` differ, and the rules disregard that."""
    [(_, rule)] = told({"a": control}, {"a": version}, *made)
    return rule is not None


def test_without_rules_every_difference_counts() -> None:
    assert told({"a": 1}, {"b": [1]}) == [("missing a", None), ("extra b", None)]


def test_to_ignore_covers_every_kind_at_the_path_and_below() -> None:
    control = {"a": {"x": 1, "y": [1, 2], "z": 1}, "b": 1, "c": 1}
    version = {"a": {"x": "1", "y": [2, 1], "w": 1}, "b": 2}
    assert told(control, version, ComparisonRule(id=7, path="a", treatment=T.IGNORE)) == [
        ("type a.x", 7),
        ("order a.y", 7),
        ("missing a.z", 7),
        ("extra a.w", 7),
        ("value b", None),
        ("missing c", None),
    ]


def test_what_is_missing_above_an_ignored_path_counts() -> None:
    assert told({"a": {"x": 1}}, {}, ComparisonRule(id=7, path="a.x", treatment=T.IGNORE)) == [
        ("missing a", None)
    ]


def test_the_whole_document_can_be_ignored() -> None:
    for path in ("$", "**"):
        assert told(1, "1", ComparisonRule(id=7, path=path, treatment=T.IGNORE)) == [("type $", 7)]
        assert rules(ComparisonRule(id=7, path=path, treatment=T.IGNORE)).covering(()) == 7
    assert rules(ComparisonRule(id=7, path="a", treatment=T.IGNORE)).covering(()) is None


def test_a_rule_concerns_its_version_alone_and_without_one_all() -> None:
    [difference] = compare({"a": 1}, {"a": 2}).differences
    own = ComparisonRule(id=1, path="a", treatment=T.IGNORE, version="vnext")
    everyones = ComparisonRule(id=2, path="a", treatment=T.IGNORE)
    assert rules(own, version="vnext").ignoring(difference) == 1
    assert rules(own, version="vnext-2").ignoring(difference) is None
    assert rules(everyones, version="vnext-2").ignoring(difference) == 2
    assert rules(own, everyones, version="vnext").ignoring(difference) == 1


@pytest.mark.parametrize(
    ("control", "version", "absolute", "relative", "near"),
    [
        (1, 2, 1, None, True),
        (1, 2, 0.99, None, False),
        (1.1, 1.0, 0.1, None, True),
        (0.1 + 0.2, 0.3, 1e-9, None, True),
        (100, 110, None, 0.1, True),
        (100, 112, None, 0.1, False),
        (-100, -110, None, 0.1, True),
        (-1, 1, None, 1, False),
        (-1, 1, None, 2, True),
        (0, 1e-300, None, 0.5, False),
        (100, 112, 12, 0.1, True),
        (100, 101, 0, 0.01, True),
        ("3.50", "3.52", 0.02, None, True),
        ("3.50", "3.53", 0.02, None, False),
        ("3.50", 3.51, 1, None, False),
        ("three", "four", 10, None, False),
        (True, 2, 10, None, False),
        (None, 0, 10, None, False),
        (1, float("nan"), 10, None, False),
        (1, float("inf"), 1e300, None, False),
        (float("-inf"), float("inf"), 1e300, 1e300, False),
        ("1e9999", "2e9999", 10, None, False),
        ("1e9999", "1.1e9999", None, 0.1, True),
        ("1e-9999", "2e-9999", 0, None, False),
        ("1e99999", "2e99999", 1e300, 1e300, False),
        (10**400, 10**400 + 1, 1, None, True),
        (10**4000, 2 * 10**4000, 1, None, False),
        ([1], [2], 10, None, False),
    ],
)
def test_a_tolerance_is_a_distance_or_a_share_of_the_larger_number(
    control: Any, version: Any, absolute: float | None, relative: float | None, *, near: bool
) -> None:
    rule = ComparisonRule(
        id=1, path="a", treatment=T.TOLERANCE, absolute=absolute, relative=relative
    )
    assert ignored(control, version, rule) is near
    assert ignored(version, control, rule) is near


@pytest.mark.parametrize(
    ("control", "version", "equal"),
    [
        ("3.50", "3.5", True),
        ("3.50", 3.5, True),
        (3, "3.0", True),
        ("1e2", "100", True),
        ("+1", "1", True),
        ("-0", "0.0", True),
        (" 1", "1", True),
        ("3.50", "3.51", False),
        ("0.1", 0.1, True),
        (1, 2, False),
        ("NaN", "nan", False),
        ("Infinity", "inf", False),
        ("1_000", "1000", False),
        ("٣", "3", False),
        ("", "0", False),
        (True, "1", False),
        (None, "0", False),
        ("1" * 200, "1" * 200 + ".0", False),
        ("1e1000000000", "10e999999999", False),
    ],
)  # fmt: skip
def test_two_spellings_of_a_decimal_are_equal(control: Any, version: Any, *, equal: bool) -> None:
    rule = ComparisonRule(id=1, path="a", treatment=T.DECIMAL)
    assert ignored(control, version, rule) is equal
    assert ignored(version, control, rule) is equal


def test_tolerance_and_decimal_are_for_the_path_itself_and_for_values_of_both() -> None:
    near = ComparisonRule(id=1, path="a", treatment=T.TOLERANCE, absolute=9)
    assert told({"a": {"b": 1}}, {"a": {"b": 2}}, near) == [("value a.b", None)]
    assert told({"a": 1}, {}, near) == [("missing a", None)]
    assert told({}, {"a": 1}, near) == [("extra a", None)]


def test_the_order_of_an_unordered_list_is_disregarded_and_its_members_count() -> None:
    rule = ComparisonRule(id=3, path="tags", treatment=T.UNORDERED)
    assert told({"tags": [1, 2, 3]}, {"tags": [3, 1, 4]}, rule) == [
        ("order tags", 3),
        ("value tags[1]", None),
    ]


def test_the_members_of_a_keyed_list_are_told_apart_by_their_field() -> None:
    rule = ComparisonRule(id=3, path="lines", treatment=T.KEYED, key="name")
    control = {"lines": [{"name": "burger", "n": 1}, {"name": "fries", "n": 2}]}
    version = {"lines": [{"name": "fries", "n": 3}, {"name": "burger", "n": 1}]}
    assert told(control, version, rule) == [
        ("order lines", 3),
        ('value lines[name="fries"].n', None),
    ]


@pytest.mark.parametrize(
    ("pattern", "replacement", "control", "version", "equal"),
    [
        (r"\d+", "#", "order 7", "order 12", True),
        (r"\d+", "#", "order 7", "offer 7", False),
        (r"\d+", "", "7", "x", False),
        (r"(?i)ü", "u", "Über", "uber", True),
        (r"(\w+) (\w+)", r"\2 \1", "a b", "b a", False),
        (r"^(\w)\w*$", r"\1", "burger", "beans", True),
        (r"(?P<head>\w)\w*", r"\g<head>", "burger", "beans", True),
        (r"(a)|(b)", r"[\1]", "b", "[]", True),
        (r"/", r"\\", "a/b", "a\\b", True),
        (r"x*", "-", "", "x", False),
        (r".", "", "a\nb", "\n", True),
        (r"\d+", "#", "7 \ud83c", "8 \ud83c", False),
        (r"\d", "#", "1" * (MAX_REWRITTEN + 1), "2" * (MAX_REWRITTEN + 1), False),
        (r"\d", "#", "1" * (MAX_PLACES + 1), "2" * (MAX_PLACES + 1), False),
        (r"\d", "#", "1" * MAX_PLACES, "2" * MAX_PLACES, True),
        (r"\d+", "#", 7, 8, False),
        (r"\d+", "#", "7", 8, False),
    ],
)
def test_texts_are_equal_after_a_pattern_was_replaced_in_both(
    pattern: str, replacement: str, control: Any, version: Any, *, equal: bool
) -> None:
    rule = ComparisonRule(
        id=1, path="a", treatment=T.REPLACE, pattern=pattern, replacement=replacement
    )
    assert ignored(control, version, rule) is equal


def test_patterns_are_replaced_one_after_another_and_numbers_are_measured_after() -> None:
    currency = ComparisonRule(id=1, path="a", treatment=T.REPLACE, pattern="^EUR ")
    near = ComparisonRule(id=2, path="a", treatment=T.TOLERANCE, absolute=0.05)
    comma = ComparisonRule(id=3, path="a", treatment=T.REPLACE, pattern=",", replacement=".")
    made = (currency, near, comma)
    assert told({"a": "EUR 3,50"}, {"a": "3.50"}, *made) == [("value a", 3)]
    assert told({"a": "EUR 3,50"}, {"a": "3.52"}, *made) == [("value a", 2)]
    assert told({"a": "EUR 3,50"}, {"a": "3.60"}, *made) == [("value a", None)]


def test_each_text_has_its_patterns_replaced_whatever_the_other_value_is() -> None:
    currency = ComparisonRule(id=1, path="a", treatment=T.REPLACE, pattern="^EUR ")
    spelled = ComparisonRule(id=2, path="a", treatment=T.DECIMAL)
    assert told({"a": "EUR 3.50"}, {"a": 3.5}, currency, spelled) == [("type a", 2)]
    assert told({"a": 3.5}, {"a": "EUR 3.50"}, currency, spelled) == [("type a", 2)]
    assert told({"a": "EUR 3.50"}, {"a": 3.6}, currency, spelled) == [("type a", None)]


def replace(pattern: str, replacement: str = "") -> dict[str, Any]:
    return {"treatment": T.REPLACE, "pattern": pattern, "replacement": replacement}


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"path": ""}, "path", "give a path"),
        ({"path": "items[2]"}, "path", "[] for every element"),
        ({"treatment": T.TOLERANCE}, "absolute", "how far apart"),
        ({"treatment": T.TOLERANCE, "absolute": -1.0}, "absolute", "0 or more"),
        ({"treatment": T.TOLERANCE, "relative": float("nan")}, "relative", "0 or more"),
        ({"treatment": T.TOLERANCE, "relative": float("inf")}, "relative", "0 or more"),
        ({"treatment": T.KEYED}, "key", "name a field"),
        ({"treatment": T.KEYED, "key": "k" * 101}, "key", "at most 100"),
        (replace(""), "pattern", "give a regular expression"),
        (replace("a" * 301), "pattern", "at most 300"),
        (replace("("), "pattern", "missing )"),
        (replace("(?=a)"), "pattern", "invalid perl operator"),
        (replace(r"(a)\1"), "pattern", "invalid escape sequence"),
        (replace("(((a{1,9}){1,9}){1,9}){1,9}"), "pattern", "invalid repetition size"),
        (replace("\ud83c"), "pattern", "not valid Unicode"),
        (replace("a", "b" * 201), "replacement", "at most 200"),
        (replace("a", r"\1"), "replacement", "no group 1"),
        (replace("(a)", r"\12"), "replacement", "no group 12"),
        (replace("(?P<n>a)", r"\g<m>"), "replacement", "no group m"),
        (replace("(a)", r"\g<²>"), "replacement", "no group ²"),
        (replace("a", r"\n"), "replacement", "for a backslash"),
        (replace("a", "\\"), "replacement", "for a backslash"),
    ],
)
def test_a_rule_that_cannot_be_says_which_field_and_why(
    fields: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(RuleError) as refused:
        ComparisonRule(**{"id": 1, "path": "a", "treatment": T.IGNORE, **fields})
    assert refused.value.field == field
    assert reason in refused.value.reason


@given(
    st.text(st.sampled_from(r"ab()[]{}*+?|\.^$<>gP0129:=!é"), max_size=12),
    st.text(st.sampled_from("ab\\g<>012é\0"), max_size=8),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_no_pattern_raises_once_its_rule_is_made(
    pattern: str, replacement: str, control: str, version: str
) -> None:
    try:
        rule = ComparisonRule(
            id=1, path="a", treatment=T.REPLACE, pattern=pattern, replacement=replacement
        )
    except RuleError:
        return
    for _, by in told({"a": control}, {"a": version}, rule):
        assert by in (None, 1)


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|aa)+$", "a.*b|a", "(.*){1,9}x"])
def test_no_pattern_takes_long(pattern: str) -> None:
    rule = ComparisonRule(id=1, path="a", treatment=T.REPLACE, pattern=pattern)
    with stays_in_hand():
        assert ignored("a" * MAX_REWRITTEN, "a" * (MAX_REWRITTEN - 1) + "!", rule) in (True, False)


@pytest.mark.parametrize(
    ("control", "version", "seconds", "near"),
    [
        ("2026-01-05T10:00:00Z", "2026-01-05T10:00:00+00:00", 0, True),
        ("2026-01-05T10:00:00Z", "2026-01-05 12:00+0200", 0, True),
        ("2026-01-05T10:00:00.001Z", "2026-01-05T10:00:00.002000001Z", 0.001, False),
        ("2026-01-05T10:00:00.001Z", "2026-01-05T10:00:00,002Z", 0.001, True),
        ("2026-01-05T10:00:00", "2026-01-05T10:00:59", 59, True),
        ("2026-01-05T10:00:00", "2026-01-05T10:00:59", 58, False),
        ("2026-01-05T10:00:00", "2026-01-05T10:00:00Z", 9, False),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:01+14:00", 1, True),
        ("2026-02-30T10:00:00Z", "2026-02-30T10:00:01Z", 9, False),
        ("2026-01-05T24:00:01Z", "2026-01-05T10:00:00Z", 1e9, False),
        ("2026-01-05", "2026-01-06", 1e9, False),
        ("now", "later", 1e9, False),
        (1, 2, 9, False),
    ],
)
def test_times_are_near_by_seconds(
    control: Any, version: Any, seconds: float, *, near: bool
) -> None:
    rule = ComparisonRule(id=1, path="a", treatment=T.TIMES, absolute=seconds)
    assert ignored(control, version, rule) is near
    assert ignored(version, control, rule) is near


def test_where_the_keys_mean_nothing_that_they_differ_is_seen_and_ignored() -> None:
    rule = ComparisonRule(id=7, path="a", treatment=T.VALUES)
    assert told({"a": {"x": 1, "y": 2}}, {"a": {"p": 2, "q": 1}}, rule) == [("order a", 7)]
    assert told({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}, rule) == []
    assert told({"a": {"x": 1}}, {"a": {"p": 2, "q": 3}}, rule) == [
        ("order a", 7),
        ("value a.x", None),
        ("extra a.q", None),
    ]


def test_null_that_is_as_good_as_nothing_is_seen_and_ignored() -> None:
    rule = ComparisonRule(id=7, path="**", treatment=T.NULL)
    assert told({"a": None, "b": {"c": 1}}, {"b": {"c": 1, "d": None}}, rule) == [
        ("missing a", 7),
        ("extra b.d", 7),
    ]


@pytest.mark.parametrize("fields", [{}, {"absolute": -1}, {"absolute": float("nan")}])
def test_a_rule_for_times_says_how_many_seconds(fields: dict[str, Any]) -> None:
    with pytest.raises(RuleError) as refused:
        ComparisonRule(id=1, path="a", treatment=T.TIMES, **fields)
    assert refused.value.field == "absolute"
