"""The colours of site.css can be read in both schemes, the system's or the page's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SITE_CSS = Path(__file__).resolve().parent.parent / "static" / "css" / "site.css"

#: WCAG 2, level AA, for text.
AA = 4.5

_COLOUR = re.compile(r"--([a-z0-9-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);")
_THEME = re.compile(r'&\[data-theme="(\w+)"\] \{ color-scheme: (\w+); \}')
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
    """Light and dark: the scheme to its colours."""
    found = _COLOUR.findall(SITE_CSS.read_text())
    return {
        "light": {name: light for name, light, _ in found},
        "dark": {name: dark for name, _, dark in found},
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

    assert len(ratios) == 2
    assert min(ratios.values()) >= AA, ratios


def test_the_scheme_is_the_systems_unless_the_page_chose_one_of_the_two() -> None:
    css = SITE_CSS.read_text()

    assert ":root {\n  color-scheme: light dark;" in css
    assert dict(_THEME.findall(css)) == {"light": "light", "dark": "dark"}


def test_every_colour_has_a_value_in_both_schemes() -> None:
    css = SITE_CSS.read_text()
    used = set(re.findall(r"--([a-z0-9-]+): (?:#|light-dark)", css))

    assert used == set(_schemes()["dark"])
