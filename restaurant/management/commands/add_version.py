"""``manage.py add_version vmine=100 --why ...``: adds a dark version to the open launch."""

from __future__ import annotations

import argparse
from typing import Any

from kitchen_worker.contract.messages import Role
from restaurant.launches import add_version
from restaurant.management.launch_command import LaunchCommand, running_launch, version_and_share


class Command(LaunchCommand):
    help = (
        "Add a dark version to the open launch, before its kitchen runs: the relay then creates "
        "its queue. With 0 % it gets no orders until `set_percent` raises it."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "share",
            type=version_and_share,
            metavar="VERSION=PERCENT",
            help="its percent of the orders (100)",
        )
        parser.add_argument(
            "--role", choices=[Role.CANDIDATE, Role.BASELINE], default=Role.CANDIDATE, type=Role
        )
        super().add_arguments(parser)

    def change(self, author: str, options: dict[str, Any]) -> None:
        launch, (version, percent) = running_launch(), options["share"]
        one = add_version(
            launch, version, options["role"], percent, author=author, reason=options["why"]
        )
        self.stdout.write(f"{launch.name}: added {one}")
