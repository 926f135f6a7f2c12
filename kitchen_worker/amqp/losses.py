"""Every way in which the library says that the broker is gone, as one error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from kitchen_worker.amqp.broker import BrokerLost

LOST = (AMQPError, ChannelInvalidStateError, ConnectionError, OSError, RuntimeError, TimeoutError)


@contextmanager
def loss_as_broker_lost() -> Iterator[None]:
    """Turn what the library raises when the broker is gone into BrokerLost."""
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise BrokerLost("the broker fell silent") from None
    except LOST as cause:
        raise BrokerLost(f"{type(cause).__name__}: {cause}") from cause
