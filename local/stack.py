"""The product's real processes, for who tests or times them: on a broker and a database given."""

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
from pathlib import Path
from typing import Any

import psycopg

from local.ports import LOOPBACK, free_ports
from local.processes import ends_with_us
from local.settings import ROOT

PATIENCE_S = 60.0
_STOP_TIMEOUT_S = 20.0
_COMMAND_TIMEOUT_S = 300.0


class StackFailed(AssertionError):
    """Raised when the product does not do what is waited for; says what that was."""


class Stack:
    """Processes by name; started, stopped, killed, and asked through their own interfaces.

    ``kitchens``: the role of each version that may be started. ``urls``: the AMQP_URL of each
    broker user, where processes have users of their own. ``root``: the checkout that is started.
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
        (self.port,) = free_ports(1)
        self.url = f"http://{LOOPBACK}:{self.port}"
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
            # Every client of a test or of the bench has this machine's address.
            "ORDERS_PER_MINUTE": "0",
            "LOGINS_PER_MINUTE": "0",
            "SOCKETS_PER_CLIENT": "0",
            **settings,
        }

    def start(self, *names: str, options: Sequence[str] = ()) -> None:
        """Start processes with options, and wait for the site if it is among them."""
        for name in names:
            log = (self._directory / f"{name}.log").open("ab")
            with log:
                self._running[name] = subprocess.Popen(
                    ends_with_us([sys.executable, *self._command(name), *options]),
                    cwd=self._root,
                    env=self._environment_of(name),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        if "site" in names:
            until(self._site_answers, "the site answers")
        if "observer" in names and "relay" in self._running:
            # What the control does before the observer has its first queue, nobody learns.
            until(lambda: "takes events from" in self.log("observer"), "the observer has its queue")

    def stop(self, *names: str, with_signal: int = signal.SIGTERM) -> list[int]:
        """Stop processes as an operator would, and wait for them; gives their exit codes."""
        processes = [self._running.pop(name) for name in names or tuple(self._running)]
        for process in processes:
            process.send_signal(with_signal)
        if self._server is not None and not names:
            self._server.close()
        return [process.wait(_STOP_TIMEOUT_S) for process in processes]

    def ended(self, name: str) -> int:
        """Wait until a process has ended by itself; its exit code."""
        return self._running.pop(name).wait(PATIENCE_S)

    def pids(self) -> dict[str, int]:
        """The processes that were started, by name."""
        return {name: process.pid for name, process in self._running.items()}

    def manage(self, *arguments: str) -> str:
        """Run a command of manage.py to its end; gives what it printed."""
        code, out, errors = self.run(*arguments)
        if code:
            raise StackFailed(f"manage.py {' '.join(arguments)}: {out}{errors}")
        return out + errors

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command of manage.py, whatever comes of it: its exit code, output and errors."""
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
        """Ask the database directly, past all of the product's code; ``?`` stands for a value."""
        url = self._environment["DATABASE_URL"]
        if not url.startswith("sqlite:"):
            if self._server is None or self._server.closed:
                self._server = psycopg.connect(url, autocommit=True)
            words = sql.replace("%", "%%").replace("?", "%s")
            return self._server.execute(words, values).fetchall()
        file = url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(file, timeout=20)) as connection, connection:
            return connection.execute(sql, values).fetchall()

    def number(self, sql: str, *values: Any) -> int:
        """The one number that a query gives."""
        return int(self.query(sql, *values)[0][0])

    def post_order(self, items: Sequence[str]) -> dict[str, Any]:
        """Place an order as the original restaurant's clients do."""
        body = json.dumps({"MenuItems": list(items)})
        status, answer = self._ask("POST", "/orders", body)
        if status != 200:
            raise StackFailed(f"POST /orders: {status} {answer}")
        placed: dict[str, Any] = json.loads(answer)
        return placed

    def log(self, name: str) -> str:
        """What a process has printed."""
        return (self._directory / f"{name}.log").read_text()

    def _environment_of(self, name: str) -> dict[str, str]:
        user = f"kitchen-{name}" if name in self._kitchens else name
        url = self._urls.get(user, self._urls.get("site", self.amqp_url))
        return self._environment | {"AMQP_URL": url}

    def _command(self, name: str) -> list[str]:
        if role := self._kitchens.get(name):
            return ["-m", "kitchen_worker", "--version", name, "--role", role]
        return {
            "site": [
                "-m", "daphne", "-b", LOOPBACK, "-p", str(self.port), "restaurant.asgi:application"
            ],
            "relay": ["manage.py", "relay"],
            "observer": ["manage.py", "observe"],
            "rush": ["manage.py", "rush"],
        }[name]  # fmt: skip

    def _site_answers(self) -> bool:
        try:
            return self._ask("GET", "/api/ready")[0] == 200
        except OSError:
            return False

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        with closing(http.client.HTTPConnection(LOOPBACK, self.port, timeout=20)) as connection:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


def until(condition: Callable[[], object], what: str, *, within_s: float = PATIENCE_S) -> None:
    """Wait for a condition; fails with ``what`` when it does not come in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise StackFailed(f"waited {within_s:g} s in vain: {what}")
        time.sleep(0.05)
