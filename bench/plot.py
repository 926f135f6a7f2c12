"""Lines over time as SVG: one panel above the other, on one axis of minutes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _GAP = 960, 150, 80, 190, 30, 34
#: As many as the fullest panel has lines.
_COLOURS = (
    "#1b6ca8", "#c4572b", "#2f8f5b", "#7a4fa3", "#8a6d1d", "#555f6b", "#b03a6f", "#2a9d9d",
    "#111111", "#e0a030",
)  # fmt: skip
_STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Panel:
    """Lines that share an axis from nought."""

    title: str
    unit: str
    lines: Mapping[str, Sequence[float | None]]


def plot(minutes: Sequence[float], panels: Sequence[Panel], *, title: str) -> str:
    """The whole picture; a value that is None leaves a gap in its line."""
    height = _TOP + len(panels) * (_PANEL + _GAP) + 20
    drawn = [
        line
        for number, panel in enumerate(panels)
        for line in _panel(panel, minutes, top=_TOP + number * (_PANEL + _GAP) + 16)
    ]
    font = 'font-family="sans-serif" font-size="12" fill="#333"'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {font}>',
            f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
            f'<text x="{_LEFT}" y="18" font-weight="bold">{escape(title)}</text>',
            *drawn,
            "</svg>\n",
        )
    )


def nice_top(highest: float) -> float:
    """The least round number that is no less: 1, 2, 5, 10, 20 and so on; 1 for nothing."""
    if highest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in _STEPS if highest <= step * power * (1 + 1e-9))


def _panel(panel: Panel, minutes: Sequence[float], *, top: float) -> Iterable[str]:
    known = [value for line in panel.lines.values() for value in line if value is not None]
    highest, longest = nice_top(max(known, default=0.0)), max(*minutes, 1e-9)
    bottom, right = top + _PANEL, _WIDTH - _RIGHT

    def place(minute: float, value: float) -> str:
        x = _LEFT + (right - _LEFT) * minute / longest
        return f"{x:.1f},{bottom - _PANEL * value / highest:.1f}"

    yield f'<text x="{_LEFT}" y="{top - 5}">{escape(panel.title)}</text>'
    for value in (0.0, highest / 2, highest):
        y = bottom - _PANEL * value / highest
        yield f'<path d="M{_LEFT},{y:.1f}H{right}" stroke="#ddd"/>'
        yield (
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"{value:,g} {escape(panel.unit)}</text>"
        )
    for number, (name, values) in enumerate(panel.lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        for stretch in _stretches(minutes, values):
            points = " ".join(place(minute, value) for minute, value in stretch)
            yield f'<polyline fill="none" stroke="{colour}" stroke-width="1.3" points="{points}"/>'
        y = top + 12 + 16 * number
        yield f'<text x="{right + 10}" y="{y:.1f}" fill="{colour}">{escape(name)}</text>'
    yield f'<text x="{right}" y="{bottom + 14}" text-anchor="end">{longest:.1f} min</text>'


def _stretches(
    minutes: Sequence[float], values: Sequence[float | None]
) -> Iterable[list[tuple[float, float]]]:
    stretch: list[tuple[float, float]] = []
    for minute, value in zip(minutes, values, strict=True):
        if value is not None:
            stretch.append((minute, value))
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch
