"""`make run`, whole: it comes up, takes an order, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from local.broker_node import BrokerNode
from local.ports import LOOPBACK, free_ports
from local.processes import is_running
from local.settings import BROKER, ROOT, environment

_PATIENCE_S = 120.0


class _Run:
    """A `make run` with a directory and a port of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (self.port,) = free_ports(1)
        self.log = directory.with_suffix(".log")
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Start it as a shell does in the background: with SIGINT ignored."""
        given = {"RUN_DIRECTORY": str(self.directory), "PORT": str(self.port), "AMQP_URL": ""}
        command = f"trap '' INT; exec {sys.executable} -m local.run"
        with self.log.open("wb") as log:
            return subprocess.Popen(
                ["sh", "-c", command],
                cwd=ROOT,
                env=_unset(os.environ) | given,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while "Dark Kitchen is ready." not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def interrupt(self) -> int:
        """Press Ctrl-C; gives the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(_PATIENCE_S)

    def processes(self) -> list[int]:
        """Every process on this machine that knows the directory, but us."""
        numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        naming = str(self.directory)
        return [pid for pid in numbers if pid != os.getpid() and is_running(pid, naming=naming)]


def _unset(given: Mapping[str, str]) -> dict[str, str]:
    names = ("AMQP_URL", "DATABASE_URL", "HOST", "SECRET_KEY", "STATIC_ROOT")
    return {name: value for name, value in given.items() if name not in names}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[_Run]:
    running = _Run(tmp_path / "run")
    yield running
    if running.process.poll() is None:
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(_PATIENCE_S)


@pytest.mark.broker
def test_a_run_takes_an_order_and_ctrl_c_leaves_no_process(run: _Run) -> None:
    run.wait_until_ready()
    log = run.log.read_text()
    site = f"http://{LOOPBACK}:{run.port}"
    assert {f"{site}/", f"{site}/dashboard/", f"{site}/admin/"} <= set(re.findall(r"http\S+", log))
    assert f"{BrokerNode(run.directory / BROKER).url} (private)" in log
    request = urllib.request.Request(  # noqa: S310 - our own site
        f"{site}/orders",
        data=json.dumps({"MenuItems": ["burger", "fries"]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - our own site
        assert json.load(response)["totalPrice"] == 5
    connected = BrokerNode(run.directory / BROKER).control("list_connections", "user").split()
    kitchens = {"kitchen-vlatest", "kitchen-vnext", "kitchen-vlatest-b"}
    # The site connects for a board alone, and none is open.
    assert set(connected) - {"user"} == {"relay", "observer", *kitchens}
    assert len(run.processes()) >= 8
    assert run.interrupt() == 0
    assert run.processes() == []


@pytest.mark.broker
def test_a_run_that_is_stopped_while_it_starts_leaves_no_process(run: _Run) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    output = run.directory / "broker" / "output.log"
    while not (output.exists() and output.stat().st_size):  # the node is on its way up
        assert time.monotonic() < deadline
        time.sleep(0.01)
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(_PATIENCE_S) == 0
    assert run.processes() == []


def test_a_port_that_is_taken_is_named_with_a_way_out(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        refused = subprocess.run(
            [sys.executable, "-m", "local.run"],
            cwd=ROOT,
            env={**os.environ, "RUN_DIRECTORY": str(tmp_path / "run"), "PORT": str(port)},
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
        )
    assert refused.returncode == 1
    assert f"Port {port} is in use. Choose another one: PORT=8001 make run" in refused.stderr


def test_one_door_alone_is_not_run(tmp_path: Path) -> None:
    given = {"RUN_DIRECTORY": str(tmp_path / "run"), "DOOR": "customers"}
    refused = subprocess.run(
        [sys.executable, "-m", "local.run"],
        cwd=ROOT,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
    )
    assert refused.returncode == 1
    assert "Unset DOOR and OTHER_DOOR." in refused.stderr


def test_the_secrets_are_kept_and_nobody_else_reads_them(tmp_path: Path) -> None:
    given = {"RUN_DIRECTORY": str(tmp_path / "run")}
    first = environment(given)
    assert environment(given)["SECRET_KEY"] == first["SECRET_KEY"]
    assert (tmp_path / "run" / "secrets.json").stat().st_mode & 0o077 == 0
    assert (
        environment({"RUN_DIRECTORY": str(tmp_path / "other")})["SECRET_KEY"]
        != (first["SECRET_KEY"])
    )


def test_what_the_person_sets_counts_and_an_empty_setting_is_none(tmp_path: Path) -> None:
    given = {"RUN_DIRECTORY": str(tmp_path / "run"), "DEADLINE_SECONDS": "60", "BOARD_PUBLIC": ""}
    made = environment(given)
    assert (made["DEADLINE_SECONDS"], made["BOARD_PUBLIC"]) == ("60", "1")
