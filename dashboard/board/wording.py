"""How measured numbers are written on the board; ``static/js/board/format.js`` writes the same."""

from __future__ import annotations

import math
from typing import Any

#: In place of an unknown number.
NONE = "–"
_MINUS = "−"
_THIN = "\N{NO-BREAK SPACE}"


def count(number: int | None) -> str:
    """``1,998``."""
    return NONE if number is None else f"{number:,}"


def duration(ms: float | None) -> str:
    """``4.2 ms``, ``214 ms``, ``12.4 s``."""
    if ms is None:
        return NONE
    if ms < 10:
        return f"{_rounded(ms, 10)}{_THIN}ms"
    if ms < 10_000:
        return f"{_rounded(ms):,}{_THIN}ms"
    return f"{_rounded(ms / 1000, 10):,}{_THIN}s"


def share(percent: float) -> str:
    """``20 %``, ``0.5 %``."""
    return f"{percent:g}{_THIN}%"


def part(of_one: float | None) -> str:
    """``0 %``, ``<0.1 %``, ``0.4 %``, ``21 %``; neither all nor nothing where it is not."""
    if of_one is None:
        return NONE
    percent = min(of_one, 1) * 100
    if 0 < percent < 0.1:
        return f"<0.1{_THIN}%"
    if 0 < percent < 9.95:
        return f"{_rounded(percent, 10):.1f}{_THIN}%"
    if 99 < percent < 100:
        return f">99{_THIN}%"
    return f"{_rounded(percent)}{_THIN}%"


def percent(of_one: float) -> str:
    """How large a part or a change is: ``0.57 %``, ``1.9 %``, ``31 %``, ``1,204 %``."""
    number = abs(of_one) * 100
    number = _rounded(number, 1 if number >= 10 else 10 if number >= 1 else 100)
    return f"{number:,g}{_THIN}%" if number < 1000 else f"{_rounded(number):,.0f}{_THIN}%"


def span(low: float, high: float) -> str:
    """Two parts as a range: ``28–34 %``."""
    ends = sorted((abs(low), abs(high)))
    few, many = percent(ends[0]), percent(ends[1])
    return many if few == many else f"{few.removesuffix(f'{_THIN}%')}–{many}"


def change(of_one: float) -> str:
    """A change with its sign: ``−31 %``, ``+0.4 %``, ``0 %``."""
    text = percent(of_one)
    return text if text == f"0{_THIN}%" else f"{_MINUS if of_one < 0 else '+'}{text}"


def delta(control_ms: float | None, version_ms: float | None) -> str:
    """How much longer the version took than the control: ``−31 %``, ``+4 %``; else nothing."""
    if not control_ms or version_ms is None:
        return ""
    percent = _rounded((version_ms - control_ms) / control_ms * 100)
    sign = _MINUS if percent < 0 else "+" if percent > 0 else ""
    return f"{sign}{abs(percent):,}{_THIN}%"


def seconds(number: float) -> str:
    """A configured duration: ``10 s``, ``0.5 s``."""
    return f"{_rounded(number, 10):g}{_THIN}s"


def unbroken(text: str) -> str:
    """A sentence whose percentages stay in one line."""
    return text.replace(" %", f"{_THIN}%")


def rate(per_second: float) -> str:
    """``0``, ``99.8``, ``1,204``."""
    if not per_second:
        return "0"
    return f"{_rounded(per_second, 10):.1f}" if per_second < 100 else f"{_rounded(per_second):,}"


def age(seconds: float | None) -> str:
    """``0.2 s``, ``42 s``, ``4 min``, ``3 h 12 min``, ``2 d 3 h``."""
    if seconds is None:
        return NONE
    if seconds < 10:
        return f"{_rounded(max(seconds, 0), 10):.1f}{_THIN}s"
    if seconds < 60:
        return f"{int(seconds)}{_THIN}s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes}{_THIN}min"
    hours = minutes // 60
    if hours < 24:
        return f"{hours}{_THIN}h {minutes % 60}{_THIN}min"
    return f"{hours // 24}{_THIN}d {hours % 24}{_THIN}h"


def ago(seconds: float) -> str:
    """``now``, ``42 s ago``, ``3 h 12 min ago``: steady enough to be read."""
    return "now" if seconds < 5 else f"{age(int(seconds)).replace('.0', '')} ago"


def _rounded(number: float, parts: int = 1) -> float:
    """Half upwards, as JavaScript rounds, so that both sides write the same digits."""
    rounded = math.floor(number * parts + 0.5)
    return rounded if parts == 1 else rounded / parts


Json = dict[str, Any]


def tenths(milliseconds: float | None) -> float | None:
    """A time to a tenth of a millisecond."""
    return None if milliseconds is None else round(milliseconds, 1)
