"""A real server refuses what is too long or too slow, and hands everything else over as it came."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path

import pytest
from daphne.cli import CommandLineInterface
from daphne.http_protocol import HTTPFactory, WebRequest

from local.ports import LOOPBACK, answers, free_ports
from local.settings import ROOT
from restaurant.api import MAX_BODY
from restaurant.environment import Door
from restaurant.thread_pools import THREADS, Pool

_PATIENCE_S = 60.0
_REQUEST_S = 2.0
_ORDER_THREADS = THREADS[Door.BOTH][Pool.ORDERS]
_MB = 1024 * 1024
_HEAD = b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
_LARGE = 64 * _MB


class _Server:
    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        command = [sys.executable, "-m", "daphne", "-b", LOOPBACK, "-p", str(self.port)]
        environ = {
            **os.environ,
            "DATABASE_URL": "sqlite:///:memory:",
            "REQUEST_SECONDS": str(_REQUEST_S),
        }
        self.process = subprocess.Popen(
            [*command, "restaurant.asgi:application"], cwd=ROOT, env=environ
        )
        deadline = time.monotonic() + _PATIENCE_S
        while not answers(self.port):
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def connect(self) -> socket.socket:
        return socket.create_connection((LOOPBACK, self.port), timeout=_PATIENCE_S)

    def most_memory(self) -> int:
        """Bytes that the process has held at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def files(self) -> list[str]:
        """What it has open, files without a name included."""
        found = []
        for link in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(OSError):
                found.append(str(link.readlink()))
        return found


@pytest.fixture(scope="module")
def server() -> Iterator[_Server]:
    running = _Server()
    yield running
    running.process.terminate()
    running.process.wait(_PATIENCE_S)


def _read(client: socket.socket) -> bytes:
    """All that comes until the server closes, also when it does so in the middle of our sending."""
    answer = b""
    with suppress(ConnectionError):
        while part := client.recv(65536):
            answer += part
    return answer


def _by_length(body: int) -> Iterator[bytes]:
    yield b"Content-Length: %d\r\n\r\n" % body
    yield from (b"x" * _MB for _ in range(body // _MB))


def _in_chunks(body: int) -> Iterator[bytes]:
    yield b"Transfer-Encoding: chunked\r\n\r\n"
    yield from (b"%x\r\n%s\r\n" % (_MB, b"x" * _MB) for _ in range(body // _MB))
    yield b"0\r\n\r\n"


@pytest.mark.parametrize("body", [_by_length(_LARGE), _in_chunks(_LARGE)], ids=["length", "chunks"])
def test_a_body_that_is_too_long_is_refused_and_kept_nowhere(
    server: _Server, body: Iterator[bytes]
) -> None:
    before, known = server.most_memory(), set(server.files())
    with closing(server.connect()) as client:
        client.sendall(_HEAD)
        files: set[str] = set()
        for part in body:
            client.sendall(part)
            files.update(server.files())
        answer = _read(client)
    assert answer.startswith(b"HTTP/1.1 413 Content Too Large\r\n")
    assert b'{"errors": [{"code": "body_too_large"' in answer
    assert server.most_memory() - before < 8 * _MB
    assert not [name for name in files - known if "deleted" in name]


def test_who_asks_before_sending_is_refused_before_sending(server: _Server) -> None:
    with closing(server.connect()) as client:
        client.sendall(_HEAD + b"Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_just_the_length_is_judged_by_the_api(server: _Server) -> None:
    connection = HTTPConnection(LOOPBACK, server.port, timeout=_PATIENCE_S)
    for _ in range(2):  # on one connection
        connection.request("POST", "/orders", b" " * MAX_BODY)
        response = connection.getresponse()
        assert response.status == 400
        assert b"not_json" in response.read()
    connection.close()


@pytest.mark.parametrize(
    "begun",
    [b"", b"POST /ord", _HEAD, _HEAD + b"Content-Length: 9999\r\n\r\n{"],
    ids=["nothing", "line", "headers", "body"],
)
def test_who_sends_a_byte_now_and_then_is_cut_off(server: _Server, begun: bytes) -> None:
    with closing(server.connect()) as client:
        client.sendall(begun)
        began_at = time.monotonic()
        is_closed = False
        while not is_closed and time.monotonic() - began_at < _PATIENCE_S / 2:
            is_readable, _, _ = select.select([client], [], [], 0.1)
            try:
                is_closed = bool(is_readable) and client.recv(1) == b""
                client.sendall(b"a" if begun else b"")
            except ConnectionError:
                is_closed = True
        took_s = time.monotonic() - began_at
    assert is_closed
    assert _REQUEST_S * 0.9 < took_s < _REQUEST_S + 5


def test_slow_senders_hold_no_threads(server: _Server) -> None:
    with ExitStack() as opened:
        slow = [opened.enter_context(closing(server.connect())) for _ in range(2 * _ORDER_THREADS)]
        for client in slow:
            client.sendall(_HEAD + b"Content-Length: 9999\r\n\r\n{")
        connection = HTTPConnection(LOOPBACK, server.port, timeout=_PATIENCE_S)
        connection.request("POST", "/orders", b"soup")
        assert connection.getresponse().status == 400
        connection.close()
        assert select.select(slow, [], [], 0)[0] == []


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded; charset=none",
        "image/png",
    ],
)
@pytest.mark.parametrize(
    ("body", "code"), [(b"soup", b"not_json"), (b'{"menuItems": 1}', b"wrong_type")]
)
def test_a_body_of_any_type_is_judged_by_the_api(
    server: _Server, kind: str, body: bytes, code: bytes
) -> None:
    connection = HTTPConnection(LOOPBACK, server.port, timeout=_PATIENCE_S)
    connection.request("POST", "/orders", body, {"Content-Type": kind})
    response = connection.getresponse()
    assert response.status == 400
    assert response.headers["Content-Type"] == "application/json"
    assert b'{"errors": [{"code": "' + code in response.read()
    connection.close()


def test_the_shim_was_checked_with_the_versions_that_are_installed() -> None:
    """When this fails, read `restaurant/request_limits.py` beside the new version, and name it."""
    assert version("daphne").startswith("4.2.")
    assert version("twisted").startswith("26.")


def test_daphne_has_no_limits_of_its_own_yet() -> None:
    """When this fails, `restaurant/request_limits.py` may go: use what Daphne has."""
    options = CommandLineInterface().parser.format_help()
    assert "body" not in options
    assert "request-timeout" not in options
    assert not {"gotLength", "handleContentChunk"} & vars(WebRequest).keys()
    assert not {"protocol", "timeOut"} & vars(HTTPFactory).keys()
