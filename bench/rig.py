"""What a goal is given to measure with: time, servers, and the product's processes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Self

from bench.servers import Engine, Servers
from local.stack import Stack
from restaurant.environment import MOST_BLOCKS_A_DEADLINE

CONTROL = "vlatest"
#: Rounds of floor and product in turn, at most.
_ROUNDS, _QUICK_ROUNDS = 5, 2


class Rig:
    """One goal's share of a run of the bench; closed, it leaves nothing behind."""

    def __init__(self, folder: Path, quick: bool, seconds: float, *, servers: Servers) -> None:
        self.folder = folder
        self.quick = quick
        self.rounds = _QUICK_ROUNDS if quick else _ROUNDS
        self.servers = servers
        self._ends_at = time.monotonic() + seconds
        self._hosts: list[str] = []
        self._databases: list[str] = []
        folder.mkdir(parents=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for url in self._databases:
            self.servers.drop_database(url)
        self.servers.drop_virtual_hosts(self._hosts)
        shutil.rmtree(self.folder, ignore_errors=True)

    def left(self) -> float:
        """Seconds of the goal's share that are left; below nought when it is over its time."""
        return self._ends_at - time.monotonic()

    def amqp_url(self) -> str:
        """A virtual host of the private broker with nothing in it."""
        host = self.servers.virtual_host()
        self._hosts.append(host)
        return self.servers.amqp_url(host)

    def database(self, engine: Engine) -> str:
        """The URL of a database with nothing in it."""
        url = self.servers.database(engine, self.folder)
        self._databases.append(url)
        return url

    @contextmanager
    def stack(
        self,
        *,
        database: Engine = "sqlite",
        candidates: Mapping[str, int] | None = None,
        baselines: Mapping[str, int] | None = None,
        **environment: str,
    ) -> Iterator[Stack]:
        """The product with an open launch, its processes not started yet; stopped at the end.

        ``candidates`` and ``baselines``: percent of the orders by version; vnext gets all of them
        if nobody is named. ``environment`` is every process's, over the product's own defaults.
        """
        if candidates is None and baselines is None:
            candidates = {"vnext": 100}
        dark = {"candidate": candidates or {}, "baseline": baselines or {}}
        roles = {version: role for role, several in dark.items() for version in several}
        url = self.database(database)
        home = self.folder / f"stack-{len(self._databases)}"
        home.mkdir()
        settings = {"DATABASE_URL": url, "DEADLINE_SECONDS": "30", **environment}
        deadline_s = float(settings["DEADLINE_SECONDS"])
        if deadline_s > MOST_BLOCKS_A_DEADLINE:
            settings.setdefault("BLOCK_SECONDS", f"{ceil(deadline_s / MOST_BLOCKS_A_DEADLINE)}")
        stack = Stack(home, self.amqp_url(), settings, kitchens={CONTROL: "control", **roles})
        stack.manage("migrate", "--verbosity", "0")
        words = [
            word
            for role, several in dark.items()
            for version, percent in several.items()
            for word in (f"--{role}", f"{version}={percent}")
        ]
        stack.manage("start_launch", "--name", "Bench", "--control", CONTROL, *words)
        try:
            yield stack
        finally:
            stack.stop()
