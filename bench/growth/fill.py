"""``python -m bench.growth.fill 10000``: grows orders in the empty database of DATABASE_URL.

Two more say how many orders the product itself records, to be copied, and in how many seconds.
"""

from __future__ import annotations

import importlib
import os
import sys
import time

import django
from django.core.management import call_command

from bench.growth.names import Period
from local.settings import environment

SEED = 7
#: How often it says how far it is, in seconds.
_SAY_EVERY_S = 5.0


def fill(orders: int, period: Period, seed: int = SEED) -> int:
    """Make the tables and fill them; says how many orders there are then."""
    django.setup()
    call_command("migrate", verbosity=0)
    # What imports the product's tables can be imported from here on.
    growing = importlib.import_module("bench.growth.growing")
    grown: int = growing.grow(orders, seed=seed, period=period, say=_Progress())
    return grown


class _Progress:
    """Says what is done when it begins, and how far it is now and then."""

    def __init__(self) -> None:
        self._began = self._said_at = time.monotonic()
        self._said = ""

    def __call__(self, what: str, share: float) -> None:
        now = time.monotonic()
        if what == self._said and share < 1 and now - self._said_at < _SAY_EVERY_S:
            return
        self._said, self._said_at = what, now
        how_far = f" {share:.0%}" if share else ""
        print(f"{now - self._began:6.0f} s  {what}{how_far}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    os.environ.update(environment(os.environ))
    orders, *period = map(int, sys.argv[1:])
    fill(orders, Period(*period))
