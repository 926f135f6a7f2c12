"""The command of one kitchen process: ``python -m kitchen_worker``."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from kitchen_worker.amqp.connection import keep_connected
from kitchen_worker.amqp.health import Health, serve_health
from kitchen_worker.amqp.process import run_process
from kitchen_worker.amqp.shutdown import shutdown_on_signals
from kitchen_worker.config import ConfigError, WorkerConfig
from kitchen_worker.handling import Kitchen, kitchen_of
from kitchen_worker.watchdog import end_soon, watchdog
from kitchen_worker.worker import CannotWork, Worker

logger = logging.getLogger("kitchen_worker")


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a kitchen until it is asked to stop; returns the exit status."""
    try:
        config = WorkerConfig.read(argv, environ)
        kitchen = kitchen_of(config)
    except ConfigError as wrong:
        print(f"kitchen_worker: {wrong}", file=sys.stderr)
        return 2
    _log_in_lines(config.log_level)
    return run_process(_run(config, kitchen))


async def _run(config: WorkerConfig, kitchen: Kitchen) -> int:
    health = Health()
    probes = serve_health(config.health_port, health, host=config.health_host)
    watching = watchdog(config.order_timeout_seconds, health)
    async with shutdown_on_signals() as shutdown, probes, watching:
        worker = Worker(config=config, kitchen=kitchen, shutdown=shutdown, health=health)
        logger.info("%s started as %s", config.version, config.role, extra={"action": "opened"})
        status = 0
        try:
            await keep_connected(
                url=config.amqp_url,
                name=f"kitchen {config.version}",
                shutdown=shutdown,
                session=worker.session,
                on_state=partial(_note_state, health),
            )
        except CannotWork as cause:
            logger.critical("%s; exiting", cause, extra={"action": "cannot_work"})
            status = 1
    logger.info("%s stopped", config.version, extra={"action": "closed"})
    end_soon(status)
    return status


def _note_state(health: Health, connected: bool) -> None:
    """Without a broker it isn't ready; with one, the worker says when it is."""
    if connected:
        health.beat()
    else:
        health.set_connected(False)


def _log_in_lines(level: str) -> None:
    logging.basicConfig(level=level, format="%(levelname)s %(message)s")
    # keep_connected logs a lost connection once; the libraries log every channel with a traceback.
    for name in ("aiormq", "aio_pika"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))  # where my_kitchen.py may be
    sys.exit(main(sys.argv[1:], os.environ))
