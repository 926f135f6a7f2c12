"""Rules combine: members of lists are matched by what all rules together leave of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path as File
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.comparison import lists
from dashboard.comparison.diff import Difference, Kind, compare
from dashboard.comparison.judgement import Ending, judge
from dashboard.comparison.outcome import State
from dashboard.comparison.paths import Entry, Path
from dashboard.comparison.rules import ComparisonRule, PathRules, Rules, Treatment
from dashboard.comparison.values import same

T = Treatment

CASES = [
    json.loads(line)
    for line in File(__file__).with_name("rules.jsonl").read_text("utf-8").splitlines()
]


def handled(result: Any) -> Ending:
    return Ending(state=State.HANDLED, result=result)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_case_has_the_outcome_that_a_person_expects(case: dict[str, Any]) -> None:
    rules = Rules(
        ComparisonRule(id=number, treatment=T(rule.pop("kind")), **rule)
        for number, rule in enumerate(map(dict, case["rules"]), start=1)
    )
    found = judge(handled(case["control"]), handled(case["candidate"]), rules)
    counted = [f"{group.kind} {group.path}" for group, rule in found.groups.items() if rule is None]
    assert (found.outcome, counted) == (case["outcome"], case.get("counted", []))


SCALARS = [
    *(None, True, 0, 1, 1.0, 1.05, 1.1, 1.2, 2, float("nan")),
    *("1", "1.0", "1.1", "a1", "a2", "b"),
    *("2026-01-05T10:00:00Z", "2026-01-05T11:00:01+01:00", "2026-01-05 10:00:00"),
]
keys = st.sampled_from(["id", "n", "a"])
documents = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=20,
)
paths = st.sampled_from(
    [
        "**",
        "$",
        "a",
        "n",
        "[]",
        "a[]",
        "[].id",
        "[].n",
        "[].a",
        "a[].id",
        "a[].n",
        "**.id",
        "**.n",
        "*",
        "a.*",
        "*.n",
    ]
)


def _rule(treatment: Treatment, **fields: Any) -> Callable[[str], dict[str, Any]]:
    return lambda path: {"treatment": treatment, "path": path, **fields}


made = st.builds(
    lambda make, path: make(path),
    st.sampled_from(
        [
            _rule(T.IGNORE),
            _rule(T.TOLERANCE, absolute=0.1),
            _rule(T.TOLERANCE, relative=0.1),
            _rule(T.DECIMAL),
            _rule(T.UNORDERED),
            _rule(T.UNORDERED),
            _rule(T.KEYED, key="id"),
            _rule(T.KEYED, key="n"),
            _rule(T.REPLACE, pattern="[0-9]$"),
            _rule(T.TIMES, absolute=1),
            _rule(T.NULL),
            _rule(T.VALUES),
            _rule(T.VALUES),
        ]
    ),
    paths,
)
combined = st.lists(made, max_size=5).map(
    lambda some: Rules(
        ComparisonRule(id=number, **fields) for number, fields in enumerate(some, start=1)
    )
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any, Rules]:
    """A document, one that has much in common with it, and rules."""
    control, rules = draw(documents), draw(combined)
    return control, draw(_changed(control, rules, (), wildly=True)), rules


def _changed(value: Any, rules: Rules, path: Path, *, wildly: bool) -> st.SearchStrategy[Any]:
    """The value, changed in what the rules disregard; ``wildly``: perhaps in something else."""
    place = rules.at(path)
    if place is not None and place.covering is not None:
        return documents
    changed: st.SearchStrategy[Any]
    if isinstance(value, dict) and place is not None and place.by_value:
        members = [
            _changed(one, rules, (*path, Entry(key)), wildly=wildly) for key, one in value.items()
        ]
        named = st.permutations(["id", "n", "a", "other"])
        changed = st.tuples(st.tuples(*members).flatmap(st.permutations), named).map(
            lambda drawn: dict(zip(drawn[1], drawn[0], strict=False))
        )
    elif isinstance(value, dict):
        lost = {key for key in value if _may_lack(value, key, rules, path)}
        parts = {key: _changed(value[key], rules, (*path, key), wildly=wildly) for key in value}
        changed = st.fixed_dictionaries(
            {key: part for key, part in parts.items() if key not in lost},
            optional={key: part for key, part in parts.items() if key in lost},
        )
    elif isinstance(value, list):
        members = [
            _changed(one, rules, (*path, index), wildly=wildly) for index, one in enumerate(value)
        ]
        changed = st.tuples(*members).map(list)
        if (place is not None and place.list_by is not None) or wildly:
            changed = changed.flatmap(st.permutations)
    else:
        changed = st.sampled_from(
            [value, *(other for other in SCALARS if _agree(value, other, rules, path))]
        )
    return changed | changed | documents if wildly else changed


def _agree(control: Any, version: Any, rules: Rules, path: Path) -> bool:
    """Whether two values agree by the rules, by trying every order: what is meant, and slow."""
    place = rules.at(path)
    if place is not None and place.covering is not None:
        return True
    if isinstance(control, dict) and isinstance(version, dict) and place and place.by_value:
        inside = (*path, Entry("any"))
        if rules.covering(inside) is not None:
            return True
        ours, theirs = (
            [one for one in whole.values() if not (one is None and _nulls(rules, inside))]
            for whole in (control, version)
        )
        return len(ours) == len(theirs) and any(
            all(_agree(one, other, rules, inside) for one, other in zip(ours, order, strict=True))
            for order in permutations(theirs)
        )
    if isinstance(control, dict) and isinstance(version, dict):
        both = {
            key
            for key in control.keys() ^ version.keys()
            if not _may_lack({**control, **version}, key, rules, path)
        } | (control.keys() & version.keys())
        left = {key for key in both if rules.covering((*path, key)) is None}
        return all(
            key in control
            and key in version
            and _agree(control[key], version[key], rules, (*path, key))
            for key in left
        )
    if isinstance(control, list) and isinstance(version, list):
        if rules.covering((*path, 0)) is not None:
            return True
        any_order = place is not None and place.list_by is not None
        orders = permutations(version) if any_order else [version]
        return len(control) == len(version) and any(
            all(
                _agree(one, other, rules, (*path, 0))
                for one, other in zip(control, order, strict=True)
            )
            for order in orders
        )
    if same(control, version):
        return True
    return rules.ignoring(Difference(Kind.VALUE, path, control, version)) is not None


def _may_lack(value: dict[str, Any], key: str, rules: Rules, path: Path) -> bool:
    """Whether an object is as good without this key."""
    inside = (*path, key)
    return rules.covering(inside) is not None or (value[key] is None and _nulls(rules, inside))


def _nulls(rules: Rules, path: Path) -> bool:
    place = rules.at(path)
    return place is not None and place.null_is_absent


def counting(control: Any, version: Any, rules: Rules) -> list[Difference]:
    found = compare(control, version, rules, 10_000).differences
    return [difference for difference in found if rules.ignoring(difference) is None]


@given(pairs())
@settings(max_examples=300)
def test_documents_agree_when_some_order_of_their_lists_makes_them(
    pair: tuple[Any, Any, Rules],
) -> None:
    control, version, rules = pair
    agree = _agree(control, version, rules, ())
    assert (not counting(control, version, rules)) == agree
    assert (not counting(version, control, rules)) == agree
    only = compare(control, version, rules, 10_000, only_counting=True).differences
    assert list(map(repr, only)) == list(map(repr, counting(control, version, rules)))


def _spelled_anew(value: Any) -> Any:
    """The same document with other keys first, and whole numbers as fractions."""
    if isinstance(value, dict):
        return {key: _spelled_anew(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [_spelled_anew(one) for one in value]
    return float(value) if type(value) is int else value


@given(documents, combined)
def test_no_rule_makes_equal_documents_differ(control: Any, rules: Rules) -> None:
    assert not counting(control, _spelled_anew(control), rules)
    assert not counting(_spelled_anew(control), control, rules)


@given(st.data(), documents, combined)
def test_what_rules_disregard_may_change_in_any_order(
    data: st.DataObject, control: Any, rules: Rules
) -> None:
    version = data.draw(_changed(control, rules, (), wildly=False))
    assert not counting(control, version, rules)
    assert not counting(version, control, rules)


@given(st.data(), documents, combined)
def test_a_real_difference_is_found_among_them(
    data: st.DataObject, control: Any, rules: Rules
) -> None:
    leaves = list(_leaves(control, rules, ()))
    if not leaves:
        return
    real = _with(control, data.draw(st.sampled_from(leaves)), "of its own")
    version = data.draw(_changed(real, rules, (), wildly=False))
    assert counting(control, version, rules)
    assert counting(version, control, rules)


def _leaves(value: Any, rules: Rules, path: Path) -> Iterator[Path]:
    if rules.covering(path) is not None:
        return
    if isinstance(value, dict | list):
        place = rules.at(path)
        by_value = isinstance(value, dict) and place is not None and place.by_value
        for step, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(part, rules, (*path, Entry(step) if by_value else step))
    else:
        yield path


def _with(document: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    copied: Any = document.copy()
    copied[path[0]] = _with(document[path[0]], path[1:], value)
    return copied


UNORDERED = ComparisonRule(id=1, path="a", treatment=T.UNORDERED)
NEAR = ComparisonRule(id=2, path="a[].*", treatment=T.TOLERANCE, absolute=0.1)


@pytest.mark.parametrize("count", [100, 5000])
@pytest.mark.parametrize("noise", [0.05, 0.3])
def test_looking_for_near_members_takes_so_many_steps_and_no_more(
    count: int, noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0
    near = PathRules.near

    def counted(place: PathRules, control: object, version: object) -> int | None:
        nonlocal looked
        looked += 1
        return near(place, control, version)

    monkeypatch.setattr(PathRules, "near", counted)
    members = [{"x": number % 7, "y": number, "z": -number} for number in range(count)]
    others = [{**one, "x": one["x"] + noise} for one in members[::-1]]
    found = compare({"a": members}, {"a": others}, Rules([UNORDERED, NEAR]), only_counting=True)
    assert (not found.differences) == (noise < 0.1)
    assert looked <= lists.MAX_STEPS + 4 * count
