"""``manage.py verdict``: prints the board's verdict, for a terminal or a pipeline's gate.

The exit code is the verdict. Apart from 0 none is below 10, so that no failure (crash 1, wrong
option 2, no Django 69, wrong setting 78) is mistaken for one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from json import dumps
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, Error, connections

from dashboard.board.broker import ask_for_depths
from dashboard.verdict.assessment import Run, assess
from dashboard.verdict.thresholds import Requirement
from dashboard.verdict.traffic import read_traffic
from dashboard.verdict.wording import Word, counted
from kitchen_worker.contract.messages import Role
from kitchen_worker.contract.topology import kitchen_queue
from restaurant.launches import find_launch, newest_launch
from restaurant.models import Launch

EXIT_CODES = {Word.READY: 0, Word.NOT_YET: 10, Word.WORSE: 20, Word.WITHHELD: 30}
NOTHING_TO_SAY = 40

_PORTS = {"amqp": 5672, "amqps": 5671}


class Command(BaseCommand):
    """Print the verdict and exit with its code."""

    help = (
        "Say whether a candidate may be promoted. Exit code: 0 ready, 10 not yet, 20 worse, "
        "30 withheld, 40 nothing is known of it; any other: no answer."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Replace Django's own ``--version``."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--launch", metavar="ID", help="of which launch (the newest)")
        parser.add_argument("--version", metavar="NAME", help="the first candidate's")
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the assessment, and exit with its word's code."""
        try:
            code = self._answer(**options)
        except Error as cause:
            # Either of the two databases may be down.
            where = " and ".join(map(_database, connections))
            raise CommandError(f"No answer: {where}: {cause}") from cause
        if code:
            sys.exit(code)

    def _answer(self, *, launch: str | None, version: str | None, json: bool, **_: Any) -> int:
        about = _launch(launch)
        name = _version(about, version)
        dark = [one.version for one in about.dark_versions.all()]
        depths = ask_for_depths(settings.ENVIRONMENT.amqp_url, [about.control, *dark])
        traffic = read_traffic(about, depths)
        assessment = assess(about, name, traffic)
        found, run = assessment.verdict, assessment.run
        if found is None:
            self.stdout.write("null" if json else f"Nothing is known of {name} yet.")
            return NOTHING_TO_SAY
        if assessment.state is not Run.ENDED:
            _explain_unknown_lag(found, depths)
        asked = {"database": _database(), "broker": _broker()}
        if json:
            about_it = {
                "launch": str(about.id),
                "at": traffic.at.timestamp(),
                "asked": asked,
                "run": run,
            }
            self.stdout.write(dumps({**about_it, **found}, indent=2))
        else:
            self.stdout.write("\n".join(_lines(found, run)))
            self.stdout.write(f"asked: {asked['database']}, broker {asked['broker']}")
        return EXIT_CODES[Word(found["word"])]


def _explain_unknown_lag(found: dict[str, Any], depths: Mapping[str, int] | None) -> None:
    """Set the reason why the version's backlog is unknown."""
    queue = kitchen_queue(found["version"])
    if depths is None:
        why = "did not answer"
    elif queue not in depths:
        why = f"has no queue {queue}"
    else:
        return
    for one in found["requirements"]:
        if one["key"] == Requirement.KEEPING_UP:
            one["text"] = f"unknown: the broker at {_broker()} {why}"


def _database(alias: str = DEFAULT_DB_ALIAS) -> str:
    database = settings.DATABASES[alias]
    return (
        f"{database['HOST']}/{database['NAME']}" if database.get("HOST") else str(database["NAME"])
    )


def _broker() -> str:
    """Where the broker is, without the password."""
    urls = [urlsplit(url.strip()) for url in settings.ENVIRONMENT.amqp_url.split(",")]
    return ", ".join(
        f"{url.hostname}:{url.port or _PORTS[url.scheme]}{url.path.rstrip('/')}" for url in urls
    )


def _launch(text: str | None) -> Launch:
    try:
        launch = newest_launch() if text is None else find_launch(UUID(text))
    except ValueError:
        launch = None
    if launch is None:
        wrong = (
            f"There is no launch yet in {_database()}."
            if text is None
            else f"There is no launch {text!r}."
        )
        raise CommandError(wrong, returncode=NOTHING_TO_SAY)
    return launch


def _version(launch: Launch, asked: str | None) -> str:
    dark = launch.dark_versions.all()
    candidates = [one.version for one in dark if one.role == Role.CANDIDATE]
    if not candidates or asked not in (None, *candidates):
        wrong = f"{launch.name} has no candidate{'' if asked is None else f' {asked!r}'}."
        raise CommandError(wrong, returncode=NOTHING_TO_SAY)
    return candidates[0] if asked is None else asked


def _lines(found: dict[str, Any], run: dict[str, Any]) -> list[str]:
    """The sentence, a table of the requirements, and notes."""
    rows = [
        (one["key"], one["standing"], f"{one['text']}{_more(one['more_orders'])}")
        for one in found["requirements"]
    ]
    key, status_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    basis = (
        f"{counted(found['pairs'], 'pair')} in {counted(found['blocks'], 'block')}"
        f" of {found['block_s']:g} s"
        f"{f' ({why})' if (why := found['block_why']) else ''},"
        f" {found['lag_s']:g} s behind the orders"
    )
    return [
        found["sentence"],
        *_over(run, found["orders"]),
        "",
        *(f"  {name:<{key}}  {status:<{status_width}}  {text}" for name, status, text in rows),
        "",
        basis,
        *(f"note: {warning}" for warning in found["warnings"]),
    ]


def _over(run: dict[str, Any], orders: int) -> Iterator[str]:
    """Why no more orders come, and how many the verdict is based on."""
    if run["at"] is None:
        return
    at = f"{datetime.fromtimestamp(run['at'], UTC):%Y-%m-%d %H:%M} UTC"
    if run["state"] == Run.STOPPED:
        yield f"stopped: 0 % of orders since {at}, on {counted(orders)} after the warm-up"
    elif run["final_at"] is None:
        yield f"ended {at}; the last orders are still being counted"
    else:
        yield f"final: the launch ended {at}, on {counted(orders)} after the warm-up"


def _more(orders: int | None) -> str:
    return f", about {counted(orders, 'more order')}" if orders else ""
