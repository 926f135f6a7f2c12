"""The first paint of the head of the board: its first sentence, and a line of counters a version.

``static/js/board/`` paints the same places from the frames that follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dashboard.board import wording

Frame = dict[str, Any]
Version = dict[str, Any]

#: The counters' columns: a version's key in the frame, the label, what it means.
COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("orders", "orders", "orders this version was to handle"),
    ("pairs", "pairs", "orders that both the control and this version have ended with"),
    ("handled", "handled", "orders it handled"),
    ("failed", "failed", "orders on which it raised an error"),
    ("missing", "missing", "orders without an answer when the deadline had passed"),
    ("waiting", "waiting", "orders it still has time to answer"),
    ("late", "late", "answers after the deadline"),
    ("repeats", "repeats", "answers heard more than once; the first one counts"),
    ("p50", "p50", "half of the orders were handled within this time"),
    ("p95", "p95", "95 of 100 orders were handled within this time"),
    ("p99", "p99", "99 of 100 orders were handled within this time"),
)
#: The columns that are times.
TIMES = frozenset({"p50", "p95", "p99"})
#: What is no trouble when it is none, and is to be seen when there is any.
_ALARMS = frozenset({"failed", "missing", "late", "repeats"})


#: A version's times are held against the control's only if both are of nearly the same orders:
#: of this part of the control's, and of so many at least. As in ``static/js/board/counters.js``.
_COMPARABLE = 0.95
_COMPARABLE_LEAST = 100


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of a version. ``delta`` is its distance from the control's, where that is fair."""

    key: str
    text: str
    is_time: bool
    delta: str = ""
    alarm: bool = False


class Sample(NamedTuple):
    """How many orders a dark version was sent; wrong where that is not the share asked for."""

    text: str = ""
    wrong: bool = False


@dataclass(frozen=True, kw_only=True)
class Headline:
    """What is measured of the dark version that is looked at, in short."""

    version: Version
    place: int
    share: str
    pairs: str
    #: Pairs that count against it, and their part of all.
    against: str
    against_share: str
    median: str
    failed: str
    missing: str


def dark_version(versions: Sequence[Version], asked: str) -> Version | None:
    """The dark version to hold against the control: the asked one, else the first."""
    dark = versions[1:]
    return next((version for version in dark if version["name"] == asked), next(iter(dark), None))


def headline(frame: Frame) -> Headline | None:
    """The board's first sentence; none while the control works alone."""
    versions = frame["versions"]
    dark = dark_version(versions, frame["version"])
    if dark is None:
        return None
    return Headline(
        version=dark,
        place=versions.index(dark),
        share=wording.share(dark["percent"] or 0),
        pairs=wording.count(dark["pairs"]),
        against=wording.count(frame["against"]),
        against_share=wording.part(frame["against"] / dark["pairs"]) if dark["pairs"] else "",
        median=_change("p50", dark, versions[0]),
        failed=wording.count(dark["failed"]),
        missing=wording.count(dark["missing"]),
    )


def versions(frame: Frame) -> list[tuple[Version, list[Figure], Sample]]:
    """The counters: each version with its figures, and what it was sent."""
    samples = {one["version"]: _sample(one) for one in frame["samples"]}
    return [
        (one, figures(one, frame["versions"][0]), samples.get(one["name"], Sample()))
        for one in frame["versions"]
    ]


def _sample(one: dict[str, Any]) -> Sample:
    if not one["offered"]:
        return Sample()
    text = f"sent {wording.count(one['sent'])} of {wording.count(one['offered'])}"
    return Sample(text, bool(one["wrong"]))


def figures(version: Version, control: Version) -> list[Figure]:
    """A version's line of the counters."""
    return [
        Figure(
            key=key,
            text=wording.duration(version[key]) if key in TIMES else wording.count(version[key]),
            is_time=key in TIMES,
            delta=_change(key, version, control) if key in TIMES else "",
            alarm=key in _ALARMS and bool(version[key]),
        )
        for key, _, _ in COLUMNS
    ]


def _change(key: str, version: Version, control: Version) -> str:
    """How far a version's time is from the control's; nothing while it has other orders."""
    pairs = version["pairs"] or 0
    if pairs < max(_COMPARABLE_LEAST, _COMPARABLE * control["orders"]):
        return ""
    return wording.delta(control[key], version[key])
