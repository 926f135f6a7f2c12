"""Work that must not grow out of hand with wild input."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Processor time of this thread; what is meant takes milliseconds, what is not takes minutes.
_BOUND_S = 10.0


@contextmanager
def stays_in_hand() -> Iterator[None]:
    """Fails when the block's work has grown out of hand, whatever else the machine does."""
    begun = time.thread_time()
    yield
    assert time.thread_time() - begun < _BOUND_S
