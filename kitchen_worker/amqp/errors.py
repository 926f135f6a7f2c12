"""Maps the AMQP libraries' errors for a lost broker to BrokerLost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiormq.exceptions import AMQPError

from kitchen_worker.amqp.broker import BrokerLost

#: Timeouts and refused connections are OSErrors, a closed channel is a RuntimeError.
LOST = (AMQPError, OSError, RuntimeError)


@contextmanager
def as_broker_lost() -> Iterator[None]:
    """Raise BrokerLost instead of the libraries' own errors."""
    try:
        yield
    except asyncio.CancelledError:
        # aiormq cancels calls that wait for a reply when their connection ends.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise BrokerLost("the connection ended before the broker answered") from None
    except LOST as cause:
        raise BrokerLost(f"{type(cause).__name__}: {cause}") from cause
