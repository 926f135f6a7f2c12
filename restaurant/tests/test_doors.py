"""Each door serves its own pages and links to the other's, by the settings it was started with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from local.settings import ROOT
from restaurant.checks import IDS
from restaurant.doors import door_url
from restaurant.environment import Door
from restaurant.thread_pools import THREADS, Pool, pool_of
from restaurant.urls import patterns_of

_OTHER = "https://other.example"
_UUID = "6f9619ff-8b86-4011-b42d-00c04fc964ff"
_ARGUMENTS = {
    "uuid": _UUID,
    "launch": _UUID,
    "version": "vnext",
    "order_id": _UUID,
    "pk": 1,
    "kind": "csv",
    "file": "json",
    "by": "hour",
}
_CUSTOMERS = ("menu", "quote", "ticket", "ticket_state", "api_orders", "api_items")
_PROBES = ("/api/health", "/api/ready")
#: Loads the door as Daphne does, and asks it for what is given. No page of the dashboard that
#: nobody is logged in for needs a table.
_ASK = """
import asyncio, json, sys
from restaurant.asgi import application, pooled
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client

if settings.ENVIRONMENT.door == "customers":
    call_command("migrate", verbosity=0)

async def handshake():
    sent = []
    async def receive():
        return {"type": "websocket.connect"}
    async def send(message):
        sent.append(message["type"])
    headers = [(b"host", b"localhost"), (b"origin", b"http://localhost")]
    scope = {"type": "websocket", "path": "/dashboard/live/", "headers": headers,
             "query_string": b"", "subprotocols": []}
    await application(scope, receive, send)
    return sent

client = Client(enforce_csrf_checks=True, headers={"host": "localhost"})
answers = {}
for method, path in json.loads(sys.stdin.read()):
    answer = client.generic(method, path)
    answers[f"{method} {path}"] = [answer.status_code, answer.content.decode()]
print(json.dumps({
    "answers": answers,
    "cookies": list(client.cookies),
    "names": [settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME],
    "databases": list(settings.DATABASES),
    "tables": [
        name
        for alias in connections
        for name in connections[alias].introspection.table_names()
    ],
    "threads": {pool: threads._several for pool, threads in pooled._threads.items()},
    "socket": asyncio.run(handshake()) if settings.ENVIRONMENT.door == "customers" else None,
    "loaded": sorted(sys.modules),
}))
"""


@dataclass(frozen=True)
class _Door:
    """What a process with one door answered."""

    found: dict[str, Any]

    def status(self, path: str, method: str = "GET") -> int:
        return int(self.found["answers"][f"{method} {path}"][0])

    def page(self, path: str, method: str = "GET") -> str:
        return str(self.found["answers"][f"{method} {path}"][1])


def _pages(patterns: list[URLPattern | URLResolver]) -> Iterator[str]:
    """The address of every page that has a name."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            if pattern.namespace is None:
                yield from _pages(pattern.url_patterns)
        elif pattern.name is not None:
            kwargs = {name: _ARGUMENTS[name] for name in pattern.pattern.converters}
            yield reverse(pattern.name, kwargs=kwargs)


_EVERY_PAGE = [path for path in _pages(get_resolver().url_patterns) if path not in _PROBES]
_OF_CUSTOMERS = [path for path in _EVERY_PAGE if not path.startswith(("/dashboard/", "/log"))]
_OF_DASHBOARD = [path for path in _EVERY_PAGE if path not in _OF_CUSTOMERS] + [
    "/admin/",
    "/admin/login/",
    "/admin/restaurant/launch/",
    "/dashboard/no-such-page/",
]


def _ask(door: Door, directory: Any) -> _Door:
    kept = {name: value for name, value in os.environ.items() if name not in IDS}
    asked = [
        (method, path)
        for path in ("/nowhere/", *_PROBES, *_OF_CUSTOMERS, *_OF_DASHBOARD)
        for method in ("GET", "POST")
    ]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _ASK],
        cwd=ROOT,
        env={
            **kept,
            "DJANGO_SETTINGS_MODULE": "restaurant.settings",
            "SECRET_KEY": "a key that is long enough and used in tests only",
            "DATABASE_URL": f"sqlite:///{directory}/kitchen.sqlite3",
            "LOG_LEVEL": "CRITICAL",
            "DOOR": door,
            "OTHER_DOOR": _OTHER,
            # Customers find the board in the navigation if it is public.
            "BOARD_PUBLIC": "1" if door is Door.CUSTOMERS else "0",
        },
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return _Door(json.loads(done.stdout))


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> _Door:
    return _ask(Door.CUSTOMERS, tmp_path_factory.mktemp("customers"))


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> _Door:
    return _ask(Door.DASHBOARD, tmp_path_factory.mktemp("dashboard"))


