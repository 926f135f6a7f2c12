"""The product's real processes, for tests and measurements, on a given broker and database."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from local.ports import LOOPBACK, free_ports
from local.processes import ends_with_us
from local.settings import ROOT

PATIENCE_S = 60.0
_STOP_TIMEOUT_S = 20.0
_COMMAND_TIMEOUT_S = 300.0
#: The processes that serve some of the pages alone.
_OTHER_DOOR = {"customers": "dashboard", "dashboard": "customers"}


def both_files(url: str) -> sqlite3.Connection:
    """One SQLite connection to both databases."""
    file = Path(url.removeprefix("sqlite:///"))
    connection = sqlite3.connect(file, timeout=20)
    dashboard = file.with_name(f"{file.stem}-dashboard{file.suffix}")
    if dashboard.is_file():
        connection.execute("ATTACH DATABASE ? AS dashboard", [str(dashboard)])
    return connection


class StackFailed(AssertionError):
    """Raised when an awaited condition doesn't come; says which."""


class Stack:
    """Processes by name: started, stopped, killed, and used through their own interfaces.

    ``kitchens``: the role of each version that may be started. ``urls``: the AMQP_URL of each
    broker user, if processes have their own users. ``root``: the checkout to start.
    """

    def __init__(
        self,
        directory: Path,
        amqp_url: str,
        settings: Mapping[str, str],
        *,
        kitchens: Mapping[str, str],
        urls: Mapping[str, str] | None = None,
        root: Path = ROOT,
    ) -> None:
        self.ports = dict(
            zip(("site", *_OTHER_DOOR), free_ports(1 + len(_OTHER_DOOR)), strict=True)
        )
        self.port = self.ports["site"]
        self.url = self.url_of("site")
        self.amqp_url = amqp_url
        self._directory = directory
        self._root = root
        self._kitchens = kitchens
        self._urls = urls or {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._server: psycopg.Connection | None = None
        self._environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "restaurant.settings",
            "SECRET_KEY": "a key that is used in tests and nowhere else, not even once",
            "DATABASE_URL": f"sqlite:///{directory / 'kitchen.sqlite3'}",
            "AMQP_URL": amqp_url,
            "BOARD_PUBLIC": "1",
            "DEADLINE_SECONDS": "5",
            # All clients of tests and bench share this machine's address.
            "ORDERS_PER_MINUTE": "0",
            "LOGINS_PER_MINUTE": "0",
            "SOCKETS_PER_CLIENT": "0",
            **settings,
        }

    def url_of(self, name: str) -> str:
        """Where a process with pages is: `site` has all, `customers` and `dashboard` their own."""
        return f"http://{LOOPBACK}:{self.ports[name]}"

    def door(self, name: str) -> dict[str, str]:
        """The settings of a process that has one door alone."""
        return {"DOOR": name, "OTHER_DOOR": self.url_of(_OTHER_DOOR[name])}

    def start(self, *names: str, options: Sequence[str] = (), **settings: str) -> None:
        """Start processes with options, and wait for the site if it is one of them."""
        for name in names:
            log = (self._directory / f"{name}.log").open("ab")
            with log:
                self._running[name] = subprocess.Popen(
                    ends_with_us([sys.executable, *self._command(name), *options]),
                    cwd=self._root,
                    env=self._environment_of(name) | settings,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        for name in self.ports.keys() & set(names):
            until(partial(self._is_ready, name), f"{name} answers")
        if "observer" in names and "relay" in self._running:
            # What the control does before the observer's queue exists is lost.
            until(lambda: "takes events from" in self.log("observer"), "the observer has its queue")

    def stop(self, *names: str, with_signal: int = signal.SIGTERM) -> list[int]:
        """Stop processes as an operator would, and wait; returns their exit codes."""
        processes = [self._running.pop(name) for name in names or tuple(self._running)]
        for process in processes:
            process.send_signal(with_signal)
        if self._server is not None and not names:
            self._server.close()
        return [process.wait(_STOP_TIMEOUT_S) for process in processes]

    def ended(self, name: str) -> int:
        """Wait until a process has ended by itself; returns its exit code."""
        return self._running.pop(name).wait(PATIENCE_S)

    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._running.items()}

    def manage(self, *arguments: str) -> str:
        """Run a manage.py command that must succeed; returns its output."""
        code, out, errors = self.run(*arguments)
        if code:
            raise StackFailed(f"manage.py {' '.join(arguments)}: {out}{errors}")
        return out + errors

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a manage.py command; returns exit code, output and errors."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self._root,
            env=self._environment_of("site"),
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT_S,
        )
        return done.returncode, done.stdout, done.stderr

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Query the database directly, bypassing the product's code; ``?`` is a placeholder."""
        url = self._environment["DATABASE_URL"]
        if not url.startswith("sqlite:"):
            if self._server is None or self._server.closed:
                self._server = psycopg.connect(url, autocommit=True)
            words = sql.replace("%", "%%").replace("?", "%s")
            answer = self._server.execute(words, values)
            return answer.fetchall() if answer.description else []
        with closing(both_files(url)) as connection, connection:
            return connection.execute(sql, values).fetchall()

    def number(self, sql: str, *values: Any) -> int:
        """The single number that a query returns."""
        return int(self.query(sql, *values)[0][0])

    def post_order(self, items: Sequence[str]) -> dict[str, Any]:
        """Place an order as the original restaurant's clients do."""
        body = json.dumps({"MenuItems": list(items)})
        status, answer = self._ask("POST", "/orders", body)
        if status != 200:
            raise StackFailed(f"POST /orders: {status} {answer}")
        placed: dict[str, Any] = json.loads(answer)
        return placed

    def status_of(self, path: str) -> int:
        """The status of a page."""
        return self._ask("GET", path)[0]

    def log(self, name: str) -> str:
        return (self._directory / f"{name}.log").read_text()

    def _environment_of(self, name: str) -> dict[str, str]:
        user = f"kitchen-{name}" if name in self._kitchens else name
        url = self._urls.get(user, self._urls.get("site", self.amqp_url))
        own = self.door(name) if name in _OTHER_DOOR else {}
        return self._environment | {"AMQP_URL": url} | own

    def _command(self, name: str) -> list[str]:
        if role := self._kitchens.get(name):
            return ["-m", "kitchen_worker", "--version", name, "--role", role]
        if name in self.ports:
            words = ["-m", "daphne", "-b", LOOPBACK, "-p", str(self.ports[name])]
            return [*words, "restaurant.asgi:application"]
        return {
            "relay": ["manage.py", "relay"],
            "observer": ["manage.py", "observe"],
            "rush": ["manage.py", "rush"],
        }[name]

    def _is_ready(self, name: str) -> bool:
        try:
            return self._ask("GET", "/api/ready", at=name)[0] == 200
        except OSError:
            return False

    def _ask(
        self, method: str, path: str, body: str | None = None, *, at: str = "site"
    ) -> tuple[int, str]:
        port = self.ports[at]
        with closing(http.client.HTTPConnection(LOOPBACK, port, timeout=20)) as connection:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


def until(condition: Callable[[], object], what: str, *, within_s: float = PATIENCE_S) -> None:
    """Wait for a condition; fails with ``what`` if it doesn't come in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise StackFailed(f"waited {within_s:g} s in vain: {what}")
        time.sleep(0.05)
