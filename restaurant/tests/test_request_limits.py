"""A real server hands every body over, whatever its type: our API alone judges it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from local.ports import LOOPBACK, answers, free_ports
from local.settings import ROOT

_PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "daphne", "-b", LOOPBACK, "-p", str(port)]
    environ = {**os.environ, "SECRET_KEY": "of a test", "DATABASE_URL": "sqlite:///:memory:"}
    server = subprocess.Popen([*command, "restaurant.asgi:application"], cwd=ROOT, env=environ)
    deadline = time.monotonic() + _PATIENCE_S
    while not answers(port):
        assert server.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield port
    server.terminate()
    server.wait(_PATIENCE_S)


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
    port: int, kind: str, body: bytes, code: bytes
) -> None:
    connection = HTTPConnection(LOOPBACK, port, timeout=_PATIENCE_S)
    connection.request("POST", "/orders", body, {"Content-Type": kind})
    response = connection.getresponse()
    assert response.status == 400
    assert response.headers["Content-Type"] == "application/json"
    assert b'{"errors": [{"code": "' + code in response.read()
    connection.close()
