"""Made-up frames of the board, one for each word of a verdict, for tests of what draws them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from xml.etree import ElementTree

from dashboard.board.parts import render_parts
from dashboard.pages.board import COUNTERS
from restaurant.models import Launch

LAUNCH = UUID("6f1f5bbd-7f43-4b9e-9d43-1d5f7c3a8a10")
AT = 1_767_607_200.0
_KEYS = ("speed", "failures", "slow orders", "differences", "completeness", "keeping up")
_LINES = (math.log1p(0.02), 0.005, 0.01, 0.005, 0.01, 10.0)
_EDGES = [round(10 * 1.2**step, 1) for step in range(31)]


def a_launch(frame: dict[str, Any]) -> Launch:
    """The launch of a frame, as it would be stored."""
    ended_at = frame["run"]["at"] if frame["run"]["state"] == "ended" else None
    return Launch(
        id=LAUNCH,
        name="November",
        control="vlatest",
        started_at=datetime(2026, 1, 4, 23, 59, 30, tzinfo=UTC),
        ended_at=None if ended_at is None else datetime.fromtimestamp(ended_at, UTC),
    )


def part(name: str, frame: dict[str, Any], *, is_pinned: bool = False) -> ElementTree.Element:
    """A part of a frame as it is rendered."""
    html = render_parts(a_launch(frame), frame, is_pinned=is_pinned)[name]
    return ElementTree.fromstring(f"<section>{html}</section>")  # noqa: S314 - our own


def words(element: ElementTree.Element | None) -> str:
    """What somebody reads in an element; spaces that do not break are like others."""
    assert element is not None
    return " ".join("".join(element.itertext()).split())


def a_requirement(key: str, standing: str, word: str, text: str, **more: Any) -> dict[str, Any]:
    """One requirement of a frame."""
    nothing = dict.fromkeys(
        ("estimate", "lo", "hi", "bound", "passed_at", "more_orders", "since", "was", "was_at")
    )
    line = _LINES[_KEYS.index(key)]
    said = {"key": key, "standing": standing, "word": word, "text": text, "line": line}
    return {**nothing, **said, "needs": "", "orders": 3120, **more}


def _log(percent: float) -> float:
    return math.log1p(percent / 100)


_SPEED = a_requirement(
    "speed", "passed", "faster", "31 % faster (28 to 34 %)",
    estimate=_log(-31), lo=_log(-34), hi=_log(-28), since=AT - 540,
)  # fmt: skip
_FAILURES = a_requirement(
    "failures", "passed", "no worse",
    "failure rate +0.03 pp (−0.21 to 0.38)",
    estimate=0.0003, lo=-0.0021, hi=0.0038, since=AT - 300,
)  # fmt: skip
_SLOW = a_requirement(
    "slow orders", "passed", "fewer", "slow orders −4.1 pp (−4.9 to −3.2)",
    estimate=-0.041, lo=-0.049, hi=-0.032, since=AT - 420,
)  # fmt: skip
_DIFFERENCES = a_requirement(
    "differences", "passed", "no worse",
    "differences beyond noise +0.1 pp (−0.15 to 0.44)",
    estimate=0.001, lo=-0.0015, hi=0.0044, since=AT - 60,
)  # fmt: skip
_COMPLETE = a_requirement(
    "completeness", "passed", "complete", "missing results: 0.13 %",
    estimate=0.0013, lo=-0.002, hi=0.004, since=AT - 600,
)  # fmt: skip
_KEEPS_UP = a_requirement(
    "keeping up", "passed", "within limit", "lag within limit", estimate=0.4, since=AT - 600
)
_MISLEADS = {"kind": "size", "faster": "small", "slower": "huge", "opposite": True}


def _open_rates() -> list[dict[str, Any]]:
    return [
        a_requirement(
            "failures", "not yet", "inconclusive",
            "failure rate +0.12 pp (−0.42 to 0.91)",
            estimate=0.0012, lo=-0.0042, hi=0.0091, more_orders=1400,
            needs="about 1,400 more orders",
        ),
        _SLOW,
        a_requirement(
            "differences", "not yet", "inconclusive",
            "differences beyond noise +0.81 pp (−0.3 to 2.4)",
            estimate=0.0081, lo=-0.003, hi=0.024,
            needs="the estimate is over the limit, more orders help only if it falls",
            was="no worse", was_at=AT - 420,
        ),
    ]  # fmt: skip


def a_verdict(word: str) -> dict[str, Any]:
    """A frame's verdict with this word."""
    rows = {
        "ready": [_SPEED, _FAILURES, _SLOW, _DIFFERENCES, _COMPLETE, _KEEPS_UP],
        "not yet": [_SPEED, *_open_rates(), _COMPLETE, _KEEPS_UP],
        "worse": [_SPEED, _worse_failures(), _SLOW, _DIFFERENCES, _COMPLETE, _KEEPS_UP],
        "withheld": [_not_comparable(row) for row in (_SPEED, _FAILURES, _SLOW, _DIFFERENCES)]
        + [_incomplete(), _KEEPS_UP],
    }[word]
    sentence, warnings, contrasts = _SAID[word]
    return {
        "version": "vnext", "build": "git:1a2b3c", "control_build": "git:9f8e7d", "since": 0.0,
        "word": word, "sentence": sentence, "reasons": [],
        "warnings": warnings, "contrasts": contrasts, "requirements": rows,
        "pairs": 3120, "blocks": 88, "orders": 3160,
        "more_orders": 1400 if word == "not yet" else None,
        "total_time": [0.68, 0.745], "faster_share": [0.91, 0.943],
        "lag_s": 42.0, "block_s": 10.0, "block_why": "3 orders a second",
        "late": 12 if word == "withheld" else 0,
        "lost": 3 if word == "withheld" else 0, "bad": 0,
    }  # fmt: skip


