"""The evidence lights at the first paint."""

from __future__ import annotations

from dashboard.board.lights import Shine, lights


def test_a_queue_that_only_the_socket_knows_is_a_quiet_dash() -> None:
    feed = {"state": "idle", "age_s": None, "backlog": None, "unsent": 0, "dead_letters": 0}

    backlog = next(one for one in lights({"feed": feed, "rate": 0.0}) if one.key == "backlog")

    assert (backlog.text, backlog.shine) == ("–", Shine.IDLE)
