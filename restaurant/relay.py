"""The relay: one process that posts letters and takes the control's answers, until told to stop."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from kitchen_worker.contract.broker import keep_connected
from kitchen_worker.contract.health import Health, serve_health
from kitchen_worker.contract.shutdown import Shutdown, shutdown_on_signals
from kitchen_worker.contract.topology import ANSWERS_QUEUE, Limits
from kitchen_worker.contract.wire import Broker
from restaurant import answers
from restaurant.outbox import Outbox

logger = logging.getLogger(__name__)


async def run(
    *, amqp_url: str, limits: Limits, health_port: int = 0, health_host: str = "127.0.0.1"
) -> None:
    """Relay until SIGTERM or SIGINT."""
    health = Health()
    probes = serve_health(health_port, health, host=health_host)
    async with shutdown_on_signals() as shutdown, probes:
        await keep_connected(
            url=amqp_url,
            name="relay",
            shutdown=shutdown,
            session=partial(session, limits=limits, shutdown=shutdown, health=health),
            on_state=health.set_connected,
        )
    logger.info("the relay has stopped", extra={"action": "stopped"})


async def session(broker: Broker, *, limits: Limits, shutdown: Shutdown, health: Health) -> None:
    """Post and take over one session, side by side; what fails in one ends both."""
    outbox = Outbox(limits, on_attempt=health.beat)
    await outbox.prepare(broker)
    async with asyncio.TaskGroup() as loops:
        loops.create_task(_post(broker, outbox, shutdown))
        loops.create_task(_take(broker, shutdown, health))


async def _post(broker: Broker, outbox: Outbox, shutdown: Shutdown) -> None:
    while not shutdown.requested:
        if pause_s := await outbox.step(broker):
            await shutdown.wait(pause_s)


async def _take(broker: Broker, shutdown: Shutdown, health: Health) -> None:
    deliveries = await broker.consume(ANSWERS_QUEUE, prefetch=answers.PREFETCH)
    while not shutdown.requested:
        await answers.step(broker, deliveries, on_attempt=health.beat)
    await deliveries.cancel()
    while await answers.step(broker, deliveries, wait_s=0, on_attempt=health.beat):
        pass
