"""Runs the skeleton of bench/floors once, from the first order posted to the last event counted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench.floors.skeleton import WORKERS
from local.processes import ends_with_us
from local.settings import ROOT

_TIMEOUT_S = 60.0


def orders_per_s(url: str, orders: int) -> float:
    """How many orders a second the skeleton does at most."""
    with ExitStack() as running:
        observer, *_ = (
            running.enter_context(_role(name, url, orders)) for name in ("observer", *WORKERS)
        )
        publisher = running.enter_context(_role("publisher", url, orders))
        began, ended = (float(_line(one)) for one in (publisher, observer))
    return orders / (ended - began)


@contextmanager
def _role(name: str, url: str, orders: int) -> Iterator[subprocess.Popen[str]]:
    """A process of the skeleton, once it is ready."""
    command = [sys.executable, "-m", "bench.floors.skeleton", name, url, str(orders)]
    process = subprocess.Popen(
        ends_with_us(command), cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        _line(process)
        yield process
        process.wait(_TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def _line(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError("a process of the skeleton ended too soon")
    return line
