"""The evidence lights: whether the board's numbers can be believed just now."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dashboard.board import wording

#: Seconds of orders that may be under way anywhere before a light says so.
_SLACK_S = 2.0
_SLACK_LEAST = 20


class Shine(StrEnum):
    """How a light looks; each has a shape of its own."""

    GOOD = "good"
    IDLE = "idle"
    DOUBT = "doubt"
    BAD = "bad"


_FEED = {"fresh": Shine.GOOD, "idle": Shine.IDLE, "stale": Shine.BAD}


@dataclass(frozen=True, kw_only=True)
class Light:
    """One light: its key in the page, its name, the number beside it."""

    key: str
    label: str
    text: str
    shine: Shine


def lights(frame: dict[str, Any]) -> list[Light]:
    """The lights of a frame."""
    feed = frame["feed"]
    slack = max(_SLACK_LEAST, frame["rate"] * _SLACK_S)
    dead = feed["dead_letters"]
    return [
        Light(
            key="feed",
            label=f"feed {feed['state']}, newest event",
            text="none yet" if feed["age_s"] is None else f"{wording.age(feed['age_s'])} ago",
            shine=_FEED[feed["state"]],
        ),
        _queue("backlog", "events to record", feed["backlog"], slack),
        _queue("unsent", "letters unsent", feed["unsent"], slack),
        Light(
            key="dead",
            label="dead letters",
            text=wording.count(dead),
            shine=Shine.DOUBT if dead else Shine.GOOD,
        ),
    ]


def _queue(key: str, label: str, length: int | None, slack: float) -> Light:
    if length is None:
        return Light(key=key, label=label, text=wording.NONE, shine=Shine.IDLE)
    shine = Shine.GOOD if length <= slack else Shine.DOUBT
    return Light(key=key, label=label, text=wording.count(length), shine=shine)
