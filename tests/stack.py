"""The product's real processes on a broker and a database of their own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from local.ports import LOOPBACK, free_ports

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 60.0
_STOP_TIMEOUT_S = 20.0

KITCHENS = {"vlatest": "control", "vnext": "candidate", "vlatest-b": "baseline"}
#: A candidate that cooks as the control does.
EQUAL = "vlatest-c"
EVERYTHING = ("site", "relay", "observer", *KITCHENS)


class Stack:
    """Processes by name; started, stopped, killed, and asked through their own interfaces."""

    def __init__(self, directory: Path, amqp_url: str, settings: Mapping[str, str]) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.amqp_url = amqp_url
        self._directory = directory
        self._database = directory / "kitchen.sqlite3"
        self._postgres = settings.get("DATABASE_URL", "")
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "restaurant.settings",
            "SECRET_KEY": "a key that is used in tests and nowhere else, not even once",
            "DATABASE_URL": f"sqlite:///{self._database}",
            "AMQP_URL": amqp_url,
            "BOARD_PUBLIC": "1",
            "DEADLINE_SECONDS": "5",
            **settings,
        }

    def start(self, *names: str, options: Sequence[str] = ()) -> None:
        """Start processes with options, and wait for the site if it is among them."""
        for name in names:
            log = (self._directory / f"{name}.log").open("ab")
            with log:
                self._running[name] = subprocess.Popen(
                    [sys.executable, *self._command(name), *options],
                    cwd=ROOT,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        if "site" in names:
            until(self._site_answers, "the site answers")

    def stop(self, *names: str, with_signal: int = signal.SIGTERM) -> list[int]:
        """Stop processes as an operator would, and wait for them; gives their exit codes."""
        processes = [self._running.pop(name) for name in names or tuple(self._running)]
        for process in processes:
            process.send_signal(with_signal)
        return [process.wait(_STOP_TIMEOUT_S) for process in processes]

    def manage(self, *arguments: str) -> str:
        """Run a command of manage.py to its end; gives what it printed."""
        code, out, errors = self.run(*arguments)
        assert code == 0, out + errors
        return out + errors

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command of manage.py, whatever comes of it: its exit code, output and errors."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        return done.returncode, done.stdout, done.stderr

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database directly, past all of the product's code; ``?`` stands for a value."""
        if self._postgres:
            with psycopg.connect(self._postgres) as server:
                return server.execute(sql.replace("%", "%%").replace("?", "%s"), values).fetchall()
        with closing(sqlite3.connect(self._database, timeout=20)) as connection, connection:
            return connection.execute(sql, values).fetchall()

    def number(self, sql: str, *values: Any) -> int:
        """The one number that a query gives."""
        return int(self.query(sql, *values)[0][0])

    def post_order(self, items: Sequence[str]) -> dict[str, Any]:
        """Place an order as the original restaurant's clients do."""
        body = json.dumps({"MenuItems": list(items)})
        status, answer = self._ask("POST", "/orders", body)
        assert status == 200, answer
        placed: dict[str, Any] = json.loads(answer)
        return placed

    def log(self, name: str) -> str:
        """What a process has printed."""
        return (self._directory / f"{name}.log").read_text()

    def _command(self, name: str) -> list[str]:
        if role := {**KITCHENS, EQUAL: "candidate"}.get(name):
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


@contextmanager
def a_stack(
    directory: Path, amqp_url: str, *, candidate: str = "vnext", **settings: str
) -> Iterator[Stack]:
    """A stack with an empty database and a first launch; nothing of it runs afterwards."""
    stack = Stack(directory, amqp_url, settings)
    stack.manage("migrate", "--verbosity", "0")
    stack.manage(
        "start_launch", "--name", "First launch", "--control", "vlatest",
        "--candidate", f"{candidate}=100", "--baseline", "vlatest-b=20",
    )  # fmt: skip
    try:
        yield stack
    finally:
        stack.stop()


def until(condition: Callable[[], object], what: str, *, within_s: float = PATIENCE_S) -> None:
    """Wait for a condition; fails with ``what`` when it does not come in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {within_s:g} s in vain: {what}"
        time.sleep(0.05)
