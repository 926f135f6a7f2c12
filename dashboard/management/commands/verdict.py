"""``manage.py verdict``: says what the board says, to a terminal or to a pipeline's gate."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard.board.depths import ask_for_depths
from dashboard.board.frame import build_frame, find_launch, newest_launch
from dashboard.board.lenses import Lens
from dashboard.domain.verdict.words import Word
from kitchen_worker.contract.messages import Role
from restaurant.models import Launch

#: By word; what a shell calls success is ready, and nothing else.
EXIT_CODES = {Word.READY: 0, Word.NOT_YET: 1, Word.WORSE: 2, Word.WITHHELD: 3}
NOTHING_TO_SAY = 4


class Command(BaseCommand):
    """Prints the verdict; its exit code is the word."""

    help = (
        "Say whether a candidate may be promoted. Exit code: 0 ready, 1 not yet, 2 worse, "
        "3 withheld, 4 nothing is known of it."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """With ``--version`` for a version of ours in place of Django's own."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say of what, and how."""
        parser.add_argument("--launch", metavar="ID", help="of which launch (the newest)")
        parser.add_argument("--version", metavar="NAME", help="the first candidate's")
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        """Build the board once, and say what it says."""
        launch = _launch(options["launch"])
        version = _version(launch, options["version"])
        dark = [one.version for one in launch.dark_versions.all()]
        depths = ask_for_depths(settings.ENVIRONMENT.amqp_url, [launch.control, *dark])
        frame = build_frame(launch, Lens.ALL, version=version, with_series=False, backlogs=depths)
        found = frame["verdict"]
        if options["json"]:
            said = found and {"launch": str(launch.id), "at": frame["at"], **found}
            self.stdout.write(json.dumps(said, indent=2))
        elif found is None:
            self.stdout.write(f"Nothing is known of {version} yet.")
        else:
            self.stdout.write("\n".join(_lines(found)))
        code = NOTHING_TO_SAY if found is None else EXIT_CODES[Word(found["word"])]
        if code:
            sys.exit(code)


def _launch(text: str | None) -> Launch:
    try:
        launch = newest_launch() if text is None else find_launch(UUID(text))
    except ValueError:
        launch = None
    if launch is None:
        wrong = "There is no launch yet." if text is None else f"There is no launch {text!r}."
        raise CommandError(wrong, returncode=NOTHING_TO_SAY)
    return launch


def _version(launch: Launch, asked: str | None) -> str:
    dark = launch.dark_versions.all()
    candidates = [one.version for one in dark if one.role == Role.CANDIDATE]
    if not candidates or asked not in (None, *candidates):
        wrong = f"{launch.name} has no candidate{'' if asked is None else f' {asked!r}'}."
        raise CommandError(wrong, returncode=NOTHING_TO_SAY)
    return candidates[0] if asked is None else asked


def _lines(found: dict[str, Any]) -> list[str]:
    """The sentence, a table of the requirements, and what to know beside it."""
    rows = [
        (one["key"], one["standing"], f"{one['text']}{_more(one['more_orders'])}")
        for one in found["requirements"]
    ]
    key, standing = (max(len(row[column]) for row in rows) for column in (0, 1))
    basis = (
        f"{found['pairs']:,} pairs in {found['blocks']:,} blocks of {found['block_s']:g} s,"
        f" {found['lag_s']:g} s behind the orders"
    )
    return [
        found["sentence"],
        "",
        *(f"  {name:<{key}}  {stands:<{standing}}  {text}" for name, stands, text in rows),
        "",
        basis,
        *(f"note: {warning}" for warning in found["warnings"]),
    ]


def _more(orders: int | None) -> str:
    return f", about {orders:,} more orders" if orders else ""
