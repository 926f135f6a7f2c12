"""How a launch's time is cut into blocks. A tally is of one timing for good."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How time is cut into blocks, and when a block is complete; in seconds."""

    block_s: float = 10.0
    #: How long a version may be silent before its answer is missing or timed out.
    deadline_s: float = 30.0
    grace_s: float = 2.0
    #: How long after the later version's first answer nothing is tested yet, and with how many
    #: orders at least.
    warm_up_s: float = 60.0
    warm_up_orders: int = 200
    #: Closed blocks that can still be mended, because they are kept one by one.
    kept_blocks: int = 6

    @property
    def deadline_ms(self) -> float:
        """The deadline as a handling time."""
        return self.deadline_s * 1000

    def block_of(self, placed_at: float) -> int:
        """The number of the block of an order; seconds since 1970."""
        return math.floor(placed_at / self.block_s)

    def closed_at(self, now: float) -> int:
        """The first block that is not closed yet."""
        return math.floor((now - self.deadline_s - self.grace_s) / self.block_s)
