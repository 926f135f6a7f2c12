"""Probes get an answer over plain HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from typing import Any

import pytest

from kitchen_worker.amqp import health as health_module
from kitchen_worker.amqp.health import Health, serve_health


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _asked(port: int, request: bytes) -> tuple[int, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(body)


async def test_ready_is_whether_the_broker_is_there() -> None:
    health, port = Health(), _free_port()
    async with serve_health(port, health):
        assert await _asked(port, b"GET /ready HTTP/1.1\r\n\r\n") == (503, {"ready": False})
        health.set_connected(True)
        assert await _asked(port, b"GET /ready?x=1 HTTP/1.1\r\n\r\n") == (200, {"ready": True})


async def test_live_is_whether_the_loop_makes_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    health, port = Health(), _free_port()
    async with serve_health(port, health):
        assert await _asked(port, b"GET /live HTTP/1.1\r\n\r\n") == (200, {"live": True})
        monkeypatch.setattr(health_module, "STUCK_AFTER_S", 0.0)
        assert await _asked(port, b"GET /live HTTP/1.1\r\n\r\n") == (503, {"live": False})


@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1\r\n\r\n", b"\r\n", b"\xff\xfe\r\n"])
async def test_anything_else_is_not_found(request_line: bytes) -> None:
    port = _free_port()
    async with serve_health(port, Health()):
        status, _ = await _asked(port, request_line)
        assert status == 404


async def test_a_probe_that_talks_without_end_is_hung_up_on() -> None:
    port = _free_port()
    async with serve_health(port, Health()):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x" * 100_000)
        # What is unread when a socket is closed resets the connection.
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


@pytest.mark.parametrize("port", [0, None])
async def test_no_port_serves_nothing(port: int | None) -> None:
    async with serve_health(port, Health()) as served:
        assert served is None
