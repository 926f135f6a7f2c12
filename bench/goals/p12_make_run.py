"""P12: from `make run` to the first order on the board, at a second start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from bench.browser import chromium, open_board
from bench.figures import PRODUCT, Figure, at_most
from bench.processes import used_s
from bench.rig import Rig
from local.ports import LOOPBACK, free_ports
from local.settings import ROOT

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 30.0
_LOOK_S = 0.02
#: What would make it another run than a developer's own first one.
_THEIRS = ("AMQP_URL", "DATABASE_URL", "SECRET_KEY", "STATIC_ROOT", "DEBUG", "HEALTH_PORT")
_ENDED = "td[data-state='handled']"


def measure(rig: Rig) -> Iterator[Figure]:
    """Start in a folder of our own where it has run once before; the browser runs already."""
    (port,) = free_ports(1)
    seconds, busy_s = list[float](), list[float]()
    with chromium() as browser:
        with _started(rig, port):
            _placed(port)
        for _ in rig.rounds:
            began, used = time.monotonic(), used_s(os.getpid())
            with _started(rig, port):
                order = _placed(port)
                with open_board(browser, f"http://{LOOPBACK}:{port}") as page:
                    page.wait_for_selector(f"tr[data-order='{order}'] > {_ENDED} ~ {_ENDED}")
                    seconds.append(time.monotonic() - began)
                    busy_s.append(used_s(os.getpid()) - used)
    for what, values, limit in (("", seconds, 8), (", processor time", busy_s, 15)):
        yield Figure(
            goal="P12",
            what=f"make run to the first order on the board, second start{what}",
            unit="s",
            seen={PRODUCT: values},
            bound=at_most(limit, absolute=True),
            note="A broker, the site, the relay, the observer and three kitchens.",
        )


@contextmanager
def _started(rig: Rig, port: int) -> Iterator[None]:
    """`make run`, without the make: it only looks whether the requirements are installed."""
    environ = {name: value for name, value in os.environ.items() if name not in _THEIRS}
    with (rig.folder / "run.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.run"],
            cwd=ROOT,
            env={**environ, "RUN_DIRECTORY": str(rig.folder / "run"), "PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_STOP_TIMEOUT_S)


def _placed(port: int) -> str:
    # A proxy that is set for the outside has nothing to say about this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(
        f"http://{LOOPBACK}:{port}/orders",
        data=b'{"MenuItems": ["burger", "fries"]}',
        headers={"Content-Type": "application/json"},
    )
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            with opener.open(request, timeout=20) as answer:
                return str(json.load(answer)["id"])
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_S)
