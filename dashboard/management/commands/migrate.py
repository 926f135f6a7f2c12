"""``manage.py migrate``: Django's command, for each database in turn.

The last release kept all tables in one database. On SQLite, the dashboard's tables are first copied
to their own file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from django.core.management import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from dashboard.database import ALIAS, connection, tables_in

_OURS = r"(tbl_name LIKE 'dashboard\_%' ESCAPE '\' OR tbl_name = 'django_migrations')"
_COPIED = f"SELECT name, sql FROM old.sqlite_master WHERE type = 'table' AND {_OURS}"  # noqa: S608
_INDEXES = f"""
SELECT sql FROM old.sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND {_OURS}
"""  # noqa: S608
#: They hold the next ids.
_SEQUENCES = """
DELETE FROM main.sqlite_sequence;
INSERT INTO main.sqlite_sequence SELECT * FROM old.sqlite_sequence
WHERE name IN (SELECT name FROM main.sqlite_master);
"""


class Command(migrate.Command):
    help = "Update the tables of every database, or of the one that is named."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database=None)

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        return super().get_check_kwargs(options) | {"databases": _aliases(options["database"])}

    def handle(self, *args: Any, **options: Any) -> None:
        changes = not (options["check_unapplied"] or options["plan"] or options["database"])
        copied = changes and ALIAS != DEFAULT_DB_ALIAS and _are_elsewhere()
        if copied:
            self._take_over(connections[DEFAULT_DB_ALIAS], connection())
        for alias in _aliases(options["database"]):
            with _without_wal(connections[alias]) if copied else nullcontext():
                super().handle(*args, **{**options, "database": alias})

    def _take_over(self, old: BaseDatabaseWrapper, new: BaseDatabaseWrapper) -> None:
        if {old.vendor, new.vendor} != {"sqlite"}:
            raise CommandError(
                "The dashboard's tables are in DATABASE_URL's database, and there are none in "
                "DASHBOARD_DATABASE_URL's. Copy those named dashboard_*, and django_migrations, or "
                "drop them."
            )
        files = [Path(str(one.settings_dict["NAME"])) for one in (old, new)]
        self.stdout.write(f"Copying the dashboard's tables from {files[0]} to {files[1]} ...")
        new.close()
        copy_tables(*files)


def _aliases(named: str | None) -> Sequence[str]:
    return [named] if named else list(connections)


def _are_elsewhere() -> bool:
    """Whether the dashboard's tables are still only where the last release had them."""
    return not tables_in(ALIAS) and bool(tables_in(DEFAULT_DB_ALIAS))


@contextmanager
def _without_wal(database: BaseDatabaseWrapper) -> Iterator[None]:
    """Have SQLite's transactions keep the old pages instead of the new ones: with many gigabytes of
    new pages in the write-ahead log, each read takes longer."""
    _set_journal_mode(database, "DELETE")
    try:
        yield
    finally:
        _set_journal_mode(database, "WAL")


def _set_journal_mode(database: BaseDatabaseWrapper, mode: str) -> None:
    # While another process uses the file, it stays as it is.
    with suppress(OperationalError), database.cursor() as cursor:
        cursor.execute(f"PRAGMA journal_mode={mode}")


def copy_tables(old: Path, new: Path) -> None:
    """Copy the dashboard's tables to a new file, which gets its final name once it is complete."""
    made = new.with_name(f"{new.name}.new")
    made.unlink(missing_ok=True)
    with closing(sqlite3.connect(made, isolation_level=None)) as database:
        # An incomplete file is replaced by the next attempt: no journal needed.
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("ATTACH DATABASE ? AS old", [str(old)])
        database.execute("BEGIN")
        for name, sql in database.execute(_COPIED).fetchall():
            database.execute(sql)
            database.execute(f'INSERT INTO main."{name}" SELECT * FROM old."{name}"')  # noqa: S608
        for (sql,) in database.execute(_INDEXES).fetchall():
            database.execute(sql)
        for statement in _SEQUENCES.split(";"):
            database.execute(statement)
        database.execute("COMMIT")
    with made.open("rb") as file:
        os.fsync(file.fileno())
    for leftover in ("-wal", "-shm"):
        new.with_name(f"{new.name}{leftover}").unlink(missing_ok=True)
    made.replace(new)
