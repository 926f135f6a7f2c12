"""Text from elsewhere: what is hidden in it is seen, and ordinary text stays as it is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.comparison.foreign_text import cut_together, visible, visible_together
from dashboard.comparison.tests.growth import stays_in_hand


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("burger\u200b", r"burger\u200b"),
        ("a\u00a0b\u2009c", r"a\u00a0b\u2009c"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("a\u2066b\u2069", r"a\u2066b\u2069"),
        ("a\tb\nc\rd\0", r"a\tb\nc\rd\u0000"),
        ("\ufeff", r"\ufeff"),
        ("so\xadft", r"so\u00adft"),
        ("\ud83c", r"\ud83c"),
        ("a\U000e0061", r"a\udb40\udc61"),
        ("a\ufe0f", r"a\ufe0f"),
        ("a\u200db", r"a\u200db"),
        ("\u3164\u2800", r"\u3164\u2800"),
        ("\u0301a", r"\u0301a"),
        ("Z\u0351\u0352\u0353\u0354\u0355x", "Z\u0351\u0352\u0353" + r"\u0354\u0355x"),
        ("n\u0430me", r"n\u0430me"),
        ("1\uff12", r"1\uff12"),
        ("1\u0662", r"1\u0662"),
    ],
)
def test_what_nobody_can_see_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "2 burgers, no onions",
        "Grüße aus Köln, 10 µg, Größe 3 m²",
        "naïve café, na\u0308ive",
        "北京烤鸭 3份、東京2020大会",
        "김치찌개",
        "مرحبا بالعالم ١٢٣",
        "می\u200cخواهم",  # noqa: RUF001
        "शुक्रिया क्\u200dष",
        "Борщ и T-рубашка",
        "שלום",
        "👩\u200d🍳 👍🏽 ❤\ufe0f 1\ufe0f\u20e3 🇩🇪",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "Ω3 “quoted” – 5 €",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_line_breaks_stay_where_there_are_lines() -> None:
    assert visible("a\nb\u200b", lines=True) == "a\nb\\u200b"


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (["caf\u00e9", "cafe\u0301"], [r"caf\u00e9", r"cafe\u0301"]),
        (["1", "\uff11"], ["1", r"\uff11"]),
        (["\u0441\u043e\u0440\u0430", "copa"], [r"\u0441\u043e\u0440\u0430", "copa"]),
        (["a\u200bb", r"a\u200bb"], [r"a\u200bb", r"a\\u200bb"]),
        (["a  b", "a b"], ["a ␣b", "a b"]),
        (["a ", "a"], ["a␣", "a"]),
        (["Grün", "Blau"], ["Grün", "Blau"]),
        (["Борщ", "Soup"], ["Борщ", "Soup"]),
        (["Grüße\u200b", "Grüße"], [r"Grüße\u200b", "Grüße"]),
        (["Grüße", "Grüße"], ["Grüße", "Grüße"]),
        (["e\u0301", "\u00e9", "e"], [r"e\u0301", r"\u00e9", "e"]),
    ],
)
def test_texts_that_look_alike_are_told_apart(texts: list[str], shown: list[str]) -> None:
    assert visible_together(texts) == shown


wild = st.text(
    st.characters()
    | st.sampled_from("a1 \\u\u200b\u200d\u202e\u0301\u0430\uff11\u00a0é\ufe0f👩🍳\ud83c"),
    max_size=12,
)
#: What may stay, in its place: joiners, variants of symbols, tags of flags.
IN_PLACE = {0x200C, 0x200D, 0xFE0E, 0xFE0F, *range(0xE0020, 0xE0080)}


@given(wild)
def test_nothing_that_turns_text_round_or_is_hidden_is_left(text: str) -> None:
    for character in visible(text):
        assert ord(character) in IN_PLACE or unicodedata.category(character) not in (
            "Cc", "Cf", "Co", "Cs", "Zl", "Zp",
        )  # fmt: skip


@given(wild, wild)
@example("a\\u200b", "a\u200b")
@example("\u00e9\\", "e\u0301\\")
def test_different_texts_are_different_whatever_a_page_does_to_spaces_and_forms(
    one: str, other: str
) -> None:
    shown = [
        " ".join(unicodedata.normalize("NFKC", text).split())
        for text in visible_together([one, other])
    ]
    assert (shown[0] == shown[1]) == (one == other)


@given(st.lists(wild, min_size=2, max_size=4))
def test_however_many_stand_beside_each_other(texts: list[str]) -> None:
    shown = visible_together(texts)
    assert all(
        (one == other) == (text == beside)
        for one, text in zip(shown, texts, strict=True)
        for other, beside in zip(shown, texts, strict=True)
    )


def test_long_texts_are_cut_around_the_place_where_they_differ() -> None:
    one, other = "x" * 1000 + "a" + "y" * 1000, "x" * 1000 + "b"
    cut = cut_together([one, other], 60)
    assert "xa" in cut[0]
    assert "xb" in cut[1]
    assert [len(text) <= 60 for text in cut] == [True, True]
    assert cut_together(["short", "texts"], 60) == ["short", "texts"]
    assert cut_together(["x" * 100] * 2, 60) == ["x" * 59 + "…"] * 2


@pytest.mark.parametrize("piece", ["a\u0430", "é", "a é", "-é", "\u200d", "👩\u200d", "\u0301"])
def test_no_text_takes_long(piece: str) -> None:
    with stays_in_hand():
        visible_together([piece * 50_000, "a" * 100_000 + piece, piece])
