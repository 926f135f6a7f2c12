"""Kitchens whose cooking is a sleep: the control's, and dark ones that leave no trace."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

from bench.crashes import started_again
from bench.priority import lower
from bench.queues import emptied
from bench.rig import CONTROL
from kitchen_worker.contract.topology import kitchen_queue
from local.stack import Stack, until

#: Orders that a kitchen cooks at once.
AT_ONCE = 5
#: The candidate whose process ends with every order; each candidate cooks as bench/cooks.py says.
CRASHING = "crashing"
#: What a kitchen logs once it takes orders.
_OPENED = "takes orders from"


class Sleepers:
    """Starts them, and waits until they take orders."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._started: set[str] = set()

    def open_control(self) -> None:
        """Let the control cook from now on."""
        self._open(CONTROL, "good")

    @contextmanager
    def dark(self, candidate: str) -> Iterator[None]:
        """A candidate's kitchen for the time of the block; nothing is left of its queue then."""
        self._open(candidate, candidate)
        lower(self._stack.pids()[candidate])
        crashes = started_again(self._stack, candidate, partial(self._start_again, candidate))
        try:
            with crashes if candidate == CRASHING else nullcontext():
                yield
        finally:
            self._stack.stop(candidate, with_signal=signal.SIGKILL)
            emptied(self._stack.amqp_url, kitchen_queue(candidate))

    def _open(self, version: str, cook: str) -> None:
        before = self._stack.log(version).count(_OPENED) if version in self._started else 0
        self._start(version, cook)
        until(lambda: self._stack.log(version).count(_OPENED) > before, f"{version} takes orders")

    def _start(self, version: str, cook: str) -> None:
        words = ("--kitchen", f"bench.cooks:{cook}", "--concurrency", str(AT_ONCE))
        self._started.add(version)
        self._stack.start(version, options=words)

    def _start_again(self, candidate: str) -> None:
        self._start(candidate, candidate)
        lower(self._stack.pids()[candidate])
