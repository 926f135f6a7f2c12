"""Limits per client, who is identified by the trusted proxies."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now
from pytest_django.fixtures import Settings

from restaurant import visitors
from restaurant.models import Order
from restaurant.visitors import ClientAddress, LimitedSockets, RateLimit, network_of


@pytest.fixture(autouse=True)
def _nobody_has_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "_orders", RateLimit())
    monkeypatch.setattr(visitors, "_logins", RateLimit())
    # A password may take long to check on a busy machine.
    monkeypatch.setattr(visitors, "monotonic", lambda: 100.0)


def _limit(settings: Settings, **limits: int) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, **limits)


def _order(client: Client, address: str = "192.0.2.1") -> Any:
    body = json.dumps({"menuItems": ["burger"]})
    return client.post("/orders", body, content_type="application/json", REMOTE_ADDR=address)


def test_a_rate_lets_a_few_pass_at_once_and_then_one_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(visitors, "monotonic", lambda: now)
    rate = RateLimit()
    assert [rate.wait_s("a", per_minute=30) for _ in range(6)] == [0, 0, 0, 0, 0, 2]
    assert rate.wait_s("b", per_minute=30) == 0
    now += 2
    assert [rate.wait_s("a", per_minute=30) for _ in range(2)] == [0, 2]
    now += 3600
    assert [rate.wait_s("a", per_minute=1) for _ in range(2)] == [0, 60]


def test_no_limit_lets_everything_pass() -> None:
    rate = RateLimit()
    assert not any(rate.wait_s("a", per_minute=0) for _ in range(1000))


def test_clients_without_number_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "_MOST_CLIENTS", 10)
    rate = RateLimit()
    for number in range(100):
        rate.wait_s(str(number), per_minute=1)
    assert len(rate._even_at) == 10


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", ""),
        ("a unix socket", "a unix socket"),
    ],
)
def test_an_ipv6_network_is_one_client(address: str, client: str) -> None:
    assert network_of(address) == client


@pytest.mark.django_db
def test_a_client_that_orders_too_often_is_asked_to_wait_and_no_other(settings: Settings) -> None:
    _limit(settings, orders_per_minute=12)
    answers = [_order(Client()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 5
    [error] = answers[-1].json()["errors"]
    assert error["code"] == "too_many_requests"
    assert _order(Client(), "192.0.2.2").status_code == 200
    assert Order.objects.count() == 3


@pytest.mark.django_db
@pytest.mark.parametrize("headers", [{}, {"hx-request": "true"}])
def test_who_orders_too_often_by_the_page_keeps_the_form(
    settings: Settings, headers: dict[str, str]
) -> None:
    _limit(settings, orders_per_minute=6)
    _order(Client(), "127.0.0.1")
    form = {"quantity-burger": "2", "note": "no onions"}
    page = Client().post(reverse("menu"), form, headers=headers)
    assert page.status_code == 429
    assert int(page.headers["Retry-After"]) >= 1
    text = page.content.decode()
    assert "Too many orders came from your address" in text
    assert "no onions" in text


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/login/", "/admin/login/"])
def test_a_client_that_tries_too_many_passwords_is_asked_to_wait(
    settings: Settings, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    _limit(settings, logins_per_minute=12)
    pages = [
        Client().post(path, {"username": f"cook-{number}", "password": "wrong"})
        for number in range(3)
    ]
    assert [page.status_code for page in pages] == [200, 200, 429]
    assert int(pages[-1].headers["Retry-After"]) >= 1
    assert "Try again in" in pages[-1].content.decode()
    assert "too many logins from 127.0.0.1" in caplog.text
    assert Client().get(path).status_code == 200


@pytest.mark.django_db
def test_a_name_that_is_locked_has_the_whole_wait_named_also_to_a_client_that_tries_too_often(
    settings: Settings,
) -> None:
    _limit(settings, logins_per_minute=12)
    settings.AXES_FAILURE_LIMIT = 2
    wrong = {"username": "cook", "password": "a wrong one"}
    pages = [
        Client(HTTP_USER_AGENT=f"browser {number}").post("/login/", wrong) for number in range(3)
    ]
    assert [page.status_code for page in pages] == [200, 429, 429]
    waits = [int(page.headers["Retry-After"]) for page in pages[1:]]
    assert min(waits) > settings.ENVIRONMENT.login_lock_s - 30, waits
    assert f"Try again in {waits[1]} seconds" in pages[2].content.decode()
    for name in ("somebody else", "no\0name"):
        other = Client().post("/login/", {**wrong, "username": name})
        assert (other.status_code, int(other.headers["Retry-After"]) < 30) == (429, True)


@pytest.mark.django_db
def test_the_wait_that_is_named_is_what_is_left_of_the_lock(settings: Settings) -> None:
    settings.AXES_FAILURE_LIMIT = 1
    wrong = {"username": "cook", "password": "a wrong one"}
    Client().post("/login/", wrong)
    AccessAttempt.objects.update(
        attempt_time=now() - settings.AXES_COOLOFF_TIME + timedelta(seconds=60)
    )
    assert 30 < int(Client().post("/login/", wrong).headers["Retry-After"]) <= 60


@pytest.mark.django_db
def test_wrong_passwords_are_logged_and_lock_the_name_for_the_address_that_guessed(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    get_user_model().objects.create_user("cook", password="the right one")
    client = Client()
    wrong = {"username": "cook", "password": "a wrong one"}
    right = {"username": "cook", "password": "the right one"}
    statuses = [client.post("/login/", wrong).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 200, 429]
    locked = client.post("/login/", right)
    assert locked.status_code == 429
    assert "default-src 'self'" in locked.headers["Content-Security-Policy"]
    assert 0 <= settings.ENVIRONMENT.login_lock_s - int(locked.headers["Retry-After"]) < 30
    assert "login failure by" in caplog.text
    assert "127.0.0.1" in caplog.text
    assert "a wrong one" not in caplog.text
    assert client.post("/login/", right, REMOTE_ADDR="192.0.2.9").status_code == 302


@pytest.mark.django_db
def test_an_ordinary_login_is_not_hindered() -> None:
    get_user_model().objects.create_user("cook", password="the right one")
    client = Client()
    for password in ("mistyped", "the right one", "mistyped", "mistyped", "the right one") * 2:
        client.post("/login/", {"username": "cook", "password": password})
    assert client.get("/dashboard/").status_code == 200


@pytest.mark.parametrize(
    ("proxies", "forwarded", "client"),
    [
        (0, ["203.0.113.9"], "10.0.0.1"),
        (1, [], "10.0.0.1"),
        (1, ["203.0.113.9"], "203.0.113.9"),
        (1, ["made up, 203.0.113.9"], "203.0.113.9"),
        (1, ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        (2, ["198.51.100.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        (2, ["203.0.113.9"], "10.0.0.1"),
        (1, ["unknown"], "10.0.0.1"),
        (1, ["2001:db8::1"], "2001:db8::1"),
    ],
)
def test_a_client_is_known_from_as_many_proxies_as_are_trusted(
    proxies: int, forwarded: list[str], client: str
) -> None:
    seen: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["client"][0])

    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    scope = {"type": "http", "headers": headers, "client": ["10.0.0.1", 4711]}
    asyncio.run(ClientAddress(application, proxies=proxies)(scope, None, None))
    assert seen == [client]


async def test_a_client_holds_so_many_sockets_and_no_more() -> None:
    leave = asyncio.Event()
    served = 0

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal served
        served += 1
        await leave.wait()

    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    limited = LimitedSockets(application, per_client=2)
    here, there = {"client": ["192.0.2.1", 1]}, {"client": ["192.0.2.2", 1]}
    opened = [asyncio.create_task(limited(scope, receive, send)) for scope in (here, here, there)]
    await asyncio.sleep(0)
    await limited(here, receive, send)
    assert served == 3
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert sent[-1]["code"] == visitors.TOO_MANY_SOCKETS
    leave.set()
    await asyncio.gather(*opened)
    await limited(here, receive, send)
    assert served == 4
    assert not limited._open
