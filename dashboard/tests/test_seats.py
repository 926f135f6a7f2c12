"""A socket's seat: how many frames are under way to it, by how promptly it acknowledges."""

from __future__ import annotations

import pytest

from dashboard.board.seats import AHEAD, AHEAD_EVERY, PROMPT_S, Seat


def _sent(seat: Seat, *numbers: int, now: float) -> Seat:
    for number in numbers:
        seat.send(number, now)
    return seat


def test_a_newcomer_is_sent_one_frame() -> None:
    assert Seat().has_room
    assert not _sent(Seat(), 1, now=0.0).has_room


@pytest.mark.parametrize(
    ("delay_s", "every", "room"), [(0.01, AHEAD_EVERY, AHEAD), (2 * PROMPT_S, 1, 1)]
)
def test_room_is_as_prompt_as_the_acknowledgement(delay_s: float, every: int, room: int) -> None:
    seat = _sent(Seat(), 1, now=10.0)
    assert seat.acknowledge(1, 10.0 + delay_s) is (every != 1)
    assert seat.every == every
    for number in range(room):
        assert seat.has_room
        seat.send(2 + number, 11.0)
    assert not seat.has_room


def test_one_that_falls_behind_gets_one_frame_at_a_time_again() -> None:
    seat = _sent(Seat(every=AHEAD_EVERY), 1, 2, 3, 4, now=0.0)
    assert seat.acknowledge(3, 5.0)
    assert seat.every == 1
    assert not seat.has_room
    assert not seat.acknowledge(4, 5.0)
    assert seat.has_room


def test_an_acknowledgement_is_also_of_all_frames_before() -> None:
    seat = _sent(Seat(every=AHEAD_EVERY), 3, 4, 7, now=0.0)
    seat.acknowledge(4, 0.1)
    assert seat.waited_s(0.2) == 0.2
    seat.acknowledge(7, 0.2)
    assert seat.waited_s(9.0) == 0.0


@pytest.mark.parametrize("number", [-1, 0, 5, 99])
def test_a_number_that_was_not_sent_changes_nothing(number: int) -> None:
    seat = _sent(Seat(), 4, now=0.0)
    assert not seat.acknowledge(number, 0.1)
    assert not seat.has_room
    assert seat.waited_s(3.0) == 3.0
