"""``manage.py relay``: publishes orders and takes the control's answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from kitchen_worker.amqp.process import run_process
from restaurant.relay import run


class Command(BaseCommand):
    help = "Publish orders and bring the live kitchen's answers to the customers."

    def handle(self, *args: Any, **options: Any) -> None:
        environment = settings.ENVIRONMENT
        run_process(
            run(
                amqp_url=environment.amqp_url,
                types=environment.queue_types,
                resend_after=timedelta(seconds=environment.resend_s),
                health_port=environment.health_port,
                health_host=environment.health_host,
            )
        )
