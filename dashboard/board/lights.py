"""The evidence lights: whether the board's numbers can be believed just now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from dashboard.board import wording

#: Seconds of orders that may be under way anywhere before a light says so.
_SLACK_S = 2.0
_SLACK_LEAST = 20
#: How long an order may wait before a light says so.
_OLD_S = 10.0
#: Letters and waiting orders are counted up to here.
_COUNTED = 1000


class Shine(StrEnum):
    """How a light looks; each has a shape of its own."""

    GOOD = "good"
    IDLE = "idle"
    DOUBT = "doubt"
    BAD = "bad"


_FEED = {"fresh": Shine.GOOD, "idle": Shine.IDLE, "stale": Shine.BAD}
_FEED_WORDS = {"fresh": "live", "idle": "idle", "stale": "stale"}


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
            label=f"events: {_FEED_WORDS[feed['state']]}, last",
            text="none yet" if feed["age_s"] is None else f"{wording.age(feed['age_s'])} ago",
            shine=_FEED[feed["state"]],
        ),
        _waits(feed["behind"], feed["oldest_s"], slack),
        _queue("backlog", "observer backlog", feed["backlog"], slack),
        _queue("unsent", "outbox pending", feed["unsent"], slack, most=_COUNTED),
        Light(
            key="dead",
            label="dead letters",
            text=wording.count(dead),
            shine=Shine.DOUBT if dead else Shine.GOOD,
        ),
        _again(feed["again"], feed["problems"]),
    ]


def _waits(orders: int, oldest_s: float | None, slack: float) -> Light:
    """What was ordered and is not known to have ended, wherever it waits."""
    light = _queue("behind", "queued orders", orders, slack, most=_COUNTED)
    if oldest_s is None or oldest_s < _SLACK_S:
        return light
    shine = Shine.DOUBT if oldest_s > _OLD_S else light.shine
    return replace(light, label=f"queued orders, oldest {wording.age(oldest_s)}", shine=shine)


def _again(again: int, problems: int) -> Light:
    """Orders that the live kitchen was sent again, and queues that are not as they should be."""
    beside = f", {problems} queue{'s' * (problems > 1)} refused" if problems else ""
    return Light(
        key="again",
        label=f"sent again{beside}",
        text=f"{wording.count(_COUNTED)}+" if again > _COUNTED else wording.count(again),
        shine=Shine.BAD if problems else Shine.DOUBT if again else Shine.GOOD,
    )


def _queue(
    key: str, label: str, length: int | None, slack: float, *, most: int | None = None
) -> Light:
    """How much waits; ``most``: beyond this it was not counted."""
    if length is None:
        return Light(key=key, label=label, text=wording.NONE, shine=Shine.IDLE)
    beyond = most is not None and length > most
    text = f"{wording.count(most)}+" if beyond else wording.count(length)
    return Light(
        key=key, label=label, text=text, shine=Shine.GOOD if length <= slack else Shine.DOUBT
    )
