"""``manage.py observe``: the observer process."""

from __future__ import annotations

import argparse
import math
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard.ingest.observer import Observer
from dashboard.ingest.recorder import Recording
from dashboard.ingest.stream import Describer
from kitchen_worker.amqp.connection import keep_connected
from kitchen_worker.amqp.health import Health, serve_health
from kitchen_worker.amqp.process import run_process
from kitchen_worker.amqp.shutdown import shutdown_on_signals
from restaurant.checks import check_description
from restaurant.description import DescriptionFunction

#: The recording thread releases the interpreter at each statement; the receiving one should give it
#: back sooner than after Python's default of 5 ms.
_SWITCH_S = 0.0005


class Command(BaseCommand):
    help = "Record what every version does with every order, and announce it to the boards."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--record",
            type=Path,
            metavar="FILE",
            help="append all that is folded to this file, for `manage.py rebuild`",
        )
        parser.add_argument(
            "--record-at-most",
            type=_gigabytes,
            default=100.0,
            metavar="GB",
            help="record no more once the file has so many gigabytes (100)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if problems := check_description(None):
            raise CommandError("\n".join(map(str, problems)))
        sys.setswitchinterval(_SWITCH_S)
        run_process(_observe(_recording(options["record"], options["record_at_most"])))


def _recording(path: Path | None, gigabytes: float) -> Recording | None:
    if path is None:
        return None
    try:
        return Recording(path, at_most=int(gigabytes * 1e9))
    except OSError as cause:
        raise CommandError(f"{path} cannot be recorded to: {cause.strerror}") from cause


def _gigabytes(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError("a number of gigabytes above 0")
    return number


async def _observe(recording: Recording | None) -> None:
    environment = settings.ENVIRONMENT
    function = DescriptionFunction(environment.order_description)
    health = Health()
    probes = serve_health(environment.health_port, health, host=environment.health_host)
    async with shutdown_on_signals() as shutdown, probes:
        observer = Observer(
            types=environment.queue_types,
            deadline=timedelta(seconds=environment.deadline_s),
            shutdown=shutdown,
            health=health,
            describe=Describer(function),
            description=function.name,
            recording=recording,
        )
        await keep_connected(
            url=environment.amqp_url,
            name="observer",
            shutdown=shutdown,
            session=observer.session,
            on_state=health.set_connected,
        )
