"""The first paint of the verdict line; ``static/js/board/verdict.js`` paints the same places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dashboard.board import wording
from dashboard.board.frames import Json
from dashboard.board.paint_requirements import UNKNOWN, Dated, Line, lines
from dashboard.verdict.assessment import Run
from dashboard.verdict.phrases import counted
from dashboard.verdict.requirements import Requirement, Standing
from dashboard.verdict.words import Word

#: How orders of a segment are called: those that were said first, and the others beside them.
_ORDERS = {
    "size": ("on {} orders", "on {} ones"),
    "item": ("on orders with {}", "on those with {}"),
    "hour": ("on orders at {}:00 UTC", "on those at {}:00 UTC"),
}


@dataclass(frozen=True, kw_only=True)
class VerdictLine:
    """The word, what stands before and after it, and what is said below.

    ``look`` is the word as the page's attributes have it.
    """

    look: str
    before: str
    word: str
    after: str
    #: What the sentence does not say, but the eye must not miss: the effect while the word is still
    #: open, and on which orders it is another.
    so_far: str
    contrast: str
    #: Where the version gets no more orders: since when, and on how many the word stands.
    state: Dated | None
    warnings: Sequence[str]
    requirements: tuple[Line, ...]
    tested: str
    lag: str
    faster_share: str
    total_time: str
    #: Answers that came late, or could not be counted.
    trouble: str


def verdict_line(frame: Json) -> VerdictLine | None:
    """The verdict of a frame as the template prints it; None while there is none."""
    verdict = frame["verdict"]
    if verdict is None:
        return None
    before = f"{verdict['version']} is " if verdict["word"] == Word.READY else ""
    word = verdict["word"].upper()
    over = frame["run"]["state"] != Run.RUNNING
    return VerdictLine(
        look=verdict["word"].replace(" ", "-"),
        before=before,
        word=word,
        after=wording.unbroken(_after(verdict["sentence"][len(before) + len(word) :])),
        so_far="" if over else _so_far(verdict),
        contrast=_contrast(verdict["contrasts"]),
        state=_state(frame["run"], verdict["orders"]),
        warnings=[wording.unbroken(warning) for warning in verdict["warnings"]],
        requirements=lines(verdict["requirements"], over=over),
        tested=_tested(verdict),
        lag=f"verdict delay {wording.seconds(verdict['lag_s'])}",
        faster_share=_faster_share(verdict["faster_share"]),
        total_time=_total_time(verdict["total_time"]),
        trouble=", ".join(_trouble(verdict)),
    )


def blank_line() -> VerdictLine:
    """The line into which the page's script writes the first verdict."""
    return VerdictLine(
        look="not-yet", before="", word="", after="", so_far="", contrast="", state=None,
        warnings=(), requirements=lines([]), tested="", lag="", faster_share="", total_time="",
        trouble="",
    )  # fmt: skip


def _state(run: Json, orders: int) -> Dated | None:
    """Why no more orders come, and what the word rests on."""
    if run["state"] == Run.RUNNING or run["at"] is None:
        return None
    orders_said = f", on {counted(orders)} after the warm-up"
    if run["state"] == Run.STOPPED:
        return _dated("Stopped (0 % of orders) since ", run["at"], orders_said)
    if run["final_at"] is None:
        return _dated("Ended ", run["at"], "; the last orders are still being counted")
    return _dated("Final: the launch ended ", run["at"], orders_said)


def _dated(before: str, at: float, after: str) -> Dated:
    return Dated(
        before=wording.unbroken(before), at=datetime.fromtimestamp(at, UTC), after=f"{after}."
    )


def _after(rest: str) -> str:
    return rest.removeprefix(":").strip()


def _so_far(verdict: Json) -> str:
    speed = next(one for one in verdict["requirements"] if one["key"] == Requirement.SPEED)
    is_open = verdict["word"] == Word.NOT_YET and speed["standing"] == Standing.PASSED
    return wording.unbroken(f"So far {speed['text']}.") if is_open else ""


def _contrast(contrasts: Sequence[Json]) -> str:
    """The gravest contrast in short, as in "Faster on small orders, slower on huge ones."."""
    if not contrasts:
        return ""
    gravest = contrasts[0]
    first, other = _ORDERS[gravest["kind"]]
    faster, slower = first.format(gravest["faster"]), other.format(gravest["slower"])
    if gravest["opposite"]:
        return f"Faster {faster}, slower {slower}."
    return f"Best {faster}, worst {slower}."


def _tested(verdict: Json) -> str:
    pairs, blocks = counted(verdict["pairs"], "pair"), counted(verdict["blocks"], "block")
    build = f" (build {verdict['build']})" if verdict["build"] else ""
    each = wording.seconds(verdict["block_s"])
    why = f" ({verdict['block_why']})" if verdict["block_why"] else ""
    return f"{pairs} measured{build}, {blocks} of {each}{why}"


def _faster_share(interval: Sequence[float] | None) -> str:
    return f"faster on {wording.span(*interval)} of orders" if interval else ""


def _total_time(interval: Sequence[float] | None) -> str:
    """The ratio of all the time of both, as how much less or more the dark version's is."""
    if interval is None or not -UNKNOWN < interval[0] <= interval[1] < UNKNOWN:
        return ""
    low, high = interval[0] - 1, interval[1] - 1
    if low < 0 < high:
        return f"total time {wording.change(low)} to {wording.change(high)}"
    return f"total time {wording.span(low, high)} {'less' if high <= 0 else 'more'}"


def _trouble(verdict: Json) -> Iterator[str]:
    if verdict["late"]:
        yield f"{wording.count(verdict['late'])} counted late"
    if verdict["lost"]:
        yield f"{wording.count(verdict['lost'])} too late to count"
    if verdict["bad"]:
        yield f"{wording.count(verdict['bad'])} not usable"
