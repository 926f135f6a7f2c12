"""``manage.py end_launch --why ...``: ends the open launch."""

from __future__ import annotations

from typing import Any

from restaurant.launches import end_launch
from restaurant.management.launch_command import LaunchCommand, running_launch


class Command(LaunchCommand):
    help = "End the open launch: from the next order on nothing is sent in the dark. Final."

    def change(self, author: str, options: dict[str, Any]) -> None:
        launch = running_launch()
        end_launch(launch, author=author, reason=options["why"])
        self.stdout.write(f"ended {launch.name}")
