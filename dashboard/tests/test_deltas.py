"""Frames as deltas: whichever of them a client is sent, it knows what the newest whole one says."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dashboard.board.views import Frame, compose

ROWS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2), max_size=6)
STATES = st.fixed_dictionaries(
    {
        "rows": ROWS.map(lambda rows: [{"id": key, "ms": ms} for key, ms in rows.items()]),
        "parts": st.fixed_dictionaries({"verdict": st.sampled_from(["<p>é</p>", '"', ""])}),
        "series": st.sampled_from([[1], [2]]),
        "orders": st.integers(0, 9),
    }
)
#: States, and whether the client is sent the frame.
HISTORIES = st.lists(st.tuples(STATES, st.booleans()), min_size=1)


class Client:
    """A page that applies what it is sent, as ``static/js/board/socket.js`` does."""

    def __init__(self) -> None:
        self.sent = 0
        self.state: dict[str, Any] = {"rows": {}, "parts": {}, "series": None}

    def take(self, frame: Frame) -> None:
        delta = json.loads(frame.text(self.sent))
        assert delta.pop("since") == self.sent
        self.sent = delta["n"]
        known = self.state["rows"] | {row["id"]: row for row in delta.pop("rows")}
        rows = {key: known[key] for key in delta["ids"]}
        parts = self.state["parts"] | delta.pop("parts")
        series = delta.pop("series", self.state["series"])
        self.state = {**delta, "rows": rows, "parts": parts, "series": series}


def frames_of(history: list[tuple[dict[str, Any], bool]]) -> list[Frame]:
    frames: list[Frame] = []
    for number, (state, _) in enumerate(history, start=7):
        ids = [row["id"] for row in state["rows"]]
        before = frames[-1] if frames else None
        frames.append(compose({**state, "ids": ids}, before, number=number))
    return frames


@given(HISTORIES)
def test_a_client_that_was_sent_some_frames_knows_the_newest_of_them(
    history: list[tuple[dict[str, Any], bool]],
) -> None:
    client = Client()
    for frame, (_, is_sent) in zip(frames_of(history), history, strict=True):
        if is_sent:
            client.take(frame)
            fresh = Client()
            fresh.take(frame)
            assert client.state == fresh.state


@given(HISTORIES)
def test_a_row_that_is_as_it_was_in_the_frame_before_is_not_sent_again(
    history: list[tuple[dict[str, Any], bool]],
) -> None:
    frames = frames_of(history)
    for before, after in pairwise(frames):
        delta = json.loads(after.text(before.number))
        were = json.loads(before.text(0))["rows"]
        assert not [row for row in delta["rows"] if row in were]


def test_a_text_is_encoded_once_for_all_that_were_sent_the_same_frame() -> None:
    state = {"ids": ["a"], "rows": [{"id": "a"}], "parts": {}, "series": []}
    frame = compose(state, None, number=3)
    assert frame.text(0) is frame.text(0)
    assert json.loads(frame.text(3))["rows"] == []
