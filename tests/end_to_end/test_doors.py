"""Customers and staff at two processes, with one database and one broker between them."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from collections.abc import Iterator
from copy import copy
from http.client import HTTPResponse
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.stack import KITCHENS, Stack, a_stack

pytestmark = pytest.mark.broker

_PATIENCE_S = 60.0
_PASSWORD = "a cook's word of honour"
_MENU, _BOARD = "/", "/dashboard/"


class _Browser:
    """Keeps cookies as browsers do: by host name, whatever the port."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.cookies = CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.cookies)
        )

    def get(self, door: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
        """The status, the address and the text of the page that one gets in the end."""
        data = urlencode(form).encode() if form is not None else None
        try:
            answer: HTTPResponse | HTTPError = self._opener.open(
                f"{self._stack.url_of(door)}{path}", data, timeout=_PATIENCE_S
            )
        except HTTPError as refused:
            answer = refused
        with answer:
            return answer.status or 0, answer.url, answer.read().decode()

    def send(self, door: str, path: str, **fields: str) -> tuple[int, str, str]:
        """Fill in the form of a page, and send it; with the hidden fields that the page gave it."""
        _, _, page = self.get(door, path)
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
        return self.get(door, path, {**hidden, **fields})

    @property
    def cookie_header(self) -> str:
        return "; ".join(f"{one.name}={one.value}" for one in self.cookies)


@pytest.fixture
def stack(tmp_path: Path, amqp_url: str) -> Iterator[Stack]:
    with a_stack(tmp_path, amqp_url, BOARD_PUBLIC="0") as one:
        one.manage(
            "shell",
            "-c",
            "from django.contrib.auth import get_user_model as users;"
            f'users().objects.create_superuser("cook", password="{_PASSWORD}")',
        )
        yield one


async def _until_on_the_board(stack: Stack, browser: _Browser, order_id: str) -> None:
    url = f"{stack.url_of('dashboard').replace('http', 'ws')}/dashboard/live/"
    headers = {"Cookie": browser.cookie_header}
    async with (
        asyncio.timeout(_PATIENCE_S),
        connect(
            url,
            max_size=None,
            additional_headers=headers,
            origin=stack.url_of("dashboard"),  # type: ignore[arg-type]
        ) as board,
    ):
        async for frame in board:
            if order_id in str(frame):
                return
            if "n" in (told := json.loads(frame)):
                await board.send(json.dumps({"ack": told["n"]}))


async def _handshake(stack: Stack, door: str) -> int:
    url = f"{stack.url_of(door).replace('http', 'ws')}/dashboard/live/"
    try:
        async with connect(url, origin=stack.url_of(door)):  # type: ignore[arg-type]
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def test_customers_and_staff_have_a_door_each(stack: Stack) -> None:
    stack.start("relay", **stack.door("customers"))
    stack.start("observer", "customers", "dashboard", *KITCHENS)
    browser = _Browser(stack)

    # Neither door has the pages of the other one.
    for door, elsewhere in (
        ("customers", (_BOARD, "/dashboard/how/", "/dashboard/live/", "/admin/", "/login/")),
        ("dashboard", (_MENU, "/orders", "/orders/items")),
    ):
        for path in elsewhere:
            status, _, page = browser.get(door, path)
            other = "dashboard" if door == "customers" else "customers"
            assert status == 404, (door, path)
            assert f'href="{stack.url_of(other)}{path}"' in page
        assert browser.get(door, "/api/health")[0] == browser.get(door, "/api/ready")[0] == 200
    assert asyncio.run(_handshake(stack, "customers")) == 403

    # A login at one door is none at the other, and the cookies of both live side by side.
    _, url, _ = browser.send("dashboard", "/login/", username="cook", password=_PASSWORD)
    assert url == f"{stack.url_of('dashboard')}{_BOARD}"
    status, _, menu = browser.get("customers", _MENU)
    assert status == 200
    assert "Log out" not in menu
    names = {one.name for one in browser.cookies}
    assert names == {"dashboard_sessionid", "dashboard_csrftoken", "customers_csrftoken"}
    stranger = _Browser(stack)
    [session] = [one for one in browser.cookies if one.name == "dashboard_sessionid"]
    moved = copy(session)
    moved.name = "customers_sessionid"
    stranger.cookies.set_cookie(moved)
    assert "Log out" not in stranger.get("customers", _MENU)[2]
    assert stranger.get("dashboard", _BOARD)[1].startswith(f"{stack.url_of('dashboard')}/login/")

    # An order at the one shows at the other, which links back to its ticket.
    status, ticket, _ = browser.send("customers", _MENU, **{"quantity-burger": "1"})
    assert status == 200
    assert ticket.startswith(f"{stack.url_of('customers')}/ticket/")
    order_id = ticket.rstrip("/").rpartition("/")[2]
    asyncio.run(_until_on_the_board(stack, browser, order_id))
    status, _, page = browser.get("dashboard", f"/dashboard/orders/{order_id}/")
    assert status == 200
    assert f'href="{ticket}"' in page
    assert f"curl -X POST {stack.url_of('customers')}/orders" in page
    assert (
        f'<a href="{stack.url_of("customers")}/">View site</a>'
        in browser.get("dashboard", "/admin/")[2]
    )

    # Logging out ends at the same door.
    _, _, board = browser.get("dashboard", _BOARD)
    [token] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', board)[:1]
    _, url, _ = browser.get("dashboard", "/logout/", {"csrfmiddlewaretoken": token})
    assert url == f"{stack.url_of('dashboard')}/login/"
