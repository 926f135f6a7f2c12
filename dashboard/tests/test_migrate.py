"""``manage.py migrate`` on SQLite: two new files, or the one file of the last release."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError

from dashboard.management.commands.migrate import Command, copy_tables
from local.settings import ROOT

_LAST_RELEASE = "0017_requirements_that_passed"
_RULE = """
INSERT INTO dashboard_rule (path, treatment, version, key, pattern, replacement, reason, author,
    created_at, ended_by) VALUES (?, 'ignore', '', '', '', '', 'known', 'ada', '2026-01-05', '')
"""


class Files:
    """The databases of a directory, and manage.py with them."""

    def __init__(self, directory: Path) -> None:
        self.default = directory / "kitchen.sqlite3"
        self.dashboard = directory / "kitchen-dashboard.sqlite3"

    def manage(self, *words: str, code: int = 0) -> str:
        """Run a command, which ends with this code; gives what it says."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *words],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "restaurant.settings",
                "SECRET_KEY": "k" * 50,
                "DATABASE_URL": f"sqlite:///{self.default}",
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stderr
        return done.stderr if code else done.stdout

    def query(self, file: Path, sql: str, *values: Any) -> list[Any]:
        """Ask one of the files; gives the first column."""
        with closing(sqlite3.connect(file)) as database, database:
            return [row[0] for row in database.execute(sql, values)]

    def tables(self, file: Path) -> set[str]:
        """The apps whose tables are in a file."""
        names = self.query(file, "SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name.partition("_")[0] for name in names if not name.startswith("sqlite")}


@pytest.fixture
def of_last_release(tmp_path: Path) -> Files:
    """One file with all tables, as they were, and a rule."""
    files = Files(tmp_path)
    files.manage("migrate", "--database", "default", "-v0")
    files.manage("migrate", "--database", "dashboard", "dashboard", _LAST_RELEASE, "-v0")
    # What copies the tables out of one file copies them into it as well.
    with closing(sqlite3.connect(files.default)) as database:
        database.execute("ATTACH DATABASE ? AS own", [str(files.dashboard)])
        tables = database.execute(
            "SELECT name, sql FROM own.sqlite_master WHERE sql IS NOT NULL"
            " AND tbl_name LIKE 'dashboard_%' ORDER BY type DESC"
        ).fetchall()
        for _, sql in tables:
            database.execute(sql)
        database.execute(
            "DELETE FROM django_migrations WHERE app = 'dashboard' AND name > ?", [_LAST_RELEASE]
        )
        database.execute(_RULE, ["cook"])
        database.commit()
    for file in tmp_path.glob("kitchen-dashboard*"):
        file.unlink()
    return files


def test_new_databases_are_two_files_with_the_tables_of_each(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.manage("migrate", "-v0")
    assert files.tables(files.dashboard) == {"dashboard", "django"}
    assert {"restaurant", "auth", "django"} <= files.tables(files.default)
    assert "dashboard" not in files.tables(files.default)
    files.manage("migrate", "--check")


def test_the_dashboards_tables_move_out_of_the_one_file_of_the_last_release(
    of_last_release: Files,
) -> None:
    files = of_last_release
    assert "Copying the dashboard's tables" in files.manage("migrate", "-v0")
    assert files.tables(files.dashboard) == {"dashboard", "django"}
    files.query(files.dashboard, _RULE, "minutes")
    assert files.query(files.dashboard, "SELECT path FROM dashboard_rule ORDER BY id") == [
        "cook", "minutes",
    ]  # fmt: skip
    for file in (files.default, files.dashboard):
        assert files.query(file, "PRAGMA journal_mode") == ["wal"]

    # Once: what was written since stays.
    assert "Copying" not in files.manage("migrate", "-v0")
    assert len(files.query(files.dashboard, "SELECT path FROM dashboard_rule")) == 2

    assert "dashboard" in files.tables(files.default)
    newest = "DELETE FROM django_migrations WHERE id = (SELECT MAX(id) FROM django_migrations)"
    files.query(files.dashboard, f"{newest} RETURNING id")
    assert "to its end" in files.manage("drop_former_tables", code=1)
    files.manage("migrate", "--database", "dashboard", "--fake", "-v0")
    assert "dashboard" in files.tables(files.default)
    files.manage("drop_former_tables")
    assert "dashboard" not in files.tables(files.default)
    files.manage("migrate", "--check")


def test_tables_that_cannot_be_copied_are_not_left_behind_unsaid() -> None:
    old: Any = SimpleNamespace(vendor="postgresql")
    with pytest.raises(CommandError, match=r"Copy those named dashboard_\*"):
        Command()._take_over(old, old)


def test_a_copy_that_was_broken_off_is_made_again(tmp_path: Path) -> None:
    files = Files(tmp_path)
    with closing(sqlite3.connect(files.default)) as database:
        database.executescript("""
            CREATE TABLE dashboard_rule (id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT UNIQUE);
            CREATE TABLE restaurant_order (id INTEGER PRIMARY KEY AUTOINCREMENT);
            CREATE TABLE django_migrations (app TEXT);
            CREATE INDEX dashboard_rule_by_path ON dashboard_rule (path) WHERE id > 1;
            INSERT INTO dashboard_rule (path) VALUES ('cook'), ('minutes');
            DELETE FROM dashboard_rule WHERE path = 'minutes';
        """)
    begun = files.dashboard.with_name(f"{files.dashboard.name}.new")
    begun.write_bytes(b"half a page")
    copy_tables(files.default, files.dashboard)
    assert not begun.exists()
    assert files.query(files.dashboard, "PRAGMA integrity_check") == ["ok"]
    made = files.query(files.dashboard, "SELECT name FROM sqlite_master WHERE sql IS NOT NULL")
    assert sorted(made) == [
        "dashboard_rule", "dashboard_rule_by_path", "django_migrations", "sqlite_sequence",
    ]  # fmt: skip
    # Ids go on where they were, though the newest row was deleted.
    files.query(files.dashboard, "INSERT INTO dashboard_rule (path) VALUES ('tip')")
    assert files.query(files.dashboard, "SELECT id FROM dashboard_rule") == [1, 3]
