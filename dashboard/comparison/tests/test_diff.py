"""Which differences two documents have: a table, wild documents, and how long large ones take."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from dashboard.comparison.diff import MAX_DIFFERENCES, Diff, Difference, Kind, compare
from dashboard.comparison.lists import MAX_DEPTH, UNORDERED
from dashboard.comparison.paths import NOTHING, find
from dashboard.comparison.rules import ComparisonRule, Rules, Treatment
from dashboard.comparison.tests.growth import stays_in_hand

NAN = float("nan")
INFINITY = float("inf")
GOOGOL = 10**100


def case(name: str, control: Any, version: Any, *differences: str) -> Any:
    return pytest.param(control, version, list(differences), id=name)


def told(found: Diff) -> list[str]:
    return [f"{difference.kind} {difference.shown}" for difference in found.differences]


def nested(depth: int, innermost: Any) -> Any:
    for _ in range(depth):
        innermost = [innermost]
    return innermost


SCALARS = [
    case("nulls agree", None, None),
    case("texts agree", "a", "a"),
    case("texts differ", "a", "b", "value $"),
    case("whole and decimal spelling agree", 1, 1.0),
    case("minus zero is zero", 0.0, -0.0),
    case("numbers differ", 1, 1.5, "value $"),
    case("a tenth and two tenths are not three tenths", 0.1 + 0.2, 0.3, "value $"),
    case("true is no number", True, 1, "type $"),
    case("false is no number", False, 0.0, "type $"),
    case("true and false differ", True, False, "value $"),
    case("a numeric text is no number", "1", 1, "type $"),
    case("null is no text", None, "", "type $"),
    case("null is not zero", None, 0, "type $"),
    case("null is not false", None, False, "type $"),
    case("an array is no object", [], {}, "type $"),
    case("an array is no text", [], "", "type $"),
    case("NaN agrees with NaN", NAN, float("nan")),
    case("NaN differs from a number", NAN, 0.0, "value $"),
    case("NaN differs from null", NAN, None, "type $"),
    case("infinity agrees with itself", INFINITY, float("inf")),
    case("infinities differ by sign", INFINITY, -INFINITY, "value $"),
    case("a huge integer is below infinity", 10**400, INFINITY, "value $"),
    case("huge integers agree", GOOGOL, 10**100),
    case("huge integers differ in the last digit", GOOGOL, GOOGOL + 1, "value $"),
    case("a huge integer is not its nearest float", GOOGOL, 1e100, "value $"),
    case("a float is the integer that it is", 2.0**80, 2**80),
    case("beyond 2^53 nothing is rounded", 2**53 + 1, 2.0**53, "value $"),
    case("upper and lower case differ", "A", "a", "value $"),
    case("white space differs", "a ", "a", "value $"),
    case("combining characters are compared as they are", "é", "e\u0301", "value $"),
    case("characters beyond the first plane agree", "🍔", "\U0001f354"),
    case("lone surrogates agree", "\ud83c", "\ud83c"),
    case("lone surrogates differ", "\ud83c", "\ud83d", "value $"),
    case("NUL is a character", "a\0b", "ab", "value $"),
]

OBJECTS = [
    case("empty objects agree", {}, {}),
    case("the order of keys means nothing", {"a": 1, "b": 2}, {"b": 2, "a": 1}),
    case("a value differs", {"a": 1}, {"a": 2}, "value a"),
    case("a type differs", {"a": 1}, {"a": "1"}, "type a"),
    case("a key is missing", {"a": 1, "b": 2}, {"a": 1}, "missing b"),
    case("a key is extra", {"a": 1}, {"a": 1, "b": 2}, "extra b"),
    case("null is not missing", {"a": None}, {}, "missing a"),
    case("null is not extra", {}, {"a": None}, "extra a"),
    case("a renamed key is missing and extra", {"a": 1}, {"b": 1}, "missing a", "extra b"),
    case("an object deep within", {"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, "value a.b.c"),
    case("a missing object is one difference", {"a": {"b": 1, "c": 2}}, {}, "missing a"),
    case("an empty key", {"": 1}, {"": 2}, 'value [""]'),
    case("a key with a dot", {"a.b": 1}, {"a.b": 2}, 'value ["a.b"]'),
    case("a key with brackets", {"a[0]": 1}, {"a[0]": 2}, 'value ["a[0]"]'),
    case("a key with quotes", {'"': 1}, {'"': 2}, r'value ["\""]'),
    case("a key with NUL", {"\0": 1}, {"\0": 2}, r'value ["\u0000"]'),
    case("a key that is half a character", {"\ud83c": 1}, {}, r'missing ["\ud83c"]'),
    case(
        "keys of one look are two keys", {"é": 1}, {"e\u0301": 1}, "missing é", 'extra ["e\u0301"]'
    ),
    case("true under a key is no number", {"a": True}, {"a": 1}, "type a"),
    case("NaN under a key agrees", {"a": NAN}, {"a": float("nan")}),
    case(
        "all differences in order",
        {"c": 1, "a": 1},
        {"c": 2, "b": 1},
        "value c",
        "missing a",
        "extra b",
    ),
]

ARRAYS = [
    case("empty arrays agree", [], []),
    case("an element differs", [1, 2, 3], [1, 5, 3], "value [1]"),
    case("elements are missing", [1, 2, 3], [1], "missing [1]", "missing [2]"),
    case("elements are extra", [1], [1, 2, 3], "extra [1]", "extra [2]"),
    case("an insertion shifts", [1, 2], [0, 1, 2], "value [0]", "value [1]", "extra [2]"),
    case("null is an element", [None], [], "missing [0]"),
    case("within an element", [{"a": 1}], [{"a": 2}], "value [0].a"),
    case("within arrays of arrays", [[1], [2, 3]], [[1], [2, 4]], "value [1][1]"),
    case("another order is one difference", [1, 2, 3], [3, 1, 2], "order $"),
    case("another order of duplicates", ["a", "a", "b"], ["a", "b", "a"], "order $"),
    case(
        "other counts of duplicates are no order",
        ["a", "a", "b"],
        ["b", "b", "a"],
        "value [0]",
        "value [1]",
        "value [2]",
    ),
    case("another order of objects", [{"a": 1}, {"a": 2}], [{"a": 2}, {"a": 1}], "order $"),
    case(
        "another order with keys in another order",
        [{"a": 1, "b": 2}, {}],
        [{}, {"b": 2, "a": 1}],
        "order $",
    ),
    case("another order across spellings of numbers", [1, [2]], [[2.0], 1.0], "order $"),
    case("another order with NaN", [NAN, 1], [1, float("nan")], "order $"),
    case("true and 1 are not each other's place", [True, 1], [1, True], "order $"),
    case("true is not 1 in another order", [True, 2], [2, 1], "type [0]", "value [1]"),
    case("text is not number in another order", ["1", 2], [2, 1], "type [0]", "value [1]"),
    case("null and missing keys in another order", [{"a": None}, {}], [{}, {"a": None}], "order $"),
    case("another order within an element", [[1, 2], 3], [[2, 1], 3], "order [0]"),
    case(
        "other orders outside and inside are no order",
        [[1, 2], [3, 4]],
        [[4, 3], [1, 2]],
        "value [0][0]",
        "value [0][1]",
        "value [1][0]",
        "value [1][1]",
    ),
    case(
        "another order of what is deeply nested",
        [nested(500, 1), 2],
        [2, nested(500, 1)],
        "order $",
    ),
    case(
        "another order of one key",
        {"a": [1, 2], "b": 1},
        {"a": [2, 1], "b": 2},
        "order a",
        "value b",
    ),
    case("an empty array is no empty object", [[], {}], [{}, []], "order $"),
]


@pytest.mark.parametrize(("control", "version", "expected"), SCALARS + OBJECTS + ARRAYS)
def test_documents_differ_where_they_do(control: Any, version: Any, expected: list[str]) -> None:
    found = compare(control, version)
    assert told(found) == expected
    assert not found.truncated
    for difference in found.differences:
        assert find(control, difference.path) is difference.control
        assert find(version, difference.path) is difference.version


def test_a_difference_knows_both_values_and_its_path() -> None:
    [difference] = compare({"a": [1]}, {"a": []}).differences
    assert difference == Difference(Kind.MISSING, ("a", 0), 1, NOTHING)
    assert difference.shown == "a[0]"
    assert difference.grouped == "a[]"


def lists(path: str, field: str = "") -> Rules:
    treatment = Treatment.KEYED if field else Treatment.UNORDERED
    return Rules([ComparisonRule(id=1, path=path, treatment=treatment, key=field)])


ANY_ORDER = [
    case("another order", [1, 2, 3], [3, 2, 1], "order $"),
    case("the same", [1, 2, 3], [1, 2.0, 3]),
    case("one is missing", ["a", "b", "c"], ["b", "c"], "missing [0]"),
    case("one is extra", ["b", "c"], ["a", "b", "c"], "extra [0]"),
    case("a duplicate is missing", ["a", "a"], ["a"], "missing [1]"),
    case(
        "what is left is compared by position",
        ["a", "b", "c"],
        ["b", "c", "x"],
        "order $",
        "value [0]",
    ),
    case("left in place", ["a", "b", "c"], ["a", "x", "c"], "value [1]"),
    case(
        "left and missing",
        [1, 2, 3, 4],
        [4, 9],
        "order $",
        "value [0]",
        "missing [1]",
        "missing [2]",
    ),
    case("left and extra", [4, 9], [1, 2, 3, 4], "order $", "value [1]", "extra [1]", "extra [2]"),
    case("true is not taken for 1", [True, 2], [2, 1], "order $", "type [0]"),
    case("empty", [], []),
]


@pytest.mark.parametrize(("control", "version", "expected"), ANY_ORDER)
def test_an_unordered_list_is_compared_by_its_members(
    control: Any, version: Any, expected: list[str]
) -> None:
    assert told(compare(control, version, lists("$"))) == expected


A, B, C = ({"id": name, "n": 1} for name in "abc")

KEYED = [
    case("the same", [A, B], [A, B]),
    case("another order", [A, B, C], [C, A, B], "order $"),
    case("a member differs", [A, B], [A, {**B, "n": 2}], 'value [id="b"].n'),
    case("in another order", [A, B], [{**B, "n": 2}, A], "order $", 'value [id="b"].n'),
    case("the first is missing", [A, B, C], [B, C], 'missing [id="a"]'),
    case("one is extra in the middle", [A, C], [A, B, C], 'extra [id="b"]'),
    case("missing and extra", [A, B], [C, B], 'missing [id="a"]', 'extra [id="c"]'),
    case("numbers go by value", [{"id": 1}, B], [B, {"id": 1.0}], "order $"),
    case(
        "true is another key than 1",
        [{"id": 1}],
        [{"id": True}],
        "missing [id=1]",
        "extra [id=true]",
    ),
    case(
        "text is another key than number",
        [{"id": 1}],
        [{"id": "1"}],
        "missing [id=1]",
        'extra [id="1"]',
    ),
    case("a duplicate is missing", [A, A], [B, A], 'extra [id="b"]', "missing [1]"),
    case(
        "members that share a key are matched by what they hold",
        [A, {**A, "n": 2}, B],
        [B, {**A, "n": 2}, {**A, "n": 3}],
        "order $",
        "value [0].n",
    ),
    case("members without the field, too", [A, {}, {"n": 1}], [{"n": 1}, {}, A], "order $"),
    case(
        "and with null in it",
        [A, {"id": None}],
        [{"id": None, "n": 1}, A],
        "order $",
        "extra [1].n",
    ),
    case("with an object in it", [A, {"id": {}}], [A, {"id": []}], "type [1].id"),
    case("and scalars", [A, 1], [A, 2], "value [1]"),
    case("empty lists", [], [A], 'extra [id="a"]'),
]


@pytest.mark.parametrize(("control", "version", "expected"), KEYED)
def test_a_keyed_list_is_compared_member_by_member(
    control: Any, version: Any, expected: list[str]
) -> None:
    found = compare(control, version, lists("$", "id"))
    assert told(found) == expected
    for difference in found.differences:
        if any(isinstance(step, int) for step in difference.path):
            continue
        assert find(control, difference.path) is difference.control
        assert find(version, difference.path) is difference.version


def test_only_the_lists_that_a_glob_stands_for_are_treated() -> None:
    control = {"tags": [1, 2], "steps": [1, 2], "lines": [{"tags": [1, 2, 3]}]}
    version = {"tags": [2, 3], "steps": [2, 3], "lines": [{"tags": [3, 1, 4]}]}
    assert told(compare(control, version, lists("**.tags"))) == [
        "order tags",
        "value tags[0]",
        "value steps[0]",
        "value steps[1]",
        "order lines[0].tags",
        "value lines[0].tags[1]",
    ]


def test_the_first_treatment_of_a_list_counts() -> None:
    keyed = ComparisonRule(id=1, path="a", treatment=Treatment.KEYED, key="id")
    both = Rules([keyed, ComparisonRule(id=2, path="*", treatment=Treatment.UNORDERED)])
    treated = [both.at(path) for path in (("a",), ("b",), ("a", 0))]
    assert [place and place.list_by for place in treated] == ["id", UNORDERED, None]


def test_a_list_in_a_list_that_is_keyed_is_found_by_its_grouped_path() -> None:
    control = {"lines": [{"id": 1, "tags": [1, 2]}]}
    version = {"lines": [{"id": 1, "tags": [2, 1]}]}
    keyed = ComparisonRule(id=1, path="lines", treatment=Treatment.KEYED, key="id")
    treated = Rules(
        [keyed, ComparisonRule(id=2, path="lines[].tags", treatment=Treatment.UNORDERED)]
    )
    assert told(compare(control, version, treated)) == ["order lines[id=1].tags"]


@pytest.mark.parametrize(("count", "more"), [(200, False), (201, True), (5000, True)])
def test_so_many_differences_are_told_apart_and_no_more(*, count: int, more: bool) -> None:
    found = compare({"a": list(range(count))}, {"a": list(range(1, count + 1))})
    assert len(found.differences) == min(count, MAX_DIFFERENCES)
    assert found.truncated is more


@pytest.mark.parametrize("at_most", [0, 1, 2])
def test_another_order_is_one_difference_however_few_are_told(at_most: int) -> None:
    found = compare([[1, 2, 3], 0], [[3, 1, 2], 0], at_most=at_most)
    assert len(found.differences) == min(at_most, 1)
    assert found.truncated is (at_most == 0)


def test_what_is_too_deep_is_compared_as_a_whole() -> None:
    [difference] = compare(nested(500, [1, 2]), nested(500, [1, 3])).differences
    assert difference.kind is Kind.VALUE
    assert len(difference.path) == MAX_DEPTH
    assert told(compare(nested(500, {"a": 1}), nested(500, {"a": 1.0}))) == []


def test_no_depth_is_too_deep() -> None:
    control, version = nested(100_000, "a"), nested(100_000, [])
    assert len(compare(control, version).differences) == 1
    assert len(compare([control, version], [version, control]).differences) == 1
    assert not compare(control, nested(100_000, "a")).differences


def test_deep_objects_are_as_good_as_deep_lists() -> None:
    control: Any = 1
    version: Any = 2
    for _ in range(20_000):
        control, version = {"a": control}, {"a": version}
    assert len(compare(control, version).differences) == 1
    assert len(compare(control, version, lists("**")).differences) == 1


def _large(elements: int) -> list[Any]:
    return [{"id": number, "n": str(number)} for number in range(elements)]


def _shuffled(values: list[Any]) -> list[Any]:
    return random.Random(1).sample(values, len(values))


LARGE = {
    "the same": (_large(8000), _large(8000), 0),
    "permuted": (_large(8000), _shuffled(_large(8000)), 1),
    "all different": (_large(8000), [{**one, "n": 0} for one in _large(8000)], 200),
    "numbers permuted": (list(range(40_000)), _shuffled(list(range(40_000))), 1),
    "numbers different": (list(range(40_000)), list(range(1, 40_001)), 200),
    "duplicates": ([1, 2] * 60_000, [2, 1] * 60_000, 1),
    "permuted on every level": (
        nested(60, list(range(40_000))),
        nested(60, _shuffled(list(range(40_000)))),
        1,
    ),
    "an object of keys": (
        {str(key): key for key in range(20_000)},
        {str(key): key + 1 for key in range(20_000)},
        200,
    ),
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize(
    "treated",
    [None, lists("**"), lists("**", "id")],
    ids=["by position", "unordered", "keyed"],
)
def test_a_large_document_does_not_take_long(name: str, treated: Rules | None) -> None:
    control, version, by_position = LARGE[name]
    assert len(json.dumps(control)) > 200_000
    with stays_in_hand():
        found = compare(control, version, treated)
    assert len(found.differences) == by_position or treated
