"""``manage.py start_launch``: opens a launch with its control and dark versions."""

from __future__ import annotations

import argparse
from decimal import Decimal
from typing import Any

from kitchen_worker.contract.messages import Role
from restaurant.launches import FIRST_CONTROL, open_launch, start_launch, suggested_name
from restaurant.management.launch_command import (
    LaunchCommand,
    add_plan_arguments,
    planned_end,
    version_and_share,
)

_FIRST_DARK = (
    ("vnext", Role.CANDIDATE, Decimal(100)),
    ("vlatest-b", Role.BASELINE, Decimal(20)),
)


class Command(LaunchCommand):
    needs_reason = False
    help = "Start a launch; without versions: vnext at 100 % and vlatest-b at 20 %."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--name", help="what people will call it")
        parser.add_argument("--control", default=FIRST_CONTROL, metavar="VERSION")
        for role in (Role.CANDIDATE, Role.BASELINE):
            parser.add_argument(
                f"--{role}",
                action="append",
                default=[],
                type=version_and_share,
                metavar="VERSION=PERCENT",
                help=f"a {role} and its percent of the orders (100)",
            )
        add_plan_arguments(parser)
        parser.add_argument("--if-none", action="store_true", help="do nothing while one is open")
        super().add_arguments(parser)

    def change(self, author: str, options: dict[str, Any]) -> None:
        running = open_launch()
        if running is not None and options["if_none"]:
            self.stdout.write(f"a launch is open already: {running.name}")
            return
        dark = [
            (version, role, percent)
            for role in (Role.CANDIDATE, Role.BASELINE)
            for version, percent in options[role]
        ] or list(_FIRST_DARK)
        name = options["name"] or suggested_name(options["control"], [dark[0][0]])
        launch = start_launch(
            name,
            options["control"],
            dark,
            author=author,
            reason=options["why"],
            plan=planned_end(options),
        )
        for one in launch.dark_versions.all():
            self.stdout.write(f"{launch.name}: {one}")
