"""Writers of an SQLite file take turns, and none of them can keep the others out for good."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError

from restaurant.sqlite.base import DatabaseWrapper
from restaurant.sqlite.turn import Turn

_LONG_S = 30.0
_TAKES_IT = """
import sys
from restaurant.sqlite.turn import Turn
Turn(sys.argv[1], 5.0).take()
print("taken", flush=True)
sys.stdin.read()
"""


def _database(path: Path, **options: Any) -> DatabaseWrapper:
    options = {"transaction_mode": "IMMEDIATE", "timeout": _LONG_S, **options}
    settings = {"NAME": path, "OPTIONS": options, "AUTOCOMMIT": True, "TIME_ZONE": None}
    rest = {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False, "TEST": {}}
    return DatabaseWrapper({**settings, **rest})


def _write(database: DatabaseWrapper, number: int) -> None:
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO numbers VALUES (%s)", [number])


def _numbers(path: Path) -> list[int]:
    with closing(_database(path)) as database, database.cursor() as cursor:
        cursor.execute("SELECT number FROM numbers ORDER BY number")
        return [row[0] for row in cursor.fetchall()]


@contextmanager
def _writing(database: DatabaseWrapper) -> Iterator[None]:
    database.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    try:
        yield
    except BaseException:
        database.rollback()
        raise
    else:
        database.commit()
    finally:
        database.set_autocommit(True)


def _write_as_one(path: Path, number: int) -> float:
    """Write in a transaction on a connection of its own; says when that was done."""
    with closing(_database(path)) as database, _writing(database):
        _write(database, number)
    return time.monotonic()


@pytest.fixture(autouse=True)
def _databases_of_our_own(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a database.sqlite3"
    with closing(_database(file)) as database, database.cursor() as cursor:
        cursor.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
    return file


def test_writers_of_many_threads_are_all_served_without_asking_sqlite_twice(path: Path) -> None:
    def write(first: int) -> None:
        with closing(_database(path, timeout=_LONG_S)) as database:
            with database.cursor() as cursor:
                cursor.execute("PRAGMA busy_timeout = 0")
            for number in range(first, first + 20):
                with _writing(database):
                    _write(database, number)

    with ThreadPoolExecutor(5) as threads:
        list(threads.map(write, range(0, 100, 20)))

    assert _numbers(path) == list(range(100))


def test_a_writer_begins_when_the_one_before_has_committed(path: Path) -> None:
    with ThreadPoolExecutor(1) as thread, closing(_database(path)) as first:
        with _writing(first):
            _write(first, 1)
            second: Future[float] = thread.submit(_write_as_one, path, 2)
            committing = time.monotonic()
        assert second.result(timeout=_LONG_S) > committing
    assert _numbers(path) == [1, 2]


def test_what_fails_gives_its_turn_back(path: Path) -> None:
    with closing(_database(path)) as database:
        _write(database, 1)
        with pytest.raises(IntegrityError), _writing(database):
            _write(database, 1)
        with closing(Turn(f"{path}-turn", 0.0)) as turn:
            turn.take()
            assert turn.is_held


def test_a_connection_that_is_closed_gives_its_turn_back(path: Path) -> None:
    database = _database(path)
    database.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    database.close()

    with closing(Turn(f"{path}-turn", 0.0)) as turn:
        turn.take()
        assert turn.is_held


def test_what_is_written_outside_a_transaction_waits_for_its_turn_too(path: Path) -> None:
    def write() -> None:
        with closing(_database(path)) as database, database.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 0")
            cursor.executemany(" insert INTO numbers VALUES (%s)", [[3], [4]])
            cursor.execute("UPDATE numbers SET number = 5 WHERE number = 4")

    with ThreadPoolExecutor(1) as thread, closing(_database(path)) as first:
        with _writing(first):
            _write(first, 1)
            second = thread.submit(write)
            _write(first, 2)
        second.result(timeout=_LONG_S)
    assert _numbers(path) == [1, 2, 3, 5]


def test_who_cannot_have_the_file_writes_without_it(path: Path) -> None:
    Path(f"{path}-turn").unlink()
    Path(f"{path}-turn").mkdir()
    with closing(_database(path)) as database, _writing(database):
        _write(database, 1)
    assert _numbers(path) == [1]


def test_who_asks_in_vain_for_too_long_hears_from_sqlite_that_it_is_locked(path: Path) -> None:
    with (
        closing(_database(path)) as first,
        _writing(first),
        closing(_database(path, timeout=0.05)) as second,
        pytest.raises(OperationalError, match="locked"),
        _writing(second),
    ):
        pass


def test_a_process_that_dies_gives_its_turn_back(tmp_path: Path) -> None:
    file = str(tmp_path / "turn")
    command = [sys.executable, "-c", _TAKES_IT, file]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"taken\n"
        with closing(Turn(file, 0.0)) as turn:
            turn.take()
            assert not turn.is_held
            other.kill()
            other.wait()
            turn.take()
            assert turn.is_held
