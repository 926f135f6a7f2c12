"""``manage.py set_percent vnext=5 --why ...``: sets a dark version's percent of the orders."""

from __future__ import annotations

import argparse
from typing import Any

from restaurant.launches import set_percent
from restaurant.management.launch_command import (
    LaunchCommand,
    running_launch,
    version_and_percent,
)


class Command(LaunchCommand):
    help = "Set a dark version's percent of the orders, from the next order on; 0 stops it."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("share", type=version_and_percent, metavar="VERSION=PERCENT")
        super().add_arguments(parser)

    def change(self, author: str, options: dict[str, Any]) -> None:
        launch, (version, percent) = running_launch(), options["share"]
        changed = set_percent(launch, version, percent, author=author, reason=options["why"])
        self.stdout.write(f"{launch.name}: {changed or f'{version} has that percent already'}")
