"""The product's real processes on a broker and a database of their own, as the tests want them."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from kitchen_worker.amqp.connection import connect
from kitchen_worker.contract.topology import DEAD_LETTERS_QUEUE, STREAM_QUEUE
from local.settings import ROOT
from local.stack import Stack, until
from tests.users import urls_of_users

__all__ = [
    "EQUAL",
    "EVERYTHING",
    "KITCHENS",
    "OTHER_CONTROL",
    "ROOT",
    "Stack",
    "a_stack",
    "until",
]

#: What each version did with each order.
_OBSERVATIONS = """
create view {view} as
select placed.order_id as "order", version, seen.state as state, result, error_type, event_ids,
judged_at, exception from dashboard_observation seen
join dashboard_participant part on part.id = seen.participant_id
join dashboard_observedorder placed on placed.id = seen.order_id
"""
_OBSERVED_SO_FAR = "select version, state, count(*) from observations group by version, state"
KITCHENS = {"vlatest": "control", "vnext": "candidate", "vlatest-b": "baseline"}
#: A candidate that cooks as the control does.
EQUAL = "vlatest-c"
#: A control of a later launch.
OTHER_CONTROL = "vlatest-d"
EVERYTHING = ("site", "relay", "observer", *KITCHENS)


@contextmanager
def a_stack(
    directory: Path, amqp_url: str, *, candidate: str = "vnext", **settings: str
) -> Iterator[Stack]:
    """A stack with an empty database and a first launch; nothing of it runs afterwards.

    Each process has its own user, which `amqp_url` of a fixture brings. The view `observations` is
    for the queries of tests.
    """
    stack = Stack(
        directory,
        amqp_url,
        settings,
        kitchens={**KITCHENS, EQUAL: "candidate", OTHER_CONTROL: "control"},
        urls=urls_of_users(amqp_url),
    )
    is_file = settings.get("DATABASE_URL", "sqlite:").startswith("sqlite:")
    if is_file:
        for name, content in _migrated_files().items():
            (directory / name).write_bytes(content)
    else:
        stack.manage("migrate", "--verbosity", "0")
    view = "dashboard.observations" if is_file else "observations"
    stack.query(_OBSERVATIONS.format(view=view))
    stack.manage(
        "start_launch", "--name", "First launch", "--control", "vlatest",
        "--candidate", f"{candidate}=100", "--baseline", "vlatest-b=20",
    )  # fmt: skip
    try:
        yield stack
    finally:
        try:
            _print_state(stack)
        finally:
            stack.stop(with_signal=signal.SIGKILL)


@cache
def _migrated_files() -> dict[str, bytes]:
    """The SQLite files of empty, migrated databases."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        Stack(directory, "", {}, kitchens={}).manage("migrate", "--verbosity", "0")
        return {file.name: file.read_bytes() for file in directory.glob("*.sqlite3")}


def _print_state(stack: Stack) -> None:
    """What was observed, and each process with its log: pytest shows it where a test has failed."""
    try:
        print(stack.query(_OBSERVED_SO_FAR))
    except (sqlite3.Error, psycopg.Error) as cause:
        print(cause)
    try:
        # Playwright has a loop in this thread.
        with ThreadPoolExecutor(1) as thread:
            print(thread.submit(lambda: asyncio.run(_waiting(stack.amqp_url))).result())
    except Exception as cause:  # noqa: BLE001 - it is of use to who reads, and proves nothing
        print(repr(cause))
    for name, pid in stack.pids().items():
        # Of one that has ended, too: nobody has waited for it yet.
        status = Path(f"/proc/{pid}/status").read_text()
        shown = [line for line in status.splitlines() if line.startswith(("State:", "VmRSS:"))]
        print(f"--- {name} {shown}\n{stack.log(name)[-2000:]}")


async def _waiting(url: str) -> dict[str, tuple[int, int]]:
    """Messages and consumers of the dashboard's queues."""
    async with asyncio.timeout(2), connect(url, "test") as broker:
        return {
            queue: (await broker.depth(queue), await broker.consumers(queue))
            for queue in (STREAM_QUEUE, DEAD_LETTERS_QUEUE)
            if await broker.has_queue(queue)
        }
