"""Writers queue for SQLite at a lock file, and none of them can keep the others out for good."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from django.db import IntegrityError, connection, transaction

from restaurant import answers
from restaurant.models import BrokerProblem, Letter, Order, OrderState
from restaurant.outbox import mark_sent
from restaurant.tests.making import an_event, impatient, some_orders
from restaurant.write_lock import lock, write_transaction

_LONG_S = 30.0
_HOLDS_IT = """
import sys
from restaurant.write_lock import lock
with lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def _write(queue: str) -> None:
    BrokerProblem.objects.create(queue=queue, reason="full", since="2026-01-01T00:00Z")


def _written() -> set[str]:
    return set(BrokerProblem.objects.values_list("queue", flat=True))


def _seconds_to_lock(file: Path, *, wait_s: float) -> float:
    began = time.monotonic()
    with lock(str(file), wait_s=wait_s):
        return time.monotonic() - began


@pytest.mark.django_db(transaction=True)
def test_the_site_and_the_relay_never_find_the_database_locked() -> None:
    def place() -> list[Order]:
        with impatient():
            return [some_orders()[0] for _ in range(20)]

    def relay(orders: list[Order]) -> None:
        with impatient():
            for order in orders:
                mark_sent([order.letter.pk])
                answers.record([an_event(order.uuid)])

    first = some_orders(20)
    with ThreadPoolExecutor(5) as threads:
        relaying = threads.submit(relay, first)
        placing = [threads.submit(place) for _ in range(4)]
        relaying.result(_LONG_S)
        placed = [order for one in placing for order in one.result(_LONG_S)]

    assert len({order.pk for order in placed}) == 80
    assert Letter.objects.filter(sent_at=None).count() == 80
    assert Order.objects.filter(state=OrderState.READY).count() == 20


@pytest.mark.django_db(transaction=True)
def test_a_writer_begins_when_the_one_before_has_committed() -> None:
    asks = Event()

    def second() -> float:
        with impatient():
            asks.set()
            with write_transaction():
                began = time.monotonic()
                _write("second")
        return began

    with ThreadPoolExecutor(1) as thread:
        with write_transaction():
            other: Future[float] = thread.submit(second)
            assert asks.wait(_LONG_S)
            for number in range(100):
                _write(f"first {number}")
            committing = time.monotonic()
        began = other.result(_LONG_S)

    assert len(_written()) == 101
    assert began > committing or connection.vendor == "postgresql"


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_fails_unlocks() -> None:
    def another() -> None:
        with impatient(), write_transaction():
            _write("another")

    _write("once")
    with pytest.raises(IntegrityError), write_transaction():
        _write("once")
    with ThreadPoolExecutor(1) as thread:
        thread.submit(another).result(_LONG_S)
    assert _written() == {"once", "another"}


@pytest.mark.django_db(transaction=True)
def test_inside_a_transaction_nobody_waits_for_the_lock() -> None:
    """Whoever holds it may wait for that transaction."""
    with lock(f"{connection.settings_dict['NAME']}-lock"), transaction.atomic():
        began = time.monotonic()
        with write_transaction():
            _write("inner")
    assert time.monotonic() - began < 1
    assert _written() == {"inner"}


def test_a_file_that_stays_locked_is_asked_for_no_longer_than_agreed(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with lock(str(file)):
        assert 0.05 <= _seconds_to_lock(file, wait_s=0.05) < _LONG_S


def test_where_no_such_file_can_be_made_nobody_waits(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    file.mkdir()
    assert _seconds_to_lock(file, wait_s=_LONG_S) < _LONG_S / 2
    assert _seconds_to_lock(tmp_path / "nowhere" / "lock", wait_s=_LONG_S) < _LONG_S / 2


def test_a_process_that_dies_unlocks(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    command = [sys.executable, "-c", _HOLDS_IT, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert _seconds_to_lock(file, wait_s=0.05) >= 0.05
        other.kill()
        other.wait()
        assert _seconds_to_lock(file, wait_s=_LONG_S) < _LONG_S / 2
