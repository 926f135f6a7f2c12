"""``manage.py rebuild FILE``: folds a recording of the observer again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard.ingest import recorder
from dashboard.ingest.rebuilding import Rebuilder
from dashboard.ingest.recorder import Item, NotTheRecorder, RecordingSummary
from dashboard.models import ObservedOrder, ObserverState

#: How long to wait for a sign of a running observer, and how often to check.
WAIT_S = 5.0
_CHECK_EVERY_S = 0.1
#: Seconds between progress messages.
_SAY_EVERY_S = 10.0


class Command(BaseCommand):
    """If interrupted, it must be run again from the beginning."""

    help = (
        "Delete what follows from the stream (orders, observations, counts, discrepancies that "
        "nobody has decided on, evidence, charts), and make it again from a file that `observe "
        "--record` has written. Rules, reviews, requirements, replays and final verdicts stay. "
        "Stop the observers first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="what `observe --record` has written")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            found = recorder.summary_of(path)
        except (OSError, msgspec.DecodeError) as cause:
            raise CommandError(f"{path} cannot be read: {cause}") from cause
        if not found.items:
            raise CommandError(f"{path} holds nothing")
        self._announce(path, found)
        if not options["yes"] and not _agreed():
            raise CommandError("Nothing was changed.")
        rebuilder = Rebuilder.take_over()
        if ObserverState.objects.filter(history_until__gt=0).exists():
            raise CommandError(
                "The history of the last release is not all carried over, and a part of it would "
                "be lost. Run manage.py carry_over first; nothing was changed."
            )
        if _is_recorded_by_another(rebuilder.epoch):
            raise CommandError("An observer records. Stop the observers; nothing was changed.")
        try:
            rebuilder.drop()
            rebuilder.fold(self._with_progress(recorder.read_recording(path), found))
            rebuilder.finish()
        except NotTheRecorder as cause:
            raise CommandError(
                "An observer has taken over, and half is made. Stop it, and run this again."
            ) from cause
        self.stdout.write(f"{ObservedOrder.objects.count():,} orders are there again.")

    def _announce(self, path: Path, found: RecordingSummary) -> None:
        self.stdout.write(
            f"{path}: {found.orders:,} orders from {found.since} to {found.until}.\n"
            f"{ObservedOrder.objects.count():,} orders with all that was observed of them, counts, "
            "evidence and charts are deleted and made again from it. Until that is done, boards "
            "show a part."
        )
        before = ObservedOrder.objects.filter(pk__lt=found.first_order).count()
        if before:
            self.stdout.write(f"{before:,} of them came before the recording and WILL BE GONE.")
        newest = ObservedOrder.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        if newest >= found.next_order:
            self.stdout.write(
                f"Those from id {found.next_order:,} on came after it and WILL BE GONE."
            )
        if found.gaps:
            self.stdout.write(f"{found.gaps:,} orders are missing between its parts.")

    def _with_progress(self, items: Iterable[Item], found: RecordingSummary) -> Iterator[Item]:
        began = said_at = time.monotonic()
        for number, item in enumerate(items, start=1):
            yield item
            if time.monotonic() - said_at > _SAY_EVERY_S:
                said_at = time.monotonic()
                left_s = (said_at - began) * (found.items - number) / number
                self.stdout.write(f"{number / found.items:.0%}, about {left_s / 60:.0f} min to go")


def _is_recorded_by_another(epoch: int) -> bool:
    """Whether an observer takes over again, as a running one does at once."""
    for _ in range(round(WAIT_S / _CHECK_EVERY_S)):
        if ObserverState.objects.filter(pk=1).exclude(epoch=epoch).exists():
            return True
        time.sleep(_CHECK_EVERY_S)
    return False


def _agreed() -> bool:
    try:
        return input("Do it? [yes/no] ").strip().lower() == "yes"
    except EOFError:
        return False
