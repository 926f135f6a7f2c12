"""Where groups find their place when there are too many: siblings fold, and others keep theirs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.domain.comparing.comparison import Difference, Kind
from dashboard.domain.comparing.folding import (
    FOLDED,
    MAX_IN_ALL,
    MAX_SIBLINGS,
    Places,
    counterparts,
    fits,
    holds_anything,
    home,
    stands_for,
    steps,
    widened,
)
from dashboard.domain.comparing.judgement import Group, GroupKind, group_of
from dashboard.domain.comparing.paths import Path

ROOM = 200
VNEXT = "vnext"


def extra(path: str) -> Group:
    return Group(GroupKind.EXTRA, path)


def placed(paths: list[str], room: int = ROOM) -> list[str]:
    places = Places({}, room)
    return [places.place(VNEXT, extra(path), counts=True).path for path in paths]


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
    places = Places({}, ROOM)
    groups = [Group(GroupKind.FAILED, f"KeyError: k{chr(n)}") for n in range(97, 123)]
    found = [places.place(VNEXT, group, counts=True) for group in groups]
    assert found[MAX_SIBLINGS:] == [Group(GroupKind.FAILED, "KeyError: *")] * 6
    other = Group(GroupKind.FAILED, "ValueError: no")
    assert places.place(VNEXT, other, counts=True) == other


def test_another_kind_another_parent_and_another_depth_are_told_apart() -> None:
    places = Places({}, ROOM)
    for number in range(3000):
        places.place(VNEXT, extra(f"p{number}"), counts=True)
        places.place(VNEXT, extra(f"by_id.u{number}.price"), counts=True)
    for group in (
        Group(GroupKind.VALUE, "total_price"),
        extra("meta.new"),
        extra("by_id.u7.name"),
        Group(GroupKind.MANY, "$"),
        extra("$"),
    ):
        assert places.place(VNEXT, group, counts=True) == group


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
    places = Places({}, ROOM)
    for path in before:
        places.place(VNEXT, group_at(path), counts=True)
    at = max(index for index, step in enumerate(many) if isinstance(step, str))
    for number in range(3 * MAX_SIBLINGS):
        flood = (*many[:at], f"p{number}", *many[at + 1 :])
        place = places.place(VNEXT, group_at(flood), counts=True)
        assert stands_for(place, group_at(flood))
        assert place != FOLDED
    # Nothing as deep was there before.
    assert places.place(VNEXT, group_at(new), counts=True) == group_at(new)


@given(path=PATHS)
def test_what_is_widened_stands_for_the_group_and_can_be_kept(path: Path) -> None:
    group = group_at(path)
    for wider in widened(group):
        assert wider != group
        assert len(wider.path) <= max(len(group.path), 2)
        assert stands_for(wider, group)
        assert not stands_for(group, wider) or group.path == wider.path
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
    assert home(extra("meta.x"), rows) == extra("meta.*")
    assert home(extra("a.x"), rows) == extra("*.*")
    assert home(extra("x"), rows) == FOLDED
    assert home(extra("x"), []) is None
    assert home(extra("meta.x"), [*rows, extra("meta.x")]) == extra("meta.x")


def test_what_counts_and_what_is_ignored_hold_room_apart() -> None:
    quiet = {extra(f"a{number}.b{number}"): False for number in range(ROOM)}
    siblings = {extra(f"p{number}"): False for number in range(MAX_SIBLINGS)}
    places = Places({VNEXT: {**quiet, **siblings}}, ROOM)
    assert places.place(VNEXT, extra("new"), counts=True) == extra("new")
    assert places.place(VNEXT, extra("other.a.b"), counts=False) == FOLDED


def test_all_versions_of_a_launch_fold_together() -> None:
    places = Places({}, ROOM)
    names = [extra(f"meta.p{number}") for number in range(2 * MAX_SIBLINGS)]
    first = [
        places.place(f"v{number % 3}", group, counts=True) for number, group in enumerate(names)
    ]
    assert first == names[:MAX_SIBLINGS] + [extra("meta.*")] * MAX_SIBLINGS
    again = [places.place("later", group, counts=True) for group in names]
    assert again == first


def test_no_version_takes_the_room_of_another_and_what_one_has_is_there_for_all() -> None:
    places = Places({VNEXT: {extra(f"a{n}.b{n}"): True for n in range(ROOM)}}, ROOM)
    assert places.place(VNEXT, extra("new"), counts=True) == FOLDED
    assert places.place("vlatest-b", extra("new"), counts=True) == extra("new")
    assert places.place(VNEXT, extra("new"), counts=True) == extra("new")


@given(
    shown=st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), PATHS, st.booleans()), max_size=80),
    room=st.integers(1, 5),
)
def test_what_is_there_for_one_version_has_that_name_for_every_other(
    shown: list[tuple[str, Path, bool]], room: int
) -> None:
    places = Places({}, room)
    for version, path, counts in shown:
        group = group_at(path)
        place = places.place(version, group, counts=counts)
        assert stands_for(place, group)
        if place == group:
            assert {places.place(of, group, counts=counts) for of in "abc"} == {group}


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
    assert Places({VNEXT: rows}, ROOM).place(VNEXT, extra("new"), counts=True) == FOLDED
    assert Places({VNEXT: rows}, ROOM).place(VNEXT, extra("a1.b1"), counts=True) == extra("a1.b1")


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
    assert holds_anything(group) is expected


def test_a_star_is_any_key_and_no_element() -> None:
    assert fits(steps("a.*"), steps('a["b c"]'))
    assert not fits(steps("a.*"), steps("a[]"))
    assert not fits(steps("a.*"), steps("a.b.c"))
