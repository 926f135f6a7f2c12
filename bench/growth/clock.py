"""A time and a chance of ours for the product's own code, while it records what is copied later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from unittest.mock import patch

from bench.growth.names import name_of

_CLOCKS = (
    "kitchen_worker.contract.messages.utc_now",
    "restaurant.answers.utc_now",
    "restaurant.launches.utc_now",
    "restaurant.outbox.utc_now",
    "dashboard.reviewing.reviews.utc_now",
)


@contextmanager
def it_is(moment: datetime) -> Iterator[None]:
    """Let it be this moment in all that is written down."""
    with ExitStack() as stack:
        for clock in _CLOCKS:
            stack.enter_context(patch(clock, lambda: moment))
        yield


@contextmanager
def named_from(seed: int, number: int) -> Iterator[None]:
    """Let what is made get the seed's names, from this number on."""
    names = (name_of(seed, of).bytes for of in range(number, 2**62))
    with patch("os.urandom", lambda _: next(names)):
        yield
