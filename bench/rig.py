"""What goals are measured with: private servers, and the product's processes."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import psycopg
from aio_pika.abc import AbstractChannel

from bench.figures import BEFORE, PRODUCT
from bench.processes import used_s
from kitchen_worker.contract.topology import kitchen_queue
from local.broker_node import BrokerNode
from local.ports import LOOPBACK
from local.postgres import private_postgres
from local.settings import ROOT, run_directory
from local.stack import Stack, StackFailed, until

T = TypeVar("T")
Engine = Literal["sqlite", "postgresql"]
CONTROL = "vlatest"

_ROUNDS, _QUICK_ROUNDS = 3, 2
#: The longest pause after which a relay looks for new orders by itself, and a little more.
_RELAY_PAUSE_S = 1.1
#: How often the database is asked whether something has ended.
_LOOK_S = 0.02
#: Parts that are no processes of a stack, and how their programs are called.
_BESIDE = {"broker": "beam", "database": "postgres", "browser": "chrom"}

_NEWEST = "select coalesce(max(id), 0) from restaurant_order"
_ENDED = "select coalesce(sum(handled + failed), 0) from {table}"
_SLOWEST = "select coalesce(min(handled + failed), 0) from {table}"
_UNANSWERED = (
    "select count(*) from restaurant_order where id between ? and ? and answered_at is null"
)
_UNSENT = "select count(*) from restaurant_outboxmessage"
_FORMERLY_UNSENT = "select count(*) from restaurant_letter where sent_at is null"


class Product(Stack):
    """The product of one checkout, with an open launch; ``label`` names it in figures."""

    label: str = PRODUCT
    database_url: str = ""

    def open(self, *kitchens: str, site: bool = True) -> None:
        """Start the relay, the observer, the site and these kitchens, and wait until all work.

        Without kitchens, the relay ends once it has declared what the observer needs: what is
        reported of orders then comes from the bench.
        """
        self.start("relay", "observer")
        if site:
            self.start("site")
        self.start(*kitchens)
        for version in kitchens:
            self.wait_for_reader(kitchen_queue(version))
        if not kitchens:
            self.stop("relay")

    @cached_property
    def counters(self) -> str:
        """The table of what each version has done, which earlier checkouts call otherwise."""
        try:
            self.query("select 1 from dashboard_participant limit 1")
        except (sqlite3.Error, psycopg.Error):
            return "dashboard_tally"
        return "dashboard_participant"

    @property
    def is_former(self) -> bool:
        """Whether this is a checkout in which the dashboard read the restaurant's tables."""
        return self.counters == "dashboard_tally"

    def on_channel(self, work: Callable[[AbstractChannel], Awaitable[T]]) -> T:
        """Do something on a channel of the product's broker."""

        async def connected() -> T:
            async with await aio_pika.connect(self.amqp_url) as connection:
                return await work(await connection.channel())

        return in_a_loop(connected())

    def wait_for_reader(self, queue: str, *, gone: bool = False) -> None:
        """Wait until a process reads a queue, or until none does any more."""

        async def readers(channel: AbstractChannel) -> int:
            try:
                declared = await channel.declare_queue(queue, passive=True)
            except aio_pika.exceptions.ChannelNotFoundEntity:
                return 0
            return declared.declaration_result.consumer_count or 0

        until(
            lambda: bool(self.on_channel(readers)) is not gone,
            f"{'no' if gone else 'a'} process reads {queue}",
        )

    def newest(self) -> int:
        """The number of the last order placed."""
        return self.number(_NEWEST)

    def unsent(self) -> int:
        return self.number(_FORMERLY_UNSENT if self.is_former else _UNSENT)

    def ends(self) -> int:
        """Orders that have ended, counted for each version."""
        return self.number(_ENDED.format(table=self.counters))

    def ended_by_all(self) -> int:
        """Orders that every version has ended."""
        return self.number(_SLOWEST.format(table=self.counters))

    def place(self, orders: int) -> range:
        """Place orders in bulk; returns their numbers."""
        before = self.newest()
        words = ("--orders", str(orders), "--rate", "1000000", "--wait", "0")
        self.manage("rush", *words, "--seed", str(before))
        return range(before + 1, self.newest() + 1)

    @contextmanager
    def relay_halted(self) -> Iterator[None]:
        """Stop the relay during the block; afterwards it looks at the outbox at once:
        its longest pause has passed."""
        until(lambda: not self.unsent(), "the outbox is empty")
        pid, began = self.pids()["relay"], time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
            time.sleep(max(0.0, began + _RELAY_PAUSE_S - time.monotonic()))
        finally:
            os.kill(pid, signal.SIGCONT)

    def drain(self, orders: int, *, versions: int = 2) -> Drained:
        """Place a backlog, and wait until the ends of so many versions are recorded and every
        customer has an answer."""
        ends = self.ends() + versions * orders
        with self.relay_halted():
            placed, before = self.place(orders), self.used_s()
        began = time.monotonic()
        self.wait_for_ends(ends)
        self.wait_for_answers(placed)
        took_s = time.monotonic() - began
        return Drained(orders, took_s, since(before, self.used_s()))

    def used_s(self) -> dict[str, float]:
        """Seconds on a processor of each part until now."""
        own = {name: used_s(pid) for name, pid in self.pids().items()}
        return own | {part: used_s(os.getpid(), program=name) for part, name in _BESIDE.items()}

    def wait_for_ends(self, ends: int) -> None:
        """Wait until so many ends are recorded in all."""
        wait(lambda: self.ends() >= ends, f"{ends} ends are recorded")

    def wait_for_answers(self, orders: range) -> None:
        """Wait until the customers of these orders have an answer."""
        open_ones = (_UNANSWERED, orders[0], orders[-1])
        wait(lambda: not self.number(*open_ones), "all orders are answered")

    def rush(self, rate: float, seconds: float, *, seed: int = 5) -> None:
        """Start to place orders at a rate, for so many seconds or until it is stopped."""
        placed, orders = self.newest(), max(1, round(rate * seconds))
        words = ("--orders", str(orders), "--rate", f"{rate:.2f}", "--wait", "0")
        self.start("rush", options=(*words, "--seed", str(seed)))
        until(lambda: self.newest() > placed, "the rush is on its way")

    def stop_rush(self) -> None:
        """Kill it: on a stop signal it would first count its orders' states."""
        self.stop("rush", with_signal=signal.SIGKILL)

    def sustained(self, *, seconds: float, orders: int) -> float:
        """Orders a second that it keeps up with while they are placed beside it; it has caught up
        afterwards. A backlog says more than that: nobody places orders meanwhile."""
        rate = self.drain(orders).rate
        self.rush(rate, seconds + 10)
        time.sleep(2)
        before, began = self.ended_by_all(), time.monotonic()
        time.sleep(seconds)
        sustained = (self.ended_by_all() - before) / (time.monotonic() - began)
        self.stop_rush()
        until(lambda: self.ended_by_all() >= self.newest(), "it has caught up", within_s=120)
        return sustained


