"""``manage.py start_launch``: opens a launch with its control and its dark versions."""

from __future__ import annotations

import argparse
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kitchen_worker.contract.messages import Role
from restaurant.launches import FIRST_CONTROL, LaunchRefused, open_launch, start_launch

_FIRST_DARK = (
    ("vnext", Role.CANDIDATE, Decimal(100)),
    ("vlatest-b", Role.BASELINE, Decimal(20)),
)


class Command(BaseCommand):
    """Starts a launch."""

    help = "Start a launch; without versions: vnext at 100 % and vlatest-b at 20 %."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say who takes which part."""
        parser.add_argument("--name", help="what people will call it")
        parser.add_argument("--control", default=FIRST_CONTROL, metavar="VERSION")
        for role in (Role.CANDIDATE, Role.BASELINE):
            parser.add_argument(
                f"--{role}",
                action="append",
                default=[],
                type=_version_and_percent,
                metavar="VERSION=PERCENT",
                help=f"a {role} and its percent of the orders (100)",
            )
        parser.add_argument("--if-none", action="store_true", help="do nothing while one is open")

    def handle(self, *args: Any, **options: Any) -> None:
        """Start it, or say why not."""
        running = open_launch()
        if running is not None and options["if_none"]:
            self.stdout.write(f"a launch is open already: {running.name}")
            return
        dark = [
            (version, role, percent)
            for role in (Role.CANDIDATE, Role.BASELINE)
            for version, percent in options[role]
        ] or list(_FIRST_DARK)
        name = options["name"] or f"{dark[0][0]} beside {options['control']}"
        try:
            launch = start_launch(name, options["control"], dark)
        except LaunchRefused as cause:
            raise CommandError(str(cause)) from cause
        for one in launch.dark_versions.all():
            self.stdout.write(f"{launch.name}: {one}")


def _version_and_percent(given: str) -> tuple[str, Decimal]:
    version, equals, percent = given.partition("=")
    try:
        return version, Decimal(percent) if equals else Decimal(100)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{percent!r} is no percent") from None
