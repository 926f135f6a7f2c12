"""Laws that hold for the comparison of any two documents, wild ones among them."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.comparison.diff import Difference, Kind, compare
from dashboard.comparison.paths import Member, Path, find, grouped
from dashboard.comparison.rules import ComparisonRule, Rules, Treatment
from dashboard.comparison.values import same

scalars = (
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, 1.0, -0.0, 2**53, 2.0**53, 10**400, float("nan"), float("inf")])
    | st.sampled_from(["", "1", "a", "é", "e\u0301", "🍔", "\ud83c", "\0"])
)
keys = st.sampled_from(["id", "a", "", "a.b", "[]", '"', "\ud83c"])


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=4)


documents = st.recursive(scalars, _containers, max_leaves=25)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Two documents that have something in common, as two versions' results do."""
    control = draw(documents)
    return control, draw(_altered(copy.deepcopy(control)))


def _altered(document: Any) -> st.SearchStrategy[Any]:
    """The same document, or one with some of it lost, replaced or in another order."""
    if isinstance(document, dict) and document:
        kept = st.fixed_dictionaries({}, optional={k: _altered(v) for k, v in document.items()})
        return st.just(document) | kept | documents
    if isinstance(document, list) and document:
        members = st.tuples(*map(_altered, document)).map(list)
        return members | st.permutations(document) | members.map(lambda some: some[1:]) | documents
    return st.just(document) | st.just(document) | documents


by_position = Rules([])
unordered = Rules([ComparisonRule(id=1, path="**", treatment=Treatment.UNORDERED)])
keyed = Rules([ComparisonRule(id=1, path="**", treatment=Treatment.KEYED, key="id")])
treatments = st.sampled_from([by_position, unordered, keyed])

MANY = 10_000


@given(documents, treatments)
def test_a_document_agrees_with_itself(document: Any, lists: Rules) -> None:
    assert compare(document, copy.deepcopy(document), lists).differences == []


@given(pairs(), treatments)
def test_documents_without_a_difference_are_the_same_and_others_are_not(
    pair: tuple[Any, Any], lists: Rules
) -> None:
    assert (not compare(*pair, lists).differences) == same(*pair)


_MIRRORED = {Kind.MISSING: Kind.EXTRA, Kind.EXTRA: Kind.MISSING}


def _mirrored(one: Difference) -> Difference:
    """The same difference with control and version in each other's place."""
    return Difference(_MIRRORED.get(one.kind, one.kind), one.path, one.version, one.control)


@given(pairs(), st.sampled_from([by_position, keyed]))
def test_the_comparison_is_symmetric(pair: tuple[Any, Any], lists: Rules) -> None:
    control, version = pair
    forth = compare(control, version, lists, MANY).differences
    back = compare(version, control, lists, MANY).differences
    # By repr, which tells 1 from true; 1 and 1.0 as the key of a member are told alike.
    # A member of a keyed list that its key alone does not name has the index of its own list.
    told = _without_spelling if lists is by_position else _without_index
    assert Counter(told(_mirrored(one)) for one in forth) == Counter(map(told, back))


def _without_spelling(difference: Difference) -> str:
    path = tuple(
        Member(step.field, float(step.value))
        if isinstance(step, Member)
        and type(step.value) in (int, float)
        and abs(step.value) < 10**300
        else step
        for step in difference.path
    )
    kind, ours, theirs = difference.kind, difference.control, difference.version
    return repr((kind, path, ours, theirs)).replace("-0.0", "0.0")


@given(
    pairs(),
    st.sampled_from(["**", "a", "*", "[]", "[].a", "a[]", "a.*", "*[].id"]),
    st.sampled_from(["", "**", "*"]),
)
def test_what_is_passed_over_leaves_the_other_differences_as_they_are(
    pair: tuple[Any, Any], path: str, unordered_path: str
) -> None:
    known = Rules(
        [ComparisonRule(id=1, path=path, treatment=Treatment.IGNORE)]
        + [
            ComparisonRule(id=2, path=at, treatment=Treatment.UNORDERED)
            for at in [unordered_path]
            if at
        ]
    )
    everything = compare(*pair, known, MANY).differences
    left = compare(*pair, known, MANY, only_counting=True).differences
    assert list(map(repr, left)) == [repr(one) for one in everything if known.ignoring(one) is None]


