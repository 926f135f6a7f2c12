"""``manage.py observe``: the observer process."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from dashboard.observer import Observer
from kitchen_worker.amqp.connection import keep_connected
from kitchen_worker.amqp.health import Health, serve_health
from kitchen_worker.amqp.process import run_process
from kitchen_worker.amqp.shutdown import shutdown_on_signals

#: The thread that records lets go of the interpreter at each statement; the one that receives is to
#: give it back sooner than after Python's five milliseconds.
_SWITCH_S = 0.0005


class Command(BaseCommand):
    """Observes until SIGTERM or SIGINT."""

    help = "Record what every version does with every order, and announce it to the boards."

    def handle(self, *args: Any, **options: Any) -> None:
        sys.setswitchinterval(_SWITCH_S)
        run_process(_observe())


async def _observe() -> None:
    environment = settings.ENVIRONMENT
    health = Health()
    probes = serve_health(environment.health_port, health, host=environment.health_host)
    async with shutdown_on_signals() as shutdown, probes:
        observer = Observer(
            types=environment.queue_types,
            deadline=timedelta(seconds=environment.deadline_s),
            shutdown=shutdown,
            health=health,
        )
        await keep_connected(
            url=environment.amqp_url,
            name="observer",
            shutdown=shutdown,
            session=observer.session,
            on_state=health.set_connected,
        )
