"""Starts the floors of ``bench.programs``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.processes import line, running
from bench.programs.floors import WORKERS
from local.ports import LOOPBACK, answers, free_ports
from local.stack import until

_FLOORS = (sys.executable, "-m", "bench.programs.floors")
_EMPTY_VIEW = "bench.programs.empty_view:application"


def skeleton_rate(url: str, orders: int) -> float:
    """Orders a second of the batched skeleton: from the first one published to the last event
    counted."""
    with ExitStack() as open_roles:
        roles = {}
        for role in ("observer", *WORKERS, "publisher"):
            roles[role] = open_roles.enter_context(running(*_FLOORS, role, url, str(orders)))
            line(roles[role])
        began, ended = (float(line(roles[role])) for role in ("publisher", "observer"))
    return orders / (ended - began)


def counted_s(url: str, queue: str, messages: int) -> tuple[float, float]:
    """Seconds on the clock and on a processor in which so many messages of a queue are counted."""
    with running(*_FLOORS, "count", url, queue, str(messages)) as counting:
        line(counting)
        clock_s, processor_s = map(float, line(counting).split())
    return clock_s, processor_s


@contextmanager
def empty_view(log: Path) -> Iterator[tuple[int, int]]:
    """The port and the process of an empty view under the site's own server, which logs each
    request as the site's does."""
    (port,) = free_ports(1)
    words = ("-m", "daphne", "-b", LOOPBACK, "-p", str(port), _EMPTY_VIEW)
    with running(sys.executable, *words, log=log) as process:
        until(lambda: answers(port), "the empty view answers")
        yield port, process.pid
