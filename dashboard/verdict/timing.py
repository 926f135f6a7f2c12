"""How a launch's time is cut into blocks. A tally is of one timing for good.

Orders are gathered in base blocks. What is tested are blocks of one base block or several, chosen
once at the end of the warm-up from how many orders came: a block should hold some, and be as long
as a slow spell of a host may last, and a launch with few orders can afford longer ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Where the length of blocks may be chosen: the time of so many orders, within these bounds. In
#: simulations slow spells of one host of 20 s are harmless to blocks of 10 s, and fool blocks of
#: 2 s in one launch of seven.
ORDERS_A_BLOCK = 25
LEAST_BLOCK_S = 10.0
LONGEST_BLOCK_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How time is cut into blocks, and when a block is complete; in seconds."""

    #: Of a base block.
    block_s: float = 10.0
    #: Up to which length base blocks may be joined; 0 where ``block_s`` was asked for.
    longest_s: float = 0.0
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

    def joined(self, orders: int, blocks: int) -> int:
        """How many base blocks to join, when as many orders came in as many base blocks."""
        most = math.floor(self.longest_s / self.block_s)
        return min(math.ceil(ORDERS_A_BLOCK * blocks / orders), most) if most > 1 else 1
