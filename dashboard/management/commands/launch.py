"""``manage.py launch ACT``: list, start, percent, add, plan, stop, end, promote, abandon, confirm,
withdraw, record.

The same functions as behind the pages and the admin.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from dashboard.launches.decisions import DecisionRefused, confirm, decide, withdraw
from dashboard.launches.listing import ListedLaunch, every_launch, listed
from dashboard.launches.record import find_record
from dashboard.models import DecisionStep, LaunchChoice, LaunchDecision
from dashboard.pages.record_files import RecordFile, file_text
from restaurant.launches import LaunchRefused, find_launch, newest_launch, stop_version
from restaurant.management.commands import (
    add_version,
    end_launch,
    plan_end,
    set_percent,
    start_launch,
)
from restaurant.management.launch_command import LaunchCommand, running_launch
from restaurant.models import Launch

#: Launches that are listed.
_LISTED = 20


class _List(BaseCommand):
    help = "List the newest launches: versions, verdicts, decisions, orders and discrepancies."

    def handle(self, *args: Any, **options: Any) -> None:
        for one in listed(list(every_launch()[:_LISTED])):
            self.stdout.write("\n".join(_lines(one)))


class _Stop(LaunchCommand):
    help = "Stop a dark version of the open launch: 0 % from the next order on."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("version")
        parser.add_argument(
            "--purge",
            action="store_true",
            help="drop the orders that wait in its queue as well; they count as missing",
        )
        super().add_arguments(parser)

    def change(self, author: str, options: dict[str, Any]) -> None:
        version, purge = options["version"], options["purge"]
        stop_version(running_launch(), version, author=author, reason=options["why"], purge=purge)
        self.stdout.write(f"{version} gets no orders")
        if purge:
            self.stdout.write("the relay purges its queue within seconds if it reaches the broker")


class _Decide(LaunchCommand):
    """A decision on a candidate: ``act`` is a choice, or what to do with a proposed one."""

    act = ""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("version")
        parser.add_argument("--launch", metavar="ID", help="of which launch (the newest)")
        super().add_arguments(parser)

    def change(self, author: str, options: dict[str, Any]) -> None:
        launch, by = _launch(options["launch"]), {"author": author, "reason": options["why"]}
        try:
            made = self._decide(launch, options["version"], by)
        except DecisionRefused as cause:
            raise CommandError(str(cause)) from cause
        against = " against the verdict" if made.opposed else ""
        self.stdout.write(f"{launch.name}: {made}{against}")
        if made.step == DecisionStep.PROPOSED:
            self.stdout.write("It counts once a second person has confirmed it.")

    def _decide(self, launch: Launch, version: str, by: dict[str, str]) -> LaunchDecision:
        now = timezone.now()
        if self.act == "confirm":
            return confirm(launch, version, **by, now=now)
        if self.act == "withdraw":
            return withdraw(launch, version, **by, now=now)
        return decide(launch, version, LaunchChoice(self.act), **by, now=now)


class _Promote(_Decide):
    help, act = "Decide to promote a candidate.", "promote"


class _Abandon(_Decide):
    help, act = "Decide to abandon a candidate.", "abandon"


class _Confirm(_Decide):
    help, act = "Confirm a proposed decision, as a second person.", "confirm"


class _Withdraw(_Decide):
    help, act = "Withdraw a proposed decision.", "withdraw"


class _Record(BaseCommand):
    help = "Write the record of an ended launch, frozen when all its orders were counted."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("launch", nargs="?", metavar="LAUNCH", help="its id (the newest)")
        parser.add_argument("--format", choices=_FORMATS, default="markdown")
        parser.add_argument(
            "--table",
            choices=["versions", "discrepancies"],
            default="versions",
            help="for --format csv",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            launch = _launch(options["launch"])
        except LaunchRefused as cause:
            raise CommandError(str(cause)) from cause
        record = find_record(launch.pk)
        if record is None:
            why = "is being frozen" if launch.ended_at else "is frozen after the launch has ended"
            raise CommandError(f"The record of {launch.name} {why}.")
        file = _FORMATS[options["format"]] or RecordFile(f"{options['table']}.csv")
        self.stdout.write(file_text(record, file), ending="")


#: By the name in --format; CSV has a file a table.
_FORMATS = {"json": RecordFile.JSON, "csv": None, "markdown": RecordFile.MARKDOWN}

_ACTS: dict[str, type[BaseCommand]] = {
    "list": _List,
    "start": start_launch.Command,
    "percent": set_percent.Command,
    "add": add_version.Command,
    "plan": plan_end.Command,
    "stop": _Stop,
    "end": end_launch.Command,
    "promote": _Promote,
    "abandon": _Abandon,
    "confirm": _Confirm,
    "withdraw": _Withdraw,
    "record": _Record,
}


class Command(BaseCommand):
    help = "List launches, and start, change, stop, end or decide on one, or write its record."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        for name, act in _ACTS.items():
            text = act.help.replace("%", "%%")
            act().add_arguments(acts.add_parser(name, help=text, description=text))

    def handle(self, *args: Any, **options: Any) -> None:
        act = _ACTS[options["act"]]()
        act.stdout, act.stderr = self.stdout, self.stderr
        act.handle(*args, **options)


def _launch(text: str | None) -> Launch:
    try:
        launch = newest_launch() if text is None else find_launch(UUID(text))
    except ValueError:
        launch = None
    if launch is None:
        raise LaunchRefused("there is no such launch")
    return launch


def _lines(one: ListedLaunch) -> Iterator[str]:
    launch = one.launch
    state = f"ended {launch.ended_at:%Y-%m-%d %H:%M} UTC" if launch.ended_at else "running"
    yield (
        f"{launch.name} ({launch.pk}): {state}, {one.ran},"
        f" {one.orders:,} orders, {one.open:,} open discrepancies"
    )
    for version in one.versions:
        step = version.decision
        decision = f", {step.choice} {step.step} by {step.author}" if step is not None else ""
        against = " against the verdict" if step is not None and step.opposed else ""
        word = f": {version.spoken.word}" if version.spoken.word else ""
        yield f"  {version.dark}{word}{decision}{against}"
