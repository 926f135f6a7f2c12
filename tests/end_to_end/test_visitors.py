"""One visitor's passwords and sockets cost the others nothing: against the site's real process."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from http.client import HTTPConnection, HTTPException
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.asyncio.client import ClientConnection, connect

from local.ports import LOOPBACK
from tests.stack import Stack, a_stack, until

pytestmark = pytest.mark.serial

_PASSWORDS = 24
_SOCKETS = 60
_CLIENTS = 12
_PATIENCE_S = 120.0
#: The site needs no broker to serve pages and take orders.
_NO_BROKER = "amqp://guest:guest@127.0.0.1:1/"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with a_stack(tmp_path_factory.mktemp("visitors"), _NO_BROKER) as running:
        running.start("site")
        yield running


def _guess(stack: Stack, name: str) -> int:
    """Try a wrong password; the status of the answer."""
    connection = HTTPConnection(LOOPBACK, stack.port, timeout=_PATIENCE_S)
    connection.request("GET", "/login/")
    page = connection.getresponse()
    text, cookie = page.read().decode(), str(page.headers["Set-Cookie"]).partition(";")[0]
    [token] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', text)[:1]
    fields = {"csrfmiddlewaretoken": token, "username": name, "password": "a wrong one"}
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/login/", urlencode(fields), headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def test_orders_do_not_wait_for_passwords(stack: Stack) -> None:
    guessed_meanwhile: list[int] = []
    with ThreadPoolExecutor(_PASSWORDS) as guessers:
        guesses = [guessers.submit(_guess, stack, f"cook-{number}") for number in range(_PASSWORDS)]

        def done() -> int:
            return sum(guess.done() for guess in guesses)

        until(done, "a password is checked")
        while (before := done()) < _PASSWORDS:
            stack.post_order(["burger"])
            guessed_meanwhile.append(done() - before)
    assert {guess.result() for guess in guesses} == {200}
    assert len(guessed_meanwhile) > 10
    # In line behind the passwords, an order would wait for all of them.
    assert max(guessed_meanwhile) < _PASSWORDS / 4


@asynccontextmanager
async def _socket(stack: Stack) -> AsyncIterator[ClientConnection]:
    url = f"ws://{LOOPBACK}:{stack.port}/dashboard/live/"
    async with connect(url, max_size=None, origin=stack.url) as opened:  # type: ignore[arg-type]
        yield opened


async def _frames(socket: ClientConnection, number: int) -> int:
    """Take frames as a browser does, until there were so many."""
    taken = 0
    while taken < number:
        said: dict[str, Any] = json.loads(await socket.recv())
        if said["type"] == "board":
            taken += 1
            await socket.send(json.dumps({"ack": said["n"]}))
    return taken


async def _change_views(stack: Stack, number: int) -> None:
    """Ask for another view all the time, for versions that are not there too."""
    async with _socket(stack) as socket:
        reading = asyncio.create_task(_frames(socket, 1_000_000))
        try:
            for by in cycle(["all", "differing", "failed", "missing", "slower"]):
                version = f"v{number}-{time.monotonic_ns()}"
                await socket.send(json.dumps({"filter": by, "version": version}))
                await asyncio.sleep(0.02)
        finally:
            reading.cancel()


async def test_a_board_moves_while_one_visitor_changes_the_views_of_sixty(stack: Stack) -> None:
    await asyncio.to_thread(stack.manage, "rush", "--orders", "600", "--rate", "1000")
    async with _socket(stack) as board:
        await _frames(board, 2)
        restless = [asyncio.create_task(_change_views(stack, number)) for number in range(_SOCKETS)]
        try:
            async with asyncio.timeout(_PATIENCE_S / 4):
                assert await _frames(board, 10) == 10
            assert not [task for task in restless if task.done()]
        finally:
            for task in restless:
                task.cancel()
            await asyncio.gather(*restless, return_exceptions=True)


def test_a_visitor_has_so_many_sockets(tmp_path: Path) -> None:
    with a_stack(tmp_path, _NO_BROKER, SOCKETS_PER_CLIENT="2") as stack:
        stack.start("site")

        async def third() -> int | None:
            async with _socket(stack), _socket(stack), _socket(stack) as refused:
                await refused.wait_closed()
                return refused.close_code

        assert asyncio.run(third()) == 4429


def test_a_site_that_is_stopped_while_it_serves_ends(tmp_path: Path) -> None:
    with a_stack(tmp_path, _NO_BROKER) as stack, ThreadPoolExecutor(_CLIENTS) as clients:
        stack.start("site")

        def order() -> int:
            taken = 0
            with suppress(OSError, HTTPException):
                while True:
                    stack.post_order(["burger"])
                    taken += 1
            return taken

        ordering = [clients.submit(order) for _ in range(_CLIENTS)]
        until(lambda: stack.number("select count(*) from restaurant_order") > 50, "many order")
        assert stack.stop("site") == [0]
        taken = sum(one.result() for one in ordering)
        assert stack.number("select count(*) from restaurant_order") >= taken > 50
        assert "Traceback" not in stack.log("site")