def _worse_failures() -> dict[str, Any]:
    text = "failure rate +1.9 pp (1.2 to 2.7)"
    return a_requirement(
        "failures", "failed", "worse", text, estimate=0.019, lo=0.012, hi=0.027, since=AT - 30
    )


def _incomplete() -> dict[str, Any]:
    text = "missing results: 4.8 %"
    return a_requirement("completeness", "failed", "incomplete", text, estimate=0.048)


def _not_comparable(row: dict[str, Any]) -> dict[str, Any]:
    was = {"was": row["word"], "was_at": row["since"], "since": None}
    return {**row, **was, "standing": "not yet", "word": "not comparable"}


_SEGMENTS = (
    "size small: 35 % faster (31 to 39 %), but size huge: 20 % slower (11 to 30 %)",
    "speed: results are correlated over time (0.31 between neighbouring blocks of 10 s)",
)
_SAID: dict[str, tuple[str, list[str], list[dict[str, Any]]]] = {
    "ready": (
        (
            "vnext is READY: 31 % faster (28 to 34 %), fails no more often, slow orders −4.1 pp"
            " (−4.9 to −3.2), differs no more than noise, 2 accepted discrepancies."
        ),
        list(_SEGMENTS[:1]),
        [_MISLEADS],
    ),
    "not yet": (
        (
            "NOT YET: 4 of 6 requirements met, differences beyond noise +0.81 pp (−0.3 to 2.4):"
            " the estimate is over the limit, more orders help only if it falls."
        ),
        list(_SEGMENTS),
        [_MISLEADS],
    ),
    "worse": (
        "WORSE: vnext: failure rate +1.9 pp (1.2 to 2.7). Roll back?",
        ["faster, but it fails more often: speed excludes failed orders"],
        [],
    ),
    "withheld": ("WITHHELD: 4.8 % of results are missing (at most 1 %).", [], []),
}


def _series() -> dict[str, Any]:
    times = [AT - 880 + 10 * step for step in range(89)]
    width = [0.05 + 2.4 / (1 + step) for step in range(89)]
    middle = [_log(-31) + 0.12 * math.sin(step / 9) / (1 + step / 10) for step in range(89)]
    ends = [_shares(shift) for shift in (16.0, 14.0)]
    return {
        "history": {
            "t": times,
            "orders": [36 * step for step in range(89)],
            "estimate": middle,
            "lo": [None if one > 0.4 else at - one for at, one in zip(middle, width, strict=True)],
            "hi": [None if one > 0.4 else at + one for at, one in zip(middle, width, strict=True)],
        },
        "line": _LINES[0],
        "ladder": _ladder(),
        "distribution": {"edges": _EDGES, "control": ends[0], "version": ends[1]},
        "segments": _segments(),
        "contrasts": [_MISLEADS],
    }


