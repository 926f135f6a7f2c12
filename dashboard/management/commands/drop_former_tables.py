"""``manage.py drop_former_tables``: drops the last release's tables in the default database."""

from __future__ import annotations

from typing import Any

from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS, connections

from dashboard.database import ALIAS, tables_in


class Command(BaseCommand):
    help = (
        "Drop the dashboard's tables of the last release in the default database, once `migrate` "
        "has copied them into the dashboard's own."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if ALIAS == DEFAULT_DB_ALIAS or not tables_in(ALIAS):
            raise CommandError("The dashboard's tables are in no other database.")
        try:
            call_command("migrate", check_unapplied=True, verbosity=0)
        except SystemExit:
            raise CommandError("Run `migrate` to its end first.") from None
        database = connections[DEFAULT_DB_ALIAS]
        with database.constraint_checks_disabled(), database.cursor() as cursor:
            for name in (former := tables_in(DEFAULT_DB_ALIAS)):
                cursor.execute(f"DROP TABLE {database.ops.quote_name(name)}")
        self.stdout.write(f"Dropped {len(former)} tables.")
