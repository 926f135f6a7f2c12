"""How many messages wait in the queues of a launch, as the broker says when it is asked."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kitchen_worker.amqp.broker import Broker, BrokerError
from kitchen_worker.amqp.connection import connect
from kitchen_worker.contract import topology

logger = logging.getLogger(__name__)

#: How long an answer is waited for where somebody waits with us.
_PATIENCE_S = 5.0
#: Queue lengths that are older than this are not known any more.
FRESH_S = 5.0


@dataclass(frozen=True, slots=True)
class Backlogs:
    """Messages that wait, by queue, and when the broker was asked."""

    read_at: float
    by_queue: Mapping[str, int]

    @property
    def fresh(self) -> Mapping[str, int] | None:
        """The lengths; None once they are too old to say anything of now."""
        return self.by_queue if time.monotonic() - self.read_at <= FRESH_S else None


async def read_depths(broker: Broker, versions: Iterable[str]) -> dict[str, int]:
    """Messages that wait for the observer and for each version, by queue; a queue that is not
    there is left out."""
    depths: dict[str, int] = {}
    for queue in (topology.OBSERVER_QUEUE, *map(topology.kitchen_queue, versions)):
        try:
            if await broker.has_queue(queue):
                depths[queue] = await broker.depth(queue)
        except BrokerError:
            logger.debug("no depth of %s", queue)
    return depths


def ask_for_depths(url: str, versions: Iterable[str]) -> dict[str, int] | None:
    """The same from a process that has no broker; None if none answers in time."""
    try:
        return asyncio.run(_ask(url, list(versions)))
    except (TimeoutError, BrokerError, OSError):
        return None
    except BaseExceptionGroup as several:
        if several.split((TimeoutError, BrokerError, OSError))[1] is not None:
            raise
        return None


async def _ask(url: str, versions: list[str]) -> dict[str, int]:
    async with asyncio.timeout(_PATIENCE_S), connect(url, "verdict") as broker:
        return await read_depths(broker, versions)
