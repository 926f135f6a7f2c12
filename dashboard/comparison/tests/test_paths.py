"""How paths are written, what they lead to, and which paths a glob stands for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.comparison.paths import (
    MAX_GLOB,
    NOTHING,
    Glob,
    Member,
    Path,
    PathError,
    find,
    grouped,
    shown,
)
from dashboard.comparison.tests.growth import stays_in_hand

BURGER = Member("name", "burger")


@pytest.mark.parametrize(
    ("path", "as_shown", "as_grouped"),
    [
        ((), "$", "$"),
        (("cook",), "cook", "cook"),
        (("items", 2, "minutes"), "items[2].minutes", "items[].minutes"),
        (("items", BURGER, "minutes"), 'items[name="burger"].minutes', "items[].minutes"),
        (("items", Member("id", 7)), "items[id=7]", "items[]"),
        (("items", Member("id", "7")), 'items[id="7"]', "items[]"),
        (("items", Member("is it", True)), 'items["is it"=true]', "items[]"),
        ((0,), "[0]", "[]"),
        ((0, 1, "a"), "[0][1].a", "[][].a"),
        (("a", "b-c", "d_e", "0"), "a.b-c.d_e.0", "a.b-c.d_e.0"),
        (("größe", "数量"), "größe.数量", "größe.数量"),
        (("",), '[""]', '[""]'),
        (("a.b", "c"), '["a.b"].c', '["a.b"].c'),
        (("a", "[]"), 'a["[]"]', 'a["[]"]'),
        (("$",), '["$"]', '["$"]'),
        (("*",), '["*"]', '["*"]'),
        (('say "hi"',), r'["say \"hi\""]', r'["say \"hi\""]'),
        (("a\0b",), r'["a\u0000b"]', r'["a\u0000b"]'),
        (("half \ud83c",), r'["half \ud83c"]', r'["half \ud83c"]'),
        (("turned \u202e",), r'["turned \u202e"]', r'["turned \u202e"]'),
        (("🍔",), '["🍔"]', '["🍔"]'),
    ],
)
def test_a_path_is_written_for_people(path: Path, as_shown: str, as_grouped: str) -> None:
    assert shown(path) == as_shown
    assert grouped(path) == as_grouped


keys = st.text(st.sampled_from('ab1.*[]"\\$ =_-é\0\ud800\u202e'), max_size=4)
scalars = st.none() | st.booleans() | st.integers(-2, 2) | keys
paths = st.lists(keys | st.integers(0, 3) | st.builds(Member, keys, scalars), max_size=4).map(tuple)


@given(paths, paths)
def test_two_paths_never_read_the_same(first: Path, second: Path) -> None:
    # By repr, since to Python True is 1.
    assert (shown(first) == shown(second)) == (repr(first) == repr(second))


@given(paths)
def test_what_is_written_can_be_stored_and_printed(path: Path) -> None:
    for text in (shown(path), grouped(path)):
        assert text.isprintable()
        text.encode()


def _ways(glob: Glob, path: Path) -> list[bool]:
    """For each beginning of the path, the empty one first, whether the glob matches it."""
    reached = glob.start()
    ways = [glob.ends(reached)]
    for step in path:
        reached = glob.after(reached, step)
        ways.append(glob.ends(reached))
    return ways


def _matches(glob: Glob, path: Path) -> bool:
    return _ways(glob, path)[-1]


def _covers(glob: Glob, path: Path) -> bool:
    return any(_ways(glob, path))


@given(paths)
def test_a_grouped_path_is_a_glob_that_stands_for_the_path(path: Path) -> None:
    glob = Glob.parse(grouped(path))
    assert _matches(glob, path)
    assert _covers(glob, (*path, "below"))
    assert not _matches(glob, (*path, "below"))


DOCUMENT: Any = {
    "items": [{"name": "burger", "id": 1}, 7, {"name": "fries", "id": True}],
    "none": None,
    "": {"a.b": "dotted"},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), DOCUMENT),
        (("items", 1), 7),
        (("items", 3), NOTHING),
        (("items", -1), NOTHING),
        (("items", "0"), NOTHING),
        (("items", Member("name", "fries"), "id"), True),
        (("items", Member("id", True), "name"), "fries"),
        (("items", Member("id", 1.0), "name"), "burger"),
        (("items", Member("id", "1")), NOTHING),
        (("items", Member("price", None)), NOTHING),
        (("none",), None),
        (("none", "more"), NOTHING),
        (("", "a.b"), "dotted"),
        ((0,), NOTHING),
        ((BURGER,), NOTHING),
        (("absent",), NOTHING),
    ],
)
def test_a_path_leads_to_a_value_or_to_nothing(path: Path, value: Any) -> None:
    assert find(DOCUMENT, path) is value


def test_nothing_says_what_it_is() -> None:
    assert repr(NOTHING) == "nothing"


@pytest.mark.parametrize(
    ("glob", "path", "matches", "covers"),
    [
        ("$", (), True, True),
        ("$", ("a",), False, True),
        ("a", ("a",), True, True),
        ("a", ("b",), False, False),
        ("a", (0,), False, False),
        ("a", ("a", "b"), False, True),
        ("a.b", ("a",), False, False),
        ("items[].minutes", ("items", 0, "minutes"), True, True),
        ("items[].minutes", ("items", BURGER, "minutes"), True, True),
        ("items[].minutes", ("items", "[]", "minutes"), False, False),
        ("items", ("items", 3, "minutes"), False, True),
        ("[].a", (4, "a"), True, True),
        ("[][]", (4, 5), True, True),
        ("trace_*", ("trace_id",), True, True),
        ("trace_*", ("trace_",), True, True),
        ("trace_*", ("a_trace_id",), False, False),
        ("*_id", ("trace_id",), True, True),
        ("*a*b*", ("xxaxxbxx",), True, True),
        ("*a*b*", ("xxbxxa",), False, False),
        ("a*a", ("a",), False, False),
        ("ab*ba", ("aba",), False, False),
        ("*ab*b", ("abab",), True, True),
        ("*ab*b", ("ab",), False, False),
        ("*", ("",), True, True),
        ("*", (0,), False, False),
        ("*.b", ("a", "b"), True, True),
        ("*.b", ("b",), False, False),
        ("**", (), True, True),
        ("**", ("a", 0, "b"), True, True),
        ("**.cook", ("cook",), True, True),
        ("**.cook", ("a", 0, "cook"), True, True),
        ("**.cook", ("a", "cook", "name"), False, True),
        ("**.cook", ("a", "cooks"), False, False),
        ("meta.**", ("meta",), True, True),
        ("meta.**", ("meta", 0, "x"), True, True),
        ("meta.**", ("metal",), False, False),
        ("a.**.b", ("a", "b"), True, True),
        ("a.**.b", ("a", 1, "x", "b"), True, True),
        ("a.**.b", ("a", "b", "c"), False, True),
        ("**[]", ("a", 0), True, True),
        ("**[].x.**.y", ("a", 0, "x", "x", "y"), True, True),
        ('["odd.key"].x', ("odd.key", "x"), True, True),
        ('meta["*"]', ("meta", "*"), True, True),
        ('meta["*"]', ("meta", "a"), False, False),
        ('[""]', ("",), True, True),
        (r'["\u00e9"]', ("é",), True, True),
    ],
)
def test_a_glob_stands_for_paths(glob: str, path: Path, *, matches: bool, covers: bool) -> None:
    assert _matches(Glob.parse(glob), path) is matches
    assert _covers(Glob.parse(glob), path) is covers


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "give a path"),
        ("a" * (MAX_GLOB + 1), "at most 300 characters"),
        (".a", "a key is missing before '.a'"),
        ("a.", "a key is missing at the end"),
        ("a..b", "a key is missing before '.b'"),
        ("a b", "a dot is missing before ' b'"),
        ("[]a", "a dot is missing before 'a'"),
        ("$.a", "a key is missing before '$.a'"),
        ("items[2]", "[] for every element of a list"),
        ("items[*]", "[] for every element of a list"),
        ("items[", "[] for every element of a list"),
        ("items]", "a dot is missing before ']'"),
        (r'["\q"]', "does not hold a JSON string"),
        ("a**", "** between dots only"),
        ("***", "** between dots only"),
    ],
)
def test_what_is_no_glob_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(PathError) as refused:
        Glob.parse(text)
    assert reason in str(refused.value)


@given(st.text(st.sampled_from('ab.*[]"\\ $é\ud800'), max_size=12))
def test_any_text_is_a_glob_or_is_refused(text: str) -> None:
    try:
        glob = Glob.parse(text)
    except PathError:
        return
    assert glob.text == text
    assert _covers(glob, ("a", 0)) or not _matches(glob, ("a", 0))


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        (".".join(["**"] * 75), ("a",) * 64),
        (".".join(["**", "*a*"] * 40) + ".b", ("a" * 50,) * 64),
        ("*a" * 149 + "*", ("a" * 250_000,)),
        ("*a" * 149 + "b", ("a" * 250_000,)),
    ],
)
def test_no_glob_takes_long(glob: str, path: Path) -> None:
    parsed = Glob.parse(glob)
    with stays_in_hand():
        _matches(parsed, path)
