"""What is thought of a pair: outcome, groups, and what messages of failures have in common."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.comparison.diff import MAX_DIFFERENCES
from dashboard.comparison.judgement import (
    MAX_GROUP_PATH,
    MAX_NORMALISED,
    Ending,
    Group,
    GroupKind,
    Judgement,
    differences,
    judge,
    normalised,
    values_at,
)
from dashboard.comparison.outcome import Outcome, State
from dashboard.comparison.rules import ComparisonRule, Rules, Treatment
from dashboard.comparison.tests.growth import stays_in_hand

NO_RULES = Rules.of((), "vnext")
GONE = Ending(state=State.MISSING)


def handled(result: Any) -> Ending:
    return Ending(state=State.HANDLED, result=result)


def failed(message: str, error_type: str = "ValueError") -> Ending:
    return Ending(state=State.FAILED, error_type=error_type, error_message=message)


def ignoring(path: str, rule: int = 1) -> ComparisonRule:
    return ComparisonRule(id=rule, path=path, treatment=Treatment.IGNORE)


def test_results_without_a_difference_agree() -> None:
    assert judge(handled({"a": 1}), handled({"a": 1.0}), NO_RULES) == Judgement(Outcome.AGREE, {})


def test_results_differ_and_their_differences_are_grouped() -> None:
    control = {"lines": [{"n": 1}, {"n": 2}, {"n": 3}], "cook": "Esi"}
    version = {"lines": [{"n": 2}, {"n": "2"}, {"n": 4}]}
    assert judge(handled(control), handled(version), NO_RULES) == Judgement(
        Outcome.DIFFER,
        {
            Group(GroupKind.VALUE, "lines[].n"): None,
            Group(GroupKind.TYPE, "lines[].n"): None,
            Group(GroupKind.MISSING, "cook"): None,
        },
    )


def test_results_agree_when_a_rule_ignores_each_difference_and_the_groups_stay_visible() -> None:
    rules = Rules.of([ignoring("a", 1), ignoring("b", 2)], "vnext")
    judgement = judge(handled({"a": 1, "b": 1}), handled({"a": 2}), rules)
    assert judgement == Judgement(
        Outcome.AGREE, {Group(GroupKind.VALUE, "a"): 1, Group(GroupKind.MISSING, "b"): 2}
    )


@pytest.mark.parametrize("version", [[1.5, 9], [9, 1.5]])
def test_a_group_counts_as_soon_as_one_of_its_members_does(version: list[float]) -> None:
    near = ComparisonRule(id=1, path="a[]", treatment=Treatment.TOLERANCE, absolute=1)
    rules = Rules.of([near], "vnext")
    judgement = judge(handled({"a": [1, 1]}), handled({"a": version}), rules)
    assert judgement == Judgement(Outcome.DIFFER, {Group(GroupKind.VALUE, "a[]"): None})


def test_a_version_that_fails_where_the_control_does_not_is_one_group() -> None:
    judgement = judge(handled({}), failed("21 of 'burger': too many"), NO_RULES)
    assert judgement == Judgement(
        Outcome.CANDIDATE_FAILED, {Group(GroupKind.FAILED, "ValueError: # of '…': too many"): None}
    )


def test_a_control_that_fails_where_the_version_does_not_is_one_group() -> None:
    judgement = judge(failed("no 7"), handled({}), NO_RULES)
    assert judgement == Judgement(
        Outcome.CONTROL_FAILED, {Group(GroupKind.CONTROL_FAILED, "ValueError: no #"): None}
    )


@pytest.mark.parametrize(
    ("version", "paths"),
    [
        (failed("no 7"), []),
        (failed("no 8"), ["error.message"]),
        (failed("no 7", "KeyError"), ["error.type"]),
        (failed("no 8", "KeyError"), ["error.type", "error.message"]),
    ],
)
def test_two_failures_are_compared_by_type_and_message(version: Ending, paths: list[str]) -> None:
    judgement = judge(failed("no 7"), version, NO_RULES)
    assert judgement.outcome is Outcome.BOTH_FAILED
    assert judgement.groups == {Group(GroupKind.VALUE, path): None for path in paths}


def test_a_rule_can_ignore_the_messages_of_two_failures() -> None:
    rules = Rules.of([ignoring("error.message", 4)], "vnext")
    judgement = judge(failed("no 7"), failed("no 8"), rules)
    assert judgement.groups == {Group(GroupKind.VALUE, "error.message"): 4}


def test_no_rule_ignores_a_failure_of_one_alone() -> None:
    rules = Rules.of([ignoring("**")], "vnext")
    assert None in judge(handled({}), failed("no"), rules).groups.values()


@pytest.mark.parametrize("other", [handled({}), failed("no"), GONE])
def test_a_pair_with_a_missing_answer_has_no_groups(other: Ending) -> None:
    for pair in ((GONE, other), (other, GONE)):
        assert judge(*pair, NO_RULES) == Judgement(Outcome.MISSING, {})


def test_a_pair_that_has_not_ended_is_not_judged() -> None:
    with pytest.raises(ValueError, match="both have ended"):
        judge(handled({}), Ending(state=State.RECEIVED), NO_RULES)


MANY = Group(GroupKind.MANY, "$")


def test_too_many_differences_are_a_group_of_their_own() -> None:
    count = MAX_DIFFERENCES
    control, version = [0] * (count + 1), [1] * (count + 1)
    groups = {Group(GroupKind.VALUE, "[]"): None}
    assert judge(handled(control[1:]), handled(version[1:]), NO_RULES).groups == groups
    assert judge(handled(control), handled(version), NO_RULES).groups == {**groups, MANY: None}


def test_what_is_ignored_leaves_room_for_what_counts() -> None:
    control = {"a": [0] * 300, "b": 1}
    rules = Rules.of([ignoring("a")], "vnext")
    judgement = judge(handled(control), handled({"a": [1] * 300, "b": 1}), rules)
    assert judgement == Judgement(Outcome.AGREE, {Group(GroupKind.VALUE, "a[]"): 1})
    judgement = judge(handled(control), handled({"a": [1] * 300, "b": 2}), rules)
    assert judgement.groups == {
        Group(GroupKind.VALUE, "a[]"): 1,
        Group(GroupKind.VALUE, "b"): None,
    }


@pytest.mark.parametrize("path", ["a", "a.*", "**", "$"])
def test_however_much_is_ignored_it_is_not_too_much(path: str) -> None:
    control = handled({"a": {f"k{number}": 0 for number in range(3000)}, "b": 1})
    rules = Rules.of([ignoring(path)], "vnext")
    judgement = judge(control, handled({"a": {}, "b": 1}), rules)
    assert judgement.outcome is Outcome.AGREE
    assert set(judgement.groups.values()) == {1}
    one_more = judge(control, handled({"a": {}, "b": 2}), rules).groups
    counting = [group for group, rule in one_more.items() if rule is None]
    everything = path in ("**", "$")
    assert counting == [] if everything else [Group(GroupKind.VALUE, "b")]


def test_the_other_treatments_leave_room_as_well() -> None:
    control = {f"k{number}": "1.0" for number in range(3000)}
    rules = Rules.of([ComparisonRule(id=1, path="*", treatment=Treatment.DECIMAL)], "vnext")
    version = {**dict.fromkeys(control, "1.00"), "k7": "2"}
    groups = judge(handled(control), handled(version), rules).groups
    assert [group.path for group, rule in groups.items() if rule is None] == ["k7"]


def test_only_more_than_can_be_told_apart_that_count_are_too_many() -> None:
    keys = [f"k{number}" for number in range(MAX_DIFFERENCES + 1)]
    ignored = {f"x{number}": 0 for number in range(3000)}
    rules = Rules.of([ignoring("x*")], "vnext")
    for count, is_many in ((MAX_DIFFERENCES, False), (MAX_DIFFERENCES + 1, True)):
        control = handled(dict.fromkeys(keys[:count], 1) | ignored)
        assert (MANY in judge(control, handled({}), rules).groups) is is_many


def test_another_order_is_one_also_where_much_of_it_is_ignored() -> None:
    members = [{"x": number, "n": number} for number in range(300)]
    others = [{**one, "x": -1} for one in members[::-1]]
    rules = Rules.of([ignoring("a[].x")], "vnext")
    groups = judge(handled({"a": members}), handled({"a": others}), rules).groups
    assert groups == {Group(GroupKind.ORDER, "a"): None, Group(GroupKind.VALUE, "a[].x"): 1}


def test_members_of_which_nothing_is_left_have_no_order() -> None:
    members = [{"x": number, "n": number} for number in range(300)]
    rules = Rules.of([ignoring("a[].x"), ignoring("a[].n")], "vnext")
    found = judge(handled({"a": members}), handled({"a": members[::-1]}), rules)
    assert found.outcome is Outcome.AGREE


def test_there_are_never_more_groups_than_differences_told_apart() -> None:
    control = handled({f"k{number}": 0 for number in range(3000)})
    for rules in (NO_RULES, Rules.of([ignoring("k*0")], "vnext")):
        assert len(judge(control, handled({}), rules).groups) == MAX_DIFFERENCES + 1


def test_a_page_gets_each_difference_with_the_rule_that_ignores_it() -> None:
    rules = Rules.of([ignoring("a", 9)], "vnext")
    found = differences(handled({"a": 1, "b": 1}), handled({"a": 2, "b": 2}), rules)
    assert [(difference.shown, rule) for difference, rule in found] == [("a", 9), ("b", None)]


@pytest.mark.parametrize(
    ("control", "version", "group", "values"),
    [
        (handled({"a": [1, 2]}), handled({"a": [1, "é"]}), (GroupKind.TYPE, "a[]"), ("2", '"é"')),
        (handled({"a": None}), handled({}), (GroupKind.MISSING, "a"), ("null", "")),
        (handled({}), handled({"a": "\0\ud83c"}), (GroupKind.EXTRA, "a"), ("", r'"\u0000�"')),
        (handled({}), failed("no 7"), (GroupKind.FAILED, "any"), ("", "ValueError: no 7")),
        (failed("no\0"), handled({}), (GroupKind.CONTROL_FAILED, "any"), ("ValueError: no�", "")),
        (handled({}), handled({}), (GroupKind.VALUE, "a"), ("", "")),
    ],
)
def test_a_group_has_values_to_be_shown(
    control: Ending, version: Ending, group: tuple[GroupKind, str], values: tuple[str, str]
) -> None:
    assert values_at(control, version, Group(*group), NO_RULES) == values


def test_a_value_that_is_nested_too_deeply_is_shown_as_brackets() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    group = Group(GroupKind.TYPE, "a")
    shown = values_at(handled({"a": deep}), handled({"a": {}}), group, NO_RULES)
    assert shown == ("[…]", "{}")


def test_long_paths_are_cut_and_stay_apart() -> None:
    keys = ["k" * 5000 + end for end in "ab"]
    groups = judge(handled(dict.fromkeys(keys, 1)), handled({}), NO_RULES).groups
    paths = [group.path for group in groups]
    assert len(set(paths)) == 2
    for path in paths:
        assert len(path) == MAX_GROUP_PATH
        assert path.startswith("kkk")
        assert path[-9] == "…"


def test_a_group_holds_nothing_that_a_database_cannot_keep() -> None:
    for message in ("a\0b \ud83c", "\ud83c" * 5000):
        [group] = judge(handled({}), failed(message, "\0" * 200), NO_RULES).groups
        assert "\0" not in group.path
        assert len(group.path.encode()) <= 3 * MAX_GROUP_PATH


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("21 of 'burger': the ticket takes at most 20", "# of '…': the ticket takes at most #"),
        ('21 of "chef\'s": the ticket', "# of '…': the ticket"),
        ("KeyError: 'it''s'", "KeyError: '…''…'"),
        ("can't and won't", "can't and won't"),
        ("isn\u2019t it", "isn\u2019t it"),
        ("the cooks' table and the guests' table", "the cooks' table and the guests' table"),
        ("'don't' is a word", "'…' is a word"),
        ("“what” and \u2018don\u2019t\u2019 and „was“ and «quoi»", "'…' and '…' and '…' and '…'"),
        ("column `order` is gone", "column '…' is gone"),
        ("{'a': 1, 'b': \"x\"}", "{'…': #, '…': '…'}"),
        ("took 3.5s, at most 20ms", "took #.#s, at most #ms"),
        ("3.50 is not 1,000.25", "# is not #"),
        ("1e-9 is small", "# is small"),
        ("at 0x7f3A09 and v2", "at # and v#"),
        ("order 123e4567-E89B-12d3-a456-426614174000 is lost", "order # is lost"),
        ("commit d372644f failed", "commit # failed"),
        ("feedface is a word, and defaced", "feedface is a word, and defaced"),
        ("table_7 and x-9", "table_# and x-#"),
        ("at 2024-01-02T10:00:00Z", "at #-#-#T#:#:#Z"),
        ("  many\n\n\tspaces\u00a0 here ", "many spaces here"),
        ("an open 'quote", "an open 'quote"),
        ("'over\n two lines'", "'…'"),
        ("٣ pieces", "# pieces"),
        ("", ""),
    ],
)
def test_like_messages_become_one(message: str, expected: str) -> None:
    assert normalised(message) == expected
    assert normalised(expected) == expected


def test_a_long_message_is_cut() -> None:
    assert len(normalised("word " * 1000)) == MAX_NORMALISED
    assert normalised("word " * 1000).endswith("…")


@pytest.mark.parametrize(
    "piece", ["'", '"', "' ", "“", "„“", "'a", " 'x", "0a", "1,", "a1", "\u2018"]
)
def test_no_message_takes_long(piece: str) -> None:
    with stays_in_hand():
        normalised(piece * 4000)