def test_every_page_of_the_other_door_answers_404_with_a_link_to_it(
    customers: _Door, dashboard: _Door
) -> None:
    assert len(_OF_CUSTOMERS) == len(_CUSTOMERS)
    assert len(_OF_DASHBOARD) > 25
    for door, elsewhere in ((customers, _OF_DASHBOARD), (dashboard, _OF_CUSTOMERS)):
        for path in elsewhere:
            for method in ("GET", "POST"):
                assert door.status(path, method) == 404, (method, path)
                assert f'href="{_OTHER}{path}"' in door.page(path, method), (method, path)


def test_every_page_of_its_own_is_served(customers: _Door, dashboard: _Door) -> None:
    for door, own in ((customers, _OF_CUSTOMERS), (dashboard, _OF_DASHBOARD)):
        for path in own:
            for method in ("GET", "POST"):
                assert door.status(path, method) < 500, (method, path)
                assert f'href="{_OTHER}{path}"' not in door.page(path, method), (method, path)
    assert customers.status("/") == 200
    assert customers.status("/orders/items") == 200
    assert dashboard.status("/login/") == 200
    assert dashboard.status("/dashboard/") == 302


def test_probes_answer_at_both_doors(customers: _Door, dashboard: _Door) -> None:
    for path in _PROBES:
        assert customers.status(path) == dashboard.status(path) == 200


def test_an_address_of_neither_door_is_not_found_as_ever(
    customers: _Door, dashboard: _Door
) -> None:
    for door in (customers, dashboard):
        assert door.status("/nowhere/") == 404
        assert f"{_OTHER}/nowhere/" not in door.page("/nowhere/")


def test_pages_link_to_the_other_door(customers: _Door, dashboard: _Door) -> None:
    menu, login = customers.page("/"), dashboard.page("/login/")
    assert f'href="{_OTHER}/dashboard/"' in menu
    assert "/login/" not in menu
    assert f'href="{_OTHER}/"' in login
    assert 'href="/dashboard/"' in login
    assert 'href="/dashboard/"' in dashboard.page("/nowhere/")


def test_each_door_has_cookies_of_its_own_name(customers: _Door, dashboard: _Door) -> None:
    assert customers.found["cookies"] == ["customers_csrftoken"]
    assert dashboard.found["names"] == ["dashboard_sessionid", "dashboard_csrftoken"]
    assert set(dashboard.found["cookies"]) <= set(dashboard.found["names"])


def test_the_customers_door_needs_and_loads_nothing_of_the_dashboard(customers: _Door) -> None:
    packages = {name.partition(".")[0] for name in customers.found["loaded"]}
    assert "restaurant" in packages
    assert packages.isdisjoint({"dashboard", "aio_pika", "axes"})
    assert customers.found["databases"] == ["default"]
    tables = customers.found["tables"]
    assert "restaurant_order" in tables
    assert not [name for name in tables if name.startswith("dashboard_")]
    assert "django_session" not in tables


def test_a_socket_is_refused_at_the_customers_door(customers: _Door) -> None:
    assert customers.found["socket"] == ["websocket.close"]


def test_each_door_has_the_threads_that_it_needs(customers: _Door, dashboard: _Door) -> None:
    assert customers.found["threads"] == {"orders": 8}
    assert dashboard.found["threads"] == {"orders": 2, "logins": 1, "pages": 4}
    assert pool_of("GET", "/api/health") is Pool.ORDERS
    assert all(Pool.ORDERS in threads for threads in THREADS.values())


def test_one_process_for_both_has_every_page_and_plain_links() -> None:
    both = {str(one.pattern) for one in patterns_of(Door.BOTH)}
    assert both == {str(one.pattern) for one in get_resolver().url_patterns}
    assert {"", "orders", "dashboard/", "admin/", "login/", "api/health"} <= both
    assert door_url("menu") == "/"
    assert door_url("board") == "/dashboard/"
    assert door_url("ticket", _UUID) == f"/ticket/{_UUID}/"
