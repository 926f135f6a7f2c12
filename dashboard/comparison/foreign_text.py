"""Makes every character of untrusted text visible.

Invisible characters (controls, format characters, odd spaces) and those that reverse text become
escapes, as in ``\\u200b``. Ordinary text stays, including joiners in emoji and in Arabic or Indic
words. If two texts side by side would look alike, the characters that differ are escaped as well.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache

#: Marks on one letter; more would cover the lines around it.
_MOST_MARKS = 3
#: Characters compared to find texts that look alike.
_MAX_COMPARED = 2000

#: Characters that are invisible, move others, or can look like anything.
_INVISIBLE = re.compile(
    "(?P<flag>\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f)|"
    "[\0-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f"
    "\u2028-\u202f\u205f-\u206f\u2800\u3164\ud800-\udfff\ue000-\uf8ff\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\uffff\U0001d173-\U0001d17a\U000e0000-\U0010ffff]"
)
_SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}
_JOINERS = "\u200c\u200d"
_VARIANTS = "\ufe0e\ufe0f"
_ASCII = re.compile("[A-Za-z0-9]")
_WORD = re.compile(r"\w+")
_SPACES = re.compile(r"\s+")


def storable(text: str) -> str:
    """Text without NUL, which PostgreSQL cannot store."""
    return text.replace("\x00", "\ufffd")


def visible(text: str, *, lines: bool = False) -> str:
    """A text with invisible characters escaped; ``lines`` keeps line breaks."""
    return "".join(part for part, _ in pieces(text, lines=lines))


def pieces(text: str, *, lines: bool = False) -> Iterator[tuple[str, bool]]:
    """The same in parts, each with whether it is an escape."""
    if text.isascii() and text.isprintable():
        yield text, False
        return
    hidden = set(_invisible(text, lines=lines))
    hidden.update(_stacked(text))
    hidden.update(_mixed(text))
    begin = 0
    for at in sorted(hidden):
        if begin < at:
            yield text[begin:at], False
        yield _escape(text[at]), True
        begin = at + 1
    if text[begin:]:
        yield text[begin:], False


def visible_together(texts: Sequence[str]) -> list[str]:
    """Texts shown side by side, with invisible characters and look-alikes escaped."""
    shown = [visible(text) for text in texts]
    if len(set(texts)) < 2:
        return shown
    alike: defaultdict[str, set[str]] = defaultdict(set)
    skeletons = [_skeleton(one) for one in shown]
    for text, skeleton in zip(texts, skeletons, strict=True):
        alike[skeleton].add(text)
    return [
        one if len(alike[skeleton]) < 2 else _distinguished(text, sorted(alike[skeleton]))
        for text, one, skeleton in zip(texts, shown, skeletons, strict=True)
    ]


def cut_together(texts: Sequence[str], length: int) -> list[str]:
    """Texts cut to a length around their first difference."""
    same = _common_prefix(texts) if len(set(texts)) > 1 else 0
    start = same - length // 3 if same > length // 2 else 0
    return [_part(text, start if len(text) > length else 0, length) for text in texts]


def _common_prefix(texts: Sequence[str]) -> int:
    """Length of the common beginning."""
    first, last = min(texts), max(texts)
    pairs = zip(first, last, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), len(first))


def _part(text: str, start: int, length: int) -> str:
    kept = f"…{text[start + 1 :]}" if start else text
    return kept if len(kept) <= length else f"{kept[: length - 1]}…"


def _distinguished(text: str, others: list[str]) -> str:
    """A text with everything escaped that it does not share with its look-alikes."""
    start = _common_prefix(others)
    end = _common_prefix([other[start:][::-1] for other in others])
    until = len(text) - end
    middle = "".join(map(_plainly, text[start:until]))
    return f"{visible(text[:start])}{middle}{visible(text[until:])}"


def _plainly(character: str) -> str:
    if character == " ":
        return "␣"
    if character == "\\":
        return r"\\"
    return character if "!" <= character <= "~" else _escape(character)


def _escape(character: str) -> str:
    """As in JSON, so that an escaped document stays valid."""
    units = character.encode("utf-16-be", "surrogatepass").hex()
    pairs = (units[at : at + 4] for at in range(0, len(units), 4))
    return _SHORT.get(character) or "".join(f"\\u{unit}" for unit in pairs)


def _invisible(text: str, *, lines: bool) -> Iterator[int]:
    for found in _INVISIBLE.finditer(text):
        is_line = lines and found.group() == "\n"
        if not found["flag"] and not is_line and not _is_in_place(text, found.start()):
            yield found.start()


def _is_in_place(text: str, at: int) -> bool:
    """Whether an invisible character is part of an emoji, or of a word that needs it."""
    character = text[at]
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if not before:
        return False
    if character in _VARIANTS:
        return after == "\u20e3" or unicodedata.category(before)[0] in "SP"
    if character not in _JOINERS or not after:
        return False
    if character == "\u200d" and _is_symbol(before) and unicodedata.category(after) == "So":
        return True
    return _is_of_word(before) and _is_of_word(after)


def _is_symbol(character: str) -> bool:
    return character in _VARIANTS or unicodedata.category(character) in ("So", "Sk")


def _is_of_word(character: str) -> bool:
    """Whether a character belongs to a script without case, or is a mark in it."""
    return unicodedata.category(character) in ("Lo", "Mn", "Mc")


def _stacked(text: str) -> Iterator[int]:
    """Indexes of marks without a base, or on top of too many others."""
    marks = 0
    for at, character in enumerate(text):
        if character.isascii() or unicodedata.category(character) not in ("Mn", "Me"):
            marks = 0
            continue
        marks += 1
        if marks > _MOST_MARKS or (marks == 1 and not _is_base(text[at - 1 : at])):
            yield at


def _mixed(text: str) -> Iterator[int]:
    """Indexes of look-alikes from another script in ASCII words."""
    for word in _WORD.finditer(text):
        if word.group().isascii() or not _ASCII.search(word.group()):
            continue
        for at in range(*word.span()):
            character = text[at]
            if not character.isascii() and _like(character).isascii():
                is_latin = unicodedata.name(character, "").startswith("LATIN ")
                if not is_latin and unicodedata.category(character)[0] in "LN":
                    yield at


def _is_base(base: str) -> bool:
    return bool(base) and unicodedata.category(base)[0] in "LNMS"


def _skeleton(text: str) -> str:
    """A form that is equal for texts that look alike."""
    text = text[:_MAX_COMPARED]
    if text.isascii():
        return _SPACES.sub(" ", text).strip()
    plain = unicodedata.normalize("NFKD", "".join(map(_like, text)))
    return _SPACES.sub(" ", "".join(map(_like, plain))).strip()


@lru_cache(4096)
def _like(character: str) -> str:
    """The ASCII character that one looks like, or itself."""
    if character.isascii():
        return character
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    # Imported when needed: its tables take 10 MB.
    from confusable_homoglyphs import confusables  # noqa: PLC0415

    found = confusables.is_confusable(character, greedy=True)
    glyphs = [one["c"] for one in found[0]["homoglyphs"]] if found else []
    return min((glyph for glyph in glyphs if glyph.isascii()), default=character)
