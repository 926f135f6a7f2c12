"""The evidence lights at the first paint."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.board.lights import Light, Shine, lights

SPACE = "\N{NO-BREAK SPACE}"


def shown(key: str, **feed: Any) -> Light:
    idle = {"state": "idle", "age_s": None, "backlog": None, "unsent": 0, "dead_letters": 0}
    none = {"behind": 0, "oldest_s": None, "again": 0, "problems": 0}
    frame = {"feed": {**idle, **none, **feed}, "rate": 0.0}
    return next(one for one in lights(frame) if one.key == key)


def test_a_queue_that_only_the_socket_knows_is_a_quiet_dash() -> None:
    backlog = shown("backlog")
    assert (backlog.text, backlog.shine) == ("–", Shine.IDLE)


@pytest.mark.parametrize(
    ("orders", "oldest_s", "text", "label", "shine"),
    [
        (0, None, "0", "queued orders", Shine.GOOD),
        (12, 0.3, "12", "queued orders", Shine.GOOD),
        (12, 4.2, "12", f"queued orders, oldest 4.2{SPACE}s", Shine.GOOD),
        (21, 4.2, "21", f"queued orders, oldest 4.2{SPACE}s", Shine.DOUBT),
        (1, 42.0, "1", f"queued orders, oldest 42{SPACE}s", Shine.DOUBT),
        (1001, 90.0, "1,000+", f"queued orders, oldest 1{SPACE}min", Shine.DOUBT),
    ],
)
def test_orders_that_wait_are_counted_and_the_oldest_has_its_age(
    orders: int, oldest_s: float | None, text: str, label: str, shine: Shine
) -> None:
    light = shown("behind", behind=orders, oldest_s=oldest_s)
    assert (light.text, light.label, light.shine) == (text, label, shine)


@pytest.mark.parametrize(
    ("again", "problems", "text", "label", "shine"),
    [
        (0, 0, "0", "sent again", Shine.GOOD),
        (3, 0, "3", "sent again", Shine.DOUBT),
        (1001, 1, "1,000+", "sent again, 1 queue refused", Shine.BAD),
        (0, 2, "0", "sent again, 2 queues refused", Shine.BAD),
    ],
)
def test_what_the_relay_had_to_put_right_is_counted(
    again: int, problems: int, text: str, label: str, shine: Shine
) -> None:
    light = shown("again", again=again, problems=problems)
    assert (light.text, light.label, light.shine) == (text, label, shine)
