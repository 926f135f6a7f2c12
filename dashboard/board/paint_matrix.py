"""The first paint of the outcome matrix; ``static/js/board/matrix.js`` paints the same places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dashboard.board import wording
from dashboard.board.lenses import Lens
from dashboard.domain.outcome import Outcome, State

_STATES = (State.HANDLED, State.FAILED, State.MISSING)
_WORDS = {State.HANDLED: "handled", State.FAILED: "failed", State.MISSING: "gave no answer"}


@dataclass(frozen=True, kw_only=True)
class Box:
    """Pairs that ended alike: its key in the frame, and the lens that shows them, if there is one.

    ``look`` is agree, differ, failed or missing, or ``calm`` where nobody is worse than the other.
    """

    key: str
    text: str
    look: str
    meaning: str
    lens: str = ""
    none: bool = False


@dataclass(frozen=True, kw_only=True)
class Line:
    """What the control did, and the boxes by what the dark version did: first those where both
    handled the order, in two."""

    state: str
    boxes: tuple[tuple[Box, ...], ...]


def matrix(cells: Mapping[str, int], control: str, dark: str) -> list[Line]:
    """The matrix as the template prints it: the control's states down, the dark one's across."""
    return [
        Line(
            state=mine,
            boxes=tuple(_boxes(cells, (control, mine), (dark, theirs)) for theirs in _STATES),
        )
        for mine in _STATES
    ]


def _boxes(
    cells: Mapping[str, int], control: tuple[str, State], dark: tuple[str, State]
) -> tuple[Box, ...]:
    (name, mine), (other, theirs) = control, dark
    if mine is theirs is State.HANDLED:
        return (
            _box(cells, Outcome.AGREE, look="agree", meaning="both handled, results agree"),
            _box(
                cells,
                Outcome.DIFFER,
                look="differ",
                meaning="both handled, results differ, also if by design or noise",
                lens=Lens.DIFFERING,
            ),
        )
    meaning = f"{name} {_WORDS[mine]}, {other} {_WORDS[theirs]}"
    is_missing = State.MISSING in (mine, theirs)
    look = "calm" if mine is theirs else "missing" if is_missing else "failed"
    lens = Lens.MISSING if is_missing else Lens.FAILED
    return (_box(cells, f"{mine}/{theirs}", look=look, meaning=meaning, lens=lens),)


def _box(cells: Mapping[str, int], key: str, *, look: str, meaning: str, lens: str = "") -> Box:
    number = cells.get(key, 0)
    return Box(
        key=key,
        text=wording.count(number),
        look=look,
        meaning=meaning,
        lens=lens,
        none=not number,
    )
