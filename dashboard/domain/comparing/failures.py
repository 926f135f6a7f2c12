"""Brings messages of failures that are alike into one form, so that they count as one."""

from __future__ import annotations

import re

#: Longest normalised message, in characters.
MAX_NORMALISED = 200
#: How much of a message is looked at: what is longer is cut after normalising anyway.
_LOOKED_AT = 1000

#: Tried in this order at each place. A quotation begins where no word does, and ends where none
#: goes on, so that the apostrophe of "can't" is none.
_VARIABLE = re.compile(
    r"""
      (?P<quoted>
          (?<!\w) (?: '[^']*(?:(?<=\w)'(?=\w)[^']*)*'  |  "[^"]*"  |  `[^`]*` ) (?!\w)
        | “[^”]*” | „[^“”]*[“”] | \u2018(?:[^\u2019]|\u2019(?=\w))*\u2019(?!\w) | «[^»]*»
      )
    | (?P<number>
          (?<![^\W_])
          (?: [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}
            | 0x[0-9a-f]+
            | (?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,}
            | \d+ (?: [.,:]\d+ )* (?: e[+-]?\d+ )?
          )
          (?![^\W_])
      )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_DIGITS = re.compile(r"\d+")
_SPACE = re.compile(r"\s+")


def normalised(message: str) -> str:
    """A message with ``#`` for numbers and identifiers, and ``'…'`` for what stands in quotes."""
    text = _SPACE.sub(" ", message[:_LOOKED_AT]).strip()
    text = _DIGITS.sub("#", _VARIABLE.sub(_placeholder, text))
    return text if len(text) <= MAX_NORMALISED else f"{text[: MAX_NORMALISED - 1]}…"


def _placeholder(found: re.Match[str]) -> str:
    # One kind of quotation mark for all: Python's repr chooses by what is quoted.
    return "'…'" if found["quoted"] else "#"
