"""The colours of site.css can be read in both schemes, and both ways to dark agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SITE_CSS = Path(__file__).resolve().parent.parent / "static" / "css" / "site.css"

#: WCAG 2, level AA, for text.
AA = 4.5

_BLOCK = re.compile(r":root(?P<which>[^{]*)\{(?P<body>[^}]*)\}")
_COLOUR = re.compile(r"--([a-z0-9-]+):\s*(#[0-9a-f]{6});")
_WORDS = (
    "ink",
    "ink-2",
    "control",
    "candidate",
    "candidate-2",
    "candidate-3",
    "baseline",
    "agree",
    "differ",
    "failed",
    "focus",
)


def _schemes() -> dict[str, dict[str, str]]:
    """Light, dark by the system's wish, dark by the page's: name of the rule to its colours."""
    return {
        block["which"].strip(): dict(_COLOUR.findall(block["body"]))
        for block in _BLOCK.finditer(SITE_CSS.read_text())
    }


def _luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("word", _WORDS)
@pytest.mark.parametrize("ground", ["paper", "surface"])
def test_every_colour_can_be_read_on_both_grounds_of_every_scheme(word: str, ground: str) -> None:
    ratios = {
        which: _contrast(scheme[word], scheme[ground]) for which, scheme in _schemes().items()
    }

    assert len(ratios) == 3
    assert min(ratios.values()) >= AA, ratios


def test_dark_is_the_same_whether_the_system_or_the_page_asks_for_it() -> None:
    _, by_system, by_page = _schemes().values()

    assert by_system == by_page
