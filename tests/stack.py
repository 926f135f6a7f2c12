"""The product's real processes on a broker and a database of their own, as the tests want them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.settings import ROOT
from local.stack import Stack, until
from tests.users import urls_of_users

__all__ = ["EQUAL", "EVERYTHING", "KITCHENS", "OTHER_CONTROL", "ROOT", "Stack", "a_stack", "until"]

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

    Each process has its own user, which `amqp_url` of a fixture brings.
    """
    stack = Stack(
        directory,
        amqp_url,
        settings,
        kitchens={**KITCHENS, EQUAL: "candidate", OTHER_CONTROL: "control"},
        urls=urls_of_users(amqp_url),
    )
    stack.manage("migrate", "--verbosity", "0")
    stack.manage(
        "start_launch", "--name", "First launch", "--control", "vlatest",
        "--candidate", f"{candidate}=100", "--baseline", "vlatest-b=20",
    )  # fmt: skip
    try:
        yield stack
    finally:
        stack.stop()
