"""``manage.py plan_end --until 2026-12-04T18:00 --orders 20000 --why ...``."""

from __future__ import annotations

import argparse
from typing import Any

from restaurant.launches import plan_end
from restaurant.management.launch_command import (
    LaunchCommand,
    add_plan_arguments,
    planned_end,
    running_launch,
)


class Command(LaunchCommand):
    help = (
        "Set when the open launch ends by itself: at a time, with a number of orders, or whichever"
        " comes first. Without either it does not end by itself."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_plan_arguments(parser)
        super().add_arguments(parser)

    def change(self, author: str, options: dict[str, Any]) -> None:
        launch, plan = running_launch(), planned_end(options)
        changed = plan_end(launch, plan, author=author, reason=options["why"])
        self.stdout.write(
            f"{launch.name}: {changed.values if changed else 'that is the plan already'}"
        )