@dataclass(frozen=True)
class Drained:
    """How long a backlog took, on the clock and on a processor by process."""

    orders: int
    seconds: float
    used_s: Mapping[str, float]

    @property
    def rate(self) -> float:
        return self.orders / self.seconds


def since(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    """What each part has used between two moments."""
    return {name: used - before.get(name, 0.0) for name, used in now.items()}


def us_per_order(rounds: Sequence[Drained]) -> dict[str, float]:
    """Microseconds of processor time per order over all rounds, by process."""
    orders = sum(one.orders for one in rounds)
    return {
        name: 1e6 * sum(one.used_s.get(name, 0.0) for one in rounds) / orders
        for name in rounds[0].used_s
    }


@dataclass
class Rig:
    """What goals are measured with; the broker and the database server are started when needed, and
    gone at its end. ``against``: another checkout, measured in turn with this one."""

    folder: Path
    quick: bool = False
    against: Path | None = None
    #: Orders of the larger database of P6.
    large_orders: int = 100_000
    _open: ExitStack = field(default_factory=ExitStack)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @cached_property
    def broker(self) -> BrokerNode:
        node = BrokerNode(self.folder / "broker")
        self._open.callback(node.stop, gently=False)
        node.start()
        return node

    @cached_property
    def postgres(self) -> str:
        """The URL of a private server, which writes as one in production does."""
        return self._open.enter_context(private_postgres(forgetful=False))

    def amqp_url(self) -> str:
        """The URL of a virtual host with nothing in it."""
        name = f"bench-{next(self._numbers)}"
        everything = dict.fromkeys(("configure", "write", "read"), ".*")
        made = {
            "vhosts": [{"name": name}],
            "permissions": [{"user": "guest", "vhost": name, **everything}],
        }
        self.broker.import_definitions(json.dumps(made))
        return f"amqp://guest:guest@{LOOPBACK}:{self.broker.ports.amqp}/{name}"

    @contextmanager
    def database(self, engine: Engine, folder: Path) -> Iterator[str]:
        """An empty database's URL, for the duration of the block."""
        name = f"bench_{next(self._numbers)}"
        if engine == "sqlite":
            yield f"sqlite:///{folder / name}.sqlite3"
            return
        with psycopg.connect(self.postgres, autocommit=True) as server:
            server.execute(f"create database {name}")
            try:
                yield urlunsplit(urlsplit(self.postgres)._replace(path=f"/{name}"))
            finally:
                server.execute(f"drop database {name} with (force)")

    @property
    def rounds(self) -> range:
        """The numbers of rounds; of a pair, the two take turns in going first."""
        return range(_QUICK_ROUNDS if self.quick else _ROUNDS)

    @property
    def checkouts(self) -> Mapping[str, Path]:
        """The directories that are measured, by their labels."""
        return {BEFORE: self.against, PRODUCT: ROOT} if self.against else {PRODUCT: ROOT}

    @contextmanager
    def products(self, **how: Any) -> Iterator[list[Product]]:
        """The product of each checkout, as `product` gives it."""
        with ExitStack() as stack:
            yield [stack.enter_context(self.product(label, **how)) for label in self.checkouts]

    @contextmanager
    def product(
        self,
        label: str = PRODUCT,
        *,
        engine: Engine = "sqlite",
        candidates: Mapping[str, int] | None = None,
        **environment: str,
    ) -> Iterator[Product]:
        """A product whose processes are not started yet, with an open launch; stopped at the end.

        ``candidates``: percent by version; without any, vnext has all orders.
        """
        if candidates is None:
            candidates = {"vnext": 100}
        home = self.folder / f"{label}-{next(self._numbers)}"
        home.mkdir()
        with self.database(engine, home) as url:
            # Nothing is missing or sent again because a backlog waits for its turn.
            settings = {
                "DATABASE_URL": url,
                "DEADLINE_SECONDS": "600",
                "BLOCK_SECONDS": "3",
                "RESEND_SECONDS": "600",
                "PYTHONPATH": str(ROOT / "bench" / "programs"),
                **environment,
            }
            kitchens = {CONTROL: "control", **dict.fromkeys(candidates, "candidate")}
            product = Product(
                home,
                self.amqp_url(),
                settings,
                kitchens=kitchens,
                root=self.checkouts.get(label, ROOT),
            )
            product.label, product.database_url = label, url
            product.manage("migrate", "--verbosity", "0")
            words = [
                word
                for version, percent in candidates.items()
                for word in ("--candidate", f"{version}={percent}")
            ]
            product.manage("start_launch", "--name", "Bench", "--control", CONTROL, *words)
            try:
                yield product
            finally:
                product.stop()
                shutil.rmtree(home, ignore_errors=True)


def kept() -> Path:
    folder = run_directory(os.environ) / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def wait(condition: Callable[[], object], what: str, *, within_s: float = 60.0) -> None:
    """Wait for a condition that ends a measurement: it is looked at often."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise StackFailed(f"waited {within_s:g} s in vain: {what}")
        time.sleep(_LOOK_S)


def in_a_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in another thread: playwright has a loop in this one."""
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(asyncio.run, work).result()