@given(pairs())
def test_of_unordered_lists_it_is_symmetric_but_for_indexes(pair: tuple[Any, Any]) -> None:
    control, version = pair
    forth = compare(control, version, unordered, MANY).differences
    back = compare(version, control, unordered, MANY).differences
    assert Counter(map(_without_index, (_mirrored(one) for one in forth))) == Counter(
        map(_without_index, back)
    )


def _without_index(difference: Difference) -> str:
    kind, ours, theirs = difference.kind, difference.control, difference.version
    return repr((kind, grouped(difference.path), ours, theirs))


@given(pairs(), st.sampled_from([by_position, keyed]))
def test_every_path_leads_to_the_values_it_is_shown_with(
    pair: tuple[Any, Any], lists: Rules
) -> None:
    control, version = pair
    for difference in compare(control, version, lists, MANY).differences:
        if lists is keyed and any(isinstance(step, int) for step in difference.path):
            # A member that its key alone does not name has the index of one list.
            continue
        assert same(find(control, difference.path), difference.control)
        assert same(find(version, difference.path), difference.version)


@given(pairs(), st.sampled_from([unordered, keyed]))
def test_in_unordered_lists_a_path_leads_to_the_value_of_the_side_that_counts(
    pair: tuple[Any, Any], lists: Rules
) -> None:
    control, version = pair
    for difference in compare(control, version, lists, MANY).differences:
        if difference.kind is not Kind.EXTRA:
            assert find(control, difference.path) is difference.control
        elif len(difference.path) == 1:
            assert find(version, difference.path) is difference.version


def _apply(document: Any, differences: list[Difference]) -> Any:
    """The other document, from the one and the differences."""
    root = {"$": copy.deepcopy(document)}
    # What is deeper first, while the control's indexes still hold; in one list, what goes away
    # goes from the end, what is new comes from the start.
    ranks = {Kind.MISSING: 1, Kind.EXTRA: 2}
    numbered = sorted(
        enumerate(differences),
        key=lambda pair: (
            -len(pair[1].path),
            ranks.get(pair[1].kind, 0),
            -pair[0] if pair[1].kind is Kind.MISSING else pair[0],
        ),
    )
    for _, difference in numbered:
        path: Path = ("$", *difference.path)
        _put(find(root, path[:-1]), path[-1], difference)
    return root["$"]


def _put(container: Any, step: Any, difference: Difference) -> None:
    value = copy.deepcopy(difference.version)
    if isinstance(step, Member):
        found = [index for index, one in enumerate(container) if one is find(container, (step,))]
        step = found[0] if found else len(container)
    if difference.kind is Kind.MISSING:
        del container[step]
    elif difference.kind is Kind.EXTRA and isinstance(container, list):
        container.insert(step, value)
    else:
        container[step] = value


@given(pairs(), st.sampled_from([by_position, unordered]))
@example(([1, {"a": [1, 2], "id": 0}], [{"a": [2], "id": 0}]), unordered)
@example((["a", "b", "c"], ["x", "b"]), unordered)
def test_the_differences_make_the_one_document_into_the_other(
    pair: tuple[Any, Any], lists: Rules
) -> None:
    control, version = pair
    found = compare(control, version, lists, MANY)
    assert same(_apply(control, found.differences), version)


@given(pairs())
def test_so_they_do_with_keyed_lists_but_for_the_place_of_what_is_new(
    pair: tuple[Any, Any],
) -> None:
    control, version = pair
    found = compare(control, version, keyed, MANY)
    applied = _apply(control, found.differences)
    rest = compare(applied, version, keyed, MANY).differences
    assert all(difference.kind is Kind.ORDER for difference in rest)
    if not any(_is_new_member(difference) for difference in found.differences):
        assert rest == []


def _is_new_member(difference: Difference) -> bool:
    return difference.kind is Kind.EXTRA and isinstance(difference.path[-1], Member)


@given(pairs(), treatments, st.integers(0, 5))
def test_fewer_differences_are_the_first_of_all(
    pair: tuple[Any, Any], lists: Rules, at_most: int
) -> None:
    everything = compare(*pair, lists, MANY).differences
    some = compare(*pair, lists, at_most)
    assert some.differences == everything[:at_most]
    assert some.truncated == (len(everything) > at_most)
