"""Where groups find their place when there are too many: siblings fold, and others keep theirs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.comparison.diff import Difference, Kind
from dashboard.comparison.folding import (
    FOLDED,
    MAX_IN_ALL,
    MAX_SIBLINGS,
    Folding,
    containing_group,
    counterparts,
    includes,
    is_catch_all,
    path_matches,
    steps,
    still_shows,
    wider_groups,
)
from dashboard.comparison.judgement import Group, GroupKind, Judgement, group_of
from dashboard.comparison.outcome import Outcome
from dashboard.comparison.paths import Path

ROOM = 200
VNEXT = "vnext"


def extra(path: str) -> Group:
    return Group(GroupKind.EXTRA, path)


def placed(paths: list[str], room: int = ROOM) -> list[str]:
    folding = Folding({}, room)
    return [folding.assign(VNEXT, extra(path), counts=True).path for path in paths]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ("p{}", "*"),
        ("meta.p{}", "meta.*"),
        ('meta["p {}"]', "meta.*"),
        ("by_id.u{}.price", "by_id.*.price"),
        ("u{}.lines[].price", "*.lines[].price"),
        ("lines[].p{}", "lines[].*"),
        ("lines[][].p{}", "lines[][].*"),
    ],
)
def test_siblings_beyond_some_fold_into_one_with_a_star(paths: str, expected: str) -> None:
    names = [paths.format(number) for number in range(3 * MAX_SIBLINGS)]
    assert placed(names) == names[:MAX_SIBLINGS] + [expected] * (2 * MAX_SIBLINGS)


def test_failures_of_one_type_are_siblings() -> None:
    folding = Folding({}, ROOM)
    groups = [Group(GroupKind.FAILED, f"KeyError: k{chr(n)}") for n in range(97, 123)]
    found = [folding.assign(VNEXT, group, counts=True) for group in groups]
    assert found[MAX_SIBLINGS:] == [Group(GroupKind.FAILED, "KeyError: *")] * 6
    other = Group(GroupKind.FAILED, "ValueError: no")
    assert folding.assign(VNEXT, other, counts=True) == other


def test_another_kind_another_parent_and_another_depth_are_told_apart() -> None:
    folding = Folding({}, ROOM)
    for number in range(3000):
        folding.assign(VNEXT, extra(f"p{number}"), counts=True)
        folding.assign(VNEXT, extra(f"by_id.u{number}.price"), counts=True)
    for group in (
        Group(GroupKind.VALUE, "total_price"),
        extra("meta.new"),
        extra("by_id.u7.name"),
        Group(GroupKind.MANY, "$"),
        extra("$"),
    ):
        assert folding.assign(VNEXT, group, counts=True) == group


SHORT = st.text(max_size=3) | st.sampled_from(["*", "a.b", "[]", "…", "\0"])
KEYS = SHORT | st.sampled_from(["k" * 300, "é" * 260])
PATHS = st.lists(KEYS | st.just(0), max_size=4).map(tuple)


def group_at(path: Path) -> Group:
    return group_of(Difference(Kind.EXTRA, path, 0, 1))


@given(
    before=st.lists(PATHS, max_size=30),
    many=PATHS.filter(lambda path: any(isinstance(step, str) for step in path)),
    # Longer ones are cut, and may become siblings of what they are not.
    new=st.tuples(SHORT, SHORT, SHORT, SHORT, SHORT),
)
def test_a_new_kind_of_difference_is_told_apart_whatever_came_before(
    before: list[Path], many: Path, new: Path
) -> None:
    folding = Folding({}, ROOM)
    for path in before:
        folding.assign(VNEXT, group_at(path), counts=True)
    at = max(index for index, step in enumerate(many) if isinstance(step, str))
    for number in range(3 * MAX_SIBLINGS):
        flood = (*many[:at], f"p{number}", *many[at + 1 :])
        place = folding.assign(VNEXT, group_at(flood), counts=True)
        assert includes(place, group_at(flood))
        assert place != FOLDED
    # Nothing as deep was there before.
    assert folding.assign(VNEXT, group_at(new), counts=True) == group_at(new)


@given(path=PATHS)
def test_what_is_widened_stands_for_the_group_and_can_be_kept(path: Path) -> None:
    group = group_at(path)
    for wider in wider_groups(group):
        assert wider != group
        assert len(wider.path) <= max(len(group.path), 2)
        assert includes(wider, group)
        assert not includes(group, wider) or group.path == wider.path
    assert "".join(steps(group.path)) in (group.path, "")


@given(path=PATHS.filter(bool))
def test_a_path_that_is_not_cut_has_its_steps(path: Path) -> None:
    group = group_at(path)
    if len(Difference(Kind.EXTRA, path, 0, 1).grouped) <= 250:
        assert len(steps(group.path)) == len(path)


def test_beyond_the_room_a_group_counts_in_the_narrowest_that_stands_for_it() -> None:
    names = [f"meta.p{number}" for number in range(MAX_SIBLINGS + 1)]
    assert placed([*names, "a.a", "meta.x"], room=MAX_SIBLINGS + 1)[-2:] == [FOLDED.path, "meta.*"]
    rows = [FOLDED, extra("*.*"), extra("meta.*")]
    assert containing_group(extra("meta.x"), rows) == extra("meta.*")
    assert containing_group(extra("a.x"), rows) == extra("*.*")
    assert containing_group(extra("x"), rows) == FOLDED
    assert containing_group(extra("x"), []) is None
    assert containing_group(extra("meta.x"), [*rows, extra("meta.x")]) == extra("meta.x")


def test_what_counts_and_what_is_ignored_hold_room_apart() -> None:
    quiet = {extra(f"a{number}.b{number}"): False for number in range(ROOM)}
    siblings = {extra(f"p{number}"): False for number in range(MAX_SIBLINGS)}
    folding = Folding({VNEXT: {**quiet, **siblings}}, ROOM)
    assert folding.assign(VNEXT, extra("new"), counts=True) == extra("new")
    assert folding.assign(VNEXT, extra("other.a.b"), counts=False) == FOLDED


def test_all_versions_of_a_launch_fold_together() -> None:
    folding = Folding({}, ROOM)
    names = [extra(f"meta.p{number}") for number in range(2 * MAX_SIBLINGS)]
    first = [
        folding.assign(f"v{number % 3}", group, counts=True) for number, group in enumerate(names)
    ]
    assert first == names[:MAX_SIBLINGS] + [extra("meta.*")] * MAX_SIBLINGS
    again = [folding.assign("later", group, counts=True) for group in names]
    assert again == first


def test_no_version_takes_the_room_of_another_and_what_one_has_is_there_for_all() -> None:
    folding = Folding({VNEXT: {extra(f"a{n}.b{n}"): True for n in range(ROOM)}}, ROOM)
    assert folding.assign(VNEXT, extra("new"), counts=True) == FOLDED
    assert folding.assign("vlatest-b", extra("new"), counts=True) == extra("new")
    assert folding.assign(VNEXT, extra("new"), counts=True) == extra("new")


@given(
    shown=st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), PATHS, st.booleans()), max_size=80),
    room=st.integers(1, 5),
)
def test_what_is_there_for_one_version_has_that_name_for_every_other(
    shown: list[tuple[str, Path, bool]], room: int
) -> None:
    folding = Folding({}, room)
    for version, path, counts in shown:
        group = group_at(path)
        place = folding.assign(version, group, counts=counts)
        assert includes(place, group)
        if place == group:
            assert {folding.assign(of, group, counts=counts) for of in "abc"} == {group}


def test_noise_is_the_same_as_the_fold_that_stands_for_it() -> None:
    own = [extra("meta.*"), extra("meta.price"), extra("*"), FOLDED]
    theirs = [
        extra("meta.a"),
        extra("meta.price"),
        extra("other"),
        Group(GroupKind.VALUE, "meta.a"),
    ]
    assert counterparts(own, theirs) == {
        extra("meta.a"): extra("meta.*"),
        extra("meta.price"): extra("meta.price"),
    }


def test_rows_are_bounded_whatever_holds_room() -> None:
    rows = {extra(f"a{number}.b{number}"): False for number in range(MAX_IN_ALL)}
    assert Folding({VNEXT: rows}, ROOM).assign(VNEXT, extra("new"), counts=True) == FOLDED
    assert Folding({VNEXT: rows}, ROOM).assign(VNEXT, extra("a1.b1"), counts=True) == extra("a1.b1")


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (FOLDED, True),
        (Group(GroupKind.MANY, "$"), True),
        (extra("*"), True),
        (extra("*.*"), True),
        (extra("meta.*"), False),
        (extra('["*"]'), False),
        (extra("$"), False),
        (Group(GroupKind.FAILED, "KeyError: *"), False),
    ],
)
def test_which_hold_whatever_else_there_may_be(group: Group, expected: bool) -> None:
    assert is_catch_all(group) is expected


def test_a_star_is_any_key_and_no_element() -> None:
    assert path_matches(steps("a.*"), steps('a["b c"]'))
    assert not path_matches(steps("a.*"), steps("a[]"))
    assert not path_matches(steps("a.*"), steps("a.b.c"))


PRICE = Group(GroupKind.VALUE, "total_price")
MINUTES = Group(GroupKind.VALUE, "lines[].minutes")
ANY_PRICE = Group(GroupKind.VALUE, "by_id.*.price")
TOO_MANY = Group(GroupKind.FAILED, "TooMany: # of *")


@pytest.mark.parametrize(
    ("group", "found", "shows"),
    [
        (PRICE, [], False),
        (PRICE, [PRICE], True),
        (PRICE, [Group(GroupKind.VALUE, "cook")], False),
        (PRICE, [Group(GroupKind.TYPE, "total_price")], True),
        (PRICE, [Group(GroupKind.MISSING, "total_price")], True),
        (PRICE, [Group(GroupKind.VALUE, "total_price_net")], False),
        (PRICE, [Group(GroupKind.MANY, "$")], True),
        (PRICE, [Group(GroupKind.FAILED, "total_price")], False),
        (MINUTES, [Group(GroupKind.MISSING, "lines")], True),
        (MINUTES, [Group(GroupKind.MISSING, "lines[]")], True),
        (MINUTES, [Group(GroupKind.TYPE, "lines")], True),
        (MINUTES, [Group(GroupKind.ORDER, "lines")], False),
        (MINUTES, [Group(GroupKind.VALUE, "lines[].name")], False),
        (TOO_MANY, [TOO_MANY], True),
        (TOO_MANY, [Group(GroupKind.FAILED, "KeyError: *")], False),
        (TOO_MANY, [PRICE], False),
        (PRICE, [Group(GroupKind.TYPE, "$")], True),
        (ANY_PRICE, [Group(GroupKind.VALUE, "by_id.u1.price")], True),
        (ANY_PRICE, [Group(GroupKind.TYPE, "by_id.u1.price")], True),
        (ANY_PRICE, [Group(GroupKind.MISSING, "by_id.u1")], True),
        (ANY_PRICE, [Group(GroupKind.VALUE, "by_id.u1.name")], False),
        (Group(GroupKind.FAILED, "KeyError: *"), [Group(GroupKind.FAILED, "KeyError: x")], True),
        (Group(GroupKind.FAILED, "KeyError: *"), [Group(GroupKind.FAILED, "IOError: x")], False),
        (Group(GroupKind.OTHER, "further"), [], False),
        (Group(GroupKind.OTHER, "further"), [PRICE], True),
    ],
)
@pytest.mark.parametrize("rule", [None, 7])
def test_what_an_order_shows_counted_or_ignored(
    group: Group, found: list[Group], shows: bool, rule: int | None
) -> None:
    judgement = Judgement(Outcome.DIFFER, dict.fromkeys(found, rule))
    assert still_shows(group, judgement) is shows
