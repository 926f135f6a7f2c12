"""Shared by the commands that change a launch: author, reason, and a version with its percent."""

from __future__ import annotations

import argparse
import getpass
import os
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from restaurant.launches import LaunchRefused, PlannedEnd, open_launch
from restaurant.models import Launch

#: After the author's name.
BY_COMMAND = " (command line)"


class LaunchCommand(BaseCommand):
    """Changes a launch; a refusal becomes a CommandError."""

    needs_reason = True

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--by", metavar="NAME", help="the author of the change (the shell's user)"
        )
        parser.add_argument(
            "--why",
            required=self.needs_reason,
            default="",
            metavar="REASON",
            help="kept with the change",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.change(f"{options['by'] or user()}{BY_COMMAND}", options)
        except LaunchRefused as cause:
            raise CommandError(str(cause)) from cause

    def change(self, author: str, options: dict[str, Any]) -> None:
        """The change itself; raises LaunchRefused."""
        raise NotImplementedError


def user() -> str:
    """The shell's user; the user's number if it has no name, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def running_launch() -> Launch:
    """The open launch; raises LaunchRefused."""
    launch = open_launch()
    if launch is None:
        raise LaunchRefused("no launch is open")
    return launch


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--until",
        type=_moment,
        metavar="TIME",
        help="end at this time, as 2026-12-04T18:00 (UTC unless it has an offset)",
    )
    parser.add_argument(
        "--orders", type=int, metavar="N", help="end with so many orders; or whichever is first"
    )


def planned_end(options: dict[str, Any]) -> PlannedEnd:
    return PlannedEnd(options["until"], options["orders"])


def _moment(given: str) -> datetime:
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{given!r} is no time such as 2026-12-04T18:00") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def version_and_percent(given: str) -> tuple[str, Decimal]:
    """Parse "vnext=5"."""
    version, equals, percent = given.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{given!r} is not VERSION=PERCENT")
    try:
        return version, Decimal(percent)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{percent!r} is not a percent") from None


def version_and_share(given: str) -> tuple[str, Decimal]:
    """Parse "vnext=5", or "vnext" for 100 %."""
    return version_and_percent(given if "=" in given else f"{given}=100")
