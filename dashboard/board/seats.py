"""Where a socket stands: which frames are under way to it, and how many may be.

One that acknowledges promptly is sent a few frames ahead, and asked to acknowledge only each fifth:
to hear a board costs more than to send to it. To one that does not, one frame at a time is under
way.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from dashboard.board.views import View

#: An acknowledgement within this time is prompt.
PROMPT_S = 0.5
#: Frames under way at most to a socket that keeps up, and how often it acknowledges.
AHEAD = 10
AHEAD_EVERY = 5


@dataclass
class Seat:
    """What one socket was sent, and has not acknowledged."""

    #: What it wished to look at since the last tick.
    wish: View | None = None
    #: When it began to look at what it looks at.
    looks_since: float = 0.0
    newest_sent: int = 0
    #: When the charts were worked out that it has.
    series_at: float = 0.0
    #: It is to acknowledge each so many frames.
    every: int = 1
    _under_way: deque[tuple[int, float]] = field(default_factory=deque)

    @property
    def has_room(self) -> bool:
        """Whether it may be sent a frame."""
        return len(self._under_way) < (1 if self.every == 1 else AHEAD)

    def waited_s(self, now: float) -> float:
        """How long it has acknowledged nothing of what it was sent."""
        return now - self._under_way[0][1] if self._under_way else 0.0

    def send(self, number: int, now: float) -> None:
        """A frame is under way to it."""
        self.newest_sent = number
        self._under_way.append((number, now))

    def acknowledge(self, number: int, now: float) -> bool:
        """It has painted this frame, and with it all before; says whether its pace has changed.

        Numbers that it was not sent change nothing.
        """
        sent_at = next((at for sent, at in self._under_way if sent == number), None)
        if sent_at is None:
            return False
        while self._under_way and self._under_way[0][0] <= number:
            self._under_way.popleft()
        before, self.every = self.every, AHEAD_EVERY if now - sent_at <= PROMPT_S else 1
        return self.every != before