def _ladder() -> list[dict[str, Any]]:
    steps = [
        (0.1, 61, 55), (0.25, 88, 70), (0.5, 212, 148), (0.75, 290, 190), (0.9, 402, 301),
        (0.95, 480, 390), (0.99, 810, 890),
    ]  # fmt: skip
    return [
        {
            "share": share,
            "control": control,
            "version": version,
            "change": version / control - 1,
            "lo": version / control - 1.02 - share / 20,
            "hi": version / control - 0.98 + share / 20 if share > 0.1 else None,
        }
        for share, control, version in steps
    ]


def _shares(middle: float) -> list[float]:
    heights = [math.exp(-(((step - middle) / 4) ** 2)) for step in range(30)]
    return [round(height / sum(heights), 4) for height in heights]


def _segments() -> list[dict[str, Any]]:
    found = [
        ("size", "small", 1400, -35, -39, -31), ("size", "medium", 1100, -30, -34, -26),
        ("size", "large", 430, -12, -19, -4), ("size", "huge", 190, 20, 11, 30),
        ("item", "burger", 1240, -31, -35, -27), ("item", "fries", 980, -33, -37, -28),
        ("item", "veggie-burger", 210, -29, -41, -15), ("hour", "09", 900, -31, -35, -26),
        ("hour", "10", 2200, -31, -34, -28),
    ]  # fmt: skip
    return [
        {"kind": kind, "name": name, "orders": orders, "estimate": _log(at), "lo": _log(lo),
         "hi": _log(hi)}
        for kind, name, orders, at, lo, hi in found
    ]  # fmt: skip


def _version(name: str, role: str, p50: float) -> dict[str, Any]:
    numbers = dict.fromkeys(COUNTERS, 0)
    control = role == "control"
    known = {"orders": 3300, "handled": 3284, "failed": 4, "waiting": 12}
    pairs = {"pairs": None if control else 3280}
    times = {
        "p50": p50,
        "p95": 2.2 * p50,
        "p99": 3.6 * p50,
    }
    percent = None if control else 100.0
    build = "2026-01-05 9c1f2ab"
    return {"name": name, "role": role, "build": build, "percent": percent, **numbers, **known,
            **pairs, **times}  # fmt: skip


#: Why no more orders come, by a short name.
RUNS: dict[str, dict[str, Any]] = {
    "running": {"state": "running", "at": None, "final_at": None},
    "stopped": {"state": "stopped", "at": AT, "final_at": None},
    "ended": {"state": "ended", "at": AT, "final_at": None},
    "final": {"state": "ended", "at": AT, "final_at": AT + 40},
}


def a_frame(word: str | None, run: str = "running") -> dict[str, Any]:
    """A whole frame whose verdict has this word; None for a frame without a verdict."""
    versions = [
        _version("vlatest", "control", 212.0),
        _version("vnext", "candidate", 148.0),
        _version("vlatest-b", "baseline", 214.0),
    ]
    times = [AT - 300 + 2 * step for step in range(150)]
    lines = {"handled": [20.0] * 150, "p50": [200.0] * 150, "p95": [400.0] * 150,
             "p99": [700.0] * 150}  # fmt: skip
    drawn = {version["name"]: lines for version in versions}
    return {
        "type": "board", "launch": str(LAUNCH), "filter": "all", "version": "vnext", "at": AT,
        "feed": {"newest_at": AT, "age_s": 0.2, "state": "fresh", "backlog": 0, "unsent": 0,
                 "behind": 12, "oldest_s": 0.3, "dead_letters": 0, "dead_reasons": [],
                 "again": 0, "problems": 0, "again_reasons": []},
        "orders": 3300, "rate": 20.0, "versions": versions, "rows": [],
        "run": RUNS[run], "words": {}, "guards": [],
        "samples": [
            {"version": "vnext", "offered": 3300, "sent": 3300, "wrong": None},
            {"version": "vlatest-b", "offered": 3300, "sent": 640, "wrong": None},
        ],
        "looked_at": None, "matrix": {"agree": 3210, "differ": 66, "handled/failed": 4},
        "against": 66, "discrepancies": [], "newest": [],
        "kinds": {"counting": 0, "carried": 0, "decided": 0},
        "open": 2, "verdict": a_verdict(word) if word else None,
        "series": {"t": times, "versions": drawn, "marks": [],
                   "verdict": _series() if word else None},
    }  # fmt: skip
