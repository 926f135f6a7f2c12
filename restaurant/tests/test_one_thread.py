"""A request is served whole in one thread, which keeps its connection to the database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core import signals
from django.db import connections

from restaurant import one_thread
from restaurant.one_thread import Lane, OneThreadHandler, lane_of


@pytest.fixture
def handler() -> Iterator[OneThreadHandler]:
    serving = OneThreadHandler(threads=dict.fromkeys(Lane, 1))
    yield serving
    for threads in serving._threads.values():
        threads.submit(connections.close_all).result()
        threads.shutdown()


def _get(handler: OneThreadHandler, path: str, *, leaves: bool = False) -> list[dict[str, Any]]:
    """What the handler sends to a client, which may leave before its request is whole."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect" if leaves else "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"localhost")]}
    asyncio.run(handler({**scope, "query_string": b""}, receive, send))
    return sent


def test_what_is_before_and_after_a_view_runs_in_one_thread(handler: OneThreadHandler) -> None:
    seen: list[int] = []

    def see(**_: Any) -> None:
        seen.append(threading.get_ident())

    signals.request_started.connect(see)
    signals.request_finished.connect(see)
    try:
        start, *_ = _get(handler, "/api/health")
    finally:
        signals.request_started.disconnect(see)
        signals.request_finished.disconnect(see)
    assert start["status"] == 200
    assert len(seen) == 2
    assert len(set(seen)) == 1
    assert threading.get_ident() not in seen


def test_a_streamed_file_arrives_whole(handler: OneThreadHandler) -> None:
    [directory] = settings.STATICFILES_DIRS
    path = next(directory.glob("css/*.css"))
    start, *parts = _get(handler, f"/static/css/{path.name}")
    assert start["status"] == 200
    assert b"".join(part.get("body", b"") for part in parts) == path.read_bytes()
    assert not parts[-1].get("more_body", False)


def test_who_leaves_before_the_request_is_whole_is_sent_nothing(handler: OneThreadHandler) -> None:
    assert _get(handler, "/api/health", leaves=True) == []


@pytest.mark.parametrize(
    ("method", "path", "lane"),
    [
        ("POST", "/orders", Lane.ORDERS),
        ("POST", "/", Lane.ORDERS),
        ("POST", "/quote/", Lane.ORDERS),
        ("GET", "/ticket/1234/state/", Lane.ORDERS),
        ("GET", "/static/css/site.css", Lane.ORDERS),
        ("GET", "/api/ready", Lane.ORDERS),
        ("POST", "/login/", Lane.LOGINS),
        ("POST", "/admin/login/", Lane.LOGINS),
        ("POST", "/admin/password_change/", Lane.LOGINS),
        ("POST", "/admin/auth/user/7/password/", Lane.LOGINS),
        ("GET", "/login/", Lane.PAGES),
        ("GET", "/dashboard/", Lane.PAGES),
        ("POST", "/dashboard/rules/new/", Lane.PAGES),
        ("GET", "/admin/", Lane.PAGES),
        ("POST", "/logout/", Lane.PAGES),
    ],
)
def test_orders_passwords_and_pages_have_threads_of_their_own(
    method: str, path: str, lane: Lane
) -> None:
    assert lane_of(method, path) is lane


def test_what_no_thread_will_come_to_soon_is_refused(
    handler: OneThreadHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_thread, "MAX_WAITING", 3)
    handler._held[Lane.PAGES] = 3
    start, *_ = _get(handler, "/dashboard/")
    assert start["status"] == 503
    assert (b"Retry-After", b"5") in start["headers"]
    assert _get(handler, "/api/health")[0]["status"] == 200
    assert handler._held[Lane.ORDERS] == 0


@pytest.mark.django_db(transaction=True)
def test_the_next_request_finds_the_connection_of_the_last(handler: OneThreadHandler) -> None:
    def connected() -> object:
        return (
            handler._threads[Lane.ORDERS].submit(lambda: connections["default"].connection).result()
        )

    assert _get(handler, "/api/ready")[0]["status"] == 200
    first = connected()
    assert _get(handler, "/api/ready")[0]["status"] == 200
    assert first is not None
    assert connected() is first
