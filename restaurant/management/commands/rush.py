"""``manage.py rush``: places generated or recorded orders at a pace, and prints what became of
them."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError
from tqdm import tqdm

from restaurant.models import OrderState
from restaurant.pacing import (
    Due,
    RushResult,
    at_rate,
    at_recorded_pace,
    count_states,
    place,
    wait_for_answers,
)
from restaurant.replay import BadLine, recorded, rereadable, survey
from restaurant.rush import rush

_DEFAULT_ORDERS = 200
_DEFAULT_RATE = 20.0
_WAITING = (
    "{waiting} orders have no answer {wait:g} s after the last one was placed. None is lost: "
    "they are answered once the relay and the control's kitchen run, or have caught up."
)


class Command(BaseCommand):
    help = "Place generated orders at a rate, or recorded ones at their own pace."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--orders", type=_count, help=f"how many ({_DEFAULT_ORDERS})")
        parser.add_argument("--rate", type=_positive, help=f"orders a second ({_DEFAULT_RATE:g})")
        parser.add_argument("--seed", type=int, help="the same seed gives the same orders (0)")
        parser.add_argument("--replay", type=Path, metavar="FILE", help="JSON Lines, - for stdin")
        parser.add_argument("--speed", type=_positive, help="times the recorded pace (1)")
        parser.add_argument("--skip-bad", action="store_true", help="skip bad lines")
        parser.add_argument(
            "--wait", type=float, default=10.0, metavar="SECONDS", help="for answers, at most (10)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with ExitStack() as opened:
            if options["replay"]:
                due, total = _replayed(self, options, opened)
            else:
                due, total = _generated(options)
            self._place(due, total, wait=options["wait"])

    def _place(self, due: Iterator[Due], total: int, *, wait: float) -> None:
        placed = RushResult()
        with _stop_on_signals() as stop:
            try:
                with tqdm(total=total, unit=" orders", disable=None) as bar:
                    place(due, placed=placed, stop=stop, on_placed=bar.update)
                wait_for_answers(placed, seconds=wait, stop=stop)
            except OperationalError as cause:
                raise CommandError(f"no database after {placed.orders} orders: {cause}") from cause
            summary, waiting = _summary(placed)
            self.stdout.write(summary)
            if waiting and wait and not stop.is_set():
                self.stderr.write(_WAITING.format(waiting=waiting, wait=wait))


def _generated(options: dict[str, Any]) -> tuple[Iterator[Due], int]:
    if options["speed"] is not None or options["skip_bad"]:
        raise CommandError("--speed and --skip-bad need --replay")
    orders = options["orders"] if options["orders"] is not None else _DEFAULT_ORDERS
    rate = options["rate"] or _DEFAULT_RATE
    return at_rate(rush(options["seed"] or 0), rate=rate, orders=orders), orders


def _replayed(
    command: BaseCommand, options: dict[str, Any], opened: ExitStack
) -> tuple[Iterator[Due], int]:
    """The file's orders, after all of it was checked."""
    for name in ("orders", "rate", "seed"):
        if options[name] is not None:
            raise CommandError(f"--{name} cannot be used with --replay")
    path, skip_bad = options["replay"], options["skip_bad"]
    try:
        file = opened.enter_context(rereadable(path))
        found = survey(file, skip_bad=skip_bad)
    except (BadLine, OSError) as cause:
        raise CommandError(f"{path}: {cause}; nothing was placed") from cause
    if found.bad:
        reasons = "".join(f"\n  {reason}" for reason in found.reasons)
        said = f"{path}: {found.orders} orders, {found.bad} bad lines skipped, the first:{reasons}"
        if found.bad > found.orders:
            raise CommandError(f"{said}\nMore lines are bad than good; nothing was placed")
        command.stdout.write(said)
    again = recorded(file, found.period, on_bad=lambda cause: None)
    return at_recorded_pace(again, speed=options["speed"] or 1.0), found.orders


def _summary(placed: RushResult) -> tuple[str, int]:
    """The result as text, and how many orders have no answer yet."""
    states = count_states(placed)
    waiting = states[OrderState.PLACED] + states[OrderState.IN_KITCHEN]
    summary = (
        f"placed {placed.orders} orders in {placed.seconds:.1f} s: {placed.rate:.1f} orders/s\n"
        f"answered by the control {states[OrderState.READY]}, "
        f"failed {states[OrderState.FAILED]}, still waiting {waiting}"
    )
    return summary, waiting


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; restores the old handlers."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def request(*_: object) -> None:
        # In a thread: this one may hold the event's lock, because it mostly waits for it.
        threading.Thread(target=stop.set).start()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, request) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _count(given: str) -> int:
    count = int(given)
    if count < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return count


def _positive(given: str) -> float:
    number = float(given)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return number
