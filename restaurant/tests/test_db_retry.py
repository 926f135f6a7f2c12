"""Calls are retried while the database is unavailable, but not after a wrong statement."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, InterfaceError, OperationalError, connection

from restaurant import db_retry
from restaurant.db_retry import run_in_db_thread
from restaurant.tests.making import run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db_retry, "_RETRY_S", (0.001, 0.002))


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_call_is_made_again_until_the_database_is_there(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[int] = []
    heard: list[int] = []

    def call() -> str:
        attempts.append(1)
        if len(attempts) < 4:
            raise error("the database system is starting up")
        return "there"

    assert run(lambda: run_in_db_thread(call, on_attempt=lambda: heard.append(1))) == "there"
    assert len(attempts) == len(heard) == 4
    assert caplog.text.count("starting up") == 3


def test_a_wrong_statement_is_not_repeated() -> None:
    attempts: list[int] = []

    def call() -> None:
        attempts.append(1)
        raise IntegrityError("twice")

    with pytest.raises(IntegrityError):
        run(lambda: run_in_db_thread(call))
    assert len(attempts) == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_postgresql_ended_is_replaced() -> None:
    def backend() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return int(cursor.fetchone()[0])

    before = backend()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [before])
    other.close()
    assert run(lambda: run_in_db_thread(backend)) != before
