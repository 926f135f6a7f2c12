"""`make run`: the broker, the site, the relay, the observer and three kitchens, until Ctrl-C."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from honcho.printer import Printer

from kitchen_worker.contract import permissions
from kitchen_worker.contract.messages import Role
from local import mend
from local.broker import NoBroker, RunningBroker, broker
from local.broker_node import NodeFailed
from local.ports import can_listen, free_ports
from local.processes import ends_with_us
from local.settings import DEMO_USER, ROOT, environment, kept_secrets, run_directory
from local.supervisor import Supervisor

#: After this long, processes that are still not ready are logged.
READY_TIMEOUT_S = 60.0
_PYTHON = sys.executable
_DJANGO = (_PYTHON, str(ROOT / "manage.py"))
_SITE = "restaurant.asgi:application"
_KITCHENS = {"vlatest": Role.CONTROL, "vnext": Role.CANDIDATE, "vlatest-b": Role.BASELINE}


class CannotRun(RuntimeError):
    """Raised when `make run` can't continue; says why and what would help."""


class Interrupted(BaseException):
    """Raised when a stop signal comes during the start."""


class StopSignals:
    """Turns SIGINT, SIGTERM and SIGHUP into an event; a second one changes nothing."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._interrupts = True
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
            signal.signal(signal.SIGHUP, self._handle)

    def only_set_the_event(self) -> None:
        """From now on a signal only sets the event; before, it interrupts."""
        self._interrupts = False
        if self.event.is_set():
            raise Interrupted

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first = not self.event.is_set()
        self.event.set()
        if first and self._interrupts:
            raise Interrupted


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A process to start, and the URL that tells whether it is ready."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    ready_url: str


def plan(environ: Mapping[str, str], url_of: Callable[[str], str]) -> list[Planned]:
    """The processes of `make run`, each with its own broker user's AMQP_URL."""
    host, port = environ["HOST"], environ["PORT"]
    daphne = (_PYTHON, "-m", "daphne", "-v", "0", "-b", host, "-p", port, _SITE)
    commands: dict[str, tuple[str, ...]] = {
        "relay": (*_DJANGO, "relay"),
        "observer": (*_DJANGO, "observe"),
    }
    for version, role in _KITCHENS.items():
        kitchen = (_PYTHON, "-m", "kitchen_worker", "--version", version, "--role", role)
        commands[version] = mend.command(role) if version == mend.VERSION else kitchen
    ports = free_ports(len(commands))
    site = Planned(
        name="site",
        command=daphne,
        environ={**environ, "AMQP_URL": url_of("site")},
        ready_url=f"{address(environ)}/api/ready",
    )
    return [site] + [
        Planned(
            name=name,
            command=command,
            environ={
                **environ,
                "AMQP_URL": url_of(f"kitchen-{name}" if name in _KITCHENS else name),
                "HEALTH_PORT": str(health_port),
            },
            ready_url=f"http://127.0.0.1:{health_port}/ready",
        )
        for health_port, (name, command) in zip(ports, commands.items(), strict=True)
    ]


def address(environ: Mapping[str, str]) -> str:
    """The site's address for a browser on this machine, without a slash at its end."""
    everywhere = environ["HOST"] in ("0.0.0.0", "::")  # noqa: S104
    host = "127.0.0.1" if everywhere else environ["HOST"]
    return f"http://{host}:{environ['PORT']}{environ.get('PATH_PREFIX', '')}"


def greeting(environ: Mapping[str, str], broker_name: str) -> str:
    """The text that is printed once everything runs."""
    site, password = address(environ), kept_secrets(run_directory(environ)).demo_password
    return f"""
  Dark Kitchen is ready.

    Order      {site}/
    Board      {site}/dashboard/
    Admin      {site}/admin/    {DEMO_USER} / {password}
    Broker     {broker_name}
    Orders     make rush ARGS="--orders 2000 --rate 100"
    Stop       Ctrl-C
"""


def run(stop: StopSignals) -> None:
    """Start everything, print one log, and stop everything on a signal."""
    environ = environment(os.environ)
    if "DOOR" in environ:
        raise CannotRun("`make run` serves both doors from one process. Unset DOOR and OTHER_DOOR.")
    _check_port(environ)
    mend.forget(run_directory(environ))
    preparing = subprocess.Popen(
        ends_with_us([_PYTHON, "-m", "local.prepare"]),
        cwd=ROOT,
        env=environ,
        start_new_session=True,
    )
    try:
        with broker(environ, permissions.users(_KITCHENS)) as chosen:
            if preparing.wait():
                raise CannotRun("The database could not be prepared; see above.")
            stop.only_set_the_event()
            _supervise(environ, chosen, stop.event)
    finally:
        preparing.terminate()
        preparing.wait()


def _supervise(environ: Mapping[str, str], chosen: RunningBroker, stop: threading.Event) -> None:
    supervisor = Supervisor(ROOT, Printer(sys.stdout))
    try:
        planned = plan(environ, chosen.url_of)
        for one in planned:
            supervisor.add(one.name, one.command, one.environ)
        herald = threading.Thread(
            target=_announce,
            args=(supervisor, planned, greeting(environ, chosen.name), stop),
            daemon=True,
        )
        herald.start()
        supervisor.run_until(stop)
    finally:
        supervisor.stop()


def _announce(
    supervisor: Supervisor, planned: list[Planned], text: str, stop: threading.Event
) -> None:
    """Print the greeting once every process is ready."""
    waiting = list(planned)
    late_at = time.monotonic() + READY_TIMEOUT_S
    while waiting and not stop.is_set():
        waiting = [one for one in waiting if not _is_ready(one.ready_url)]
        if waiting and time.monotonic() > late_at:
            supervisor.say(f"still not ready: {', '.join(one.name for one in waiting)}")
            late_at = time.monotonic() + READY_TIMEOUT_S
        stop.wait(0.1)
    if not stop.is_set():
        supervisor.show(text)


def _is_ready(url: str) -> bool:
    # This machine is not behind the outgoing proxy.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _check_port(environ: Mapping[str, str]) -> None:
    try:
        port = int(environ["PORT"])
    except ValueError:
        raise CannotRun(f"PORT is {environ['PORT']!r}, which is not a port.") from None
    if not can_listen(port, environ["HOST"]):
        raise CannotRun(f"Port {port} is in use. Choose another one: PORT=8001 make run")


@contextlib.contextmanager
def _only_one(directory: Path) -> Iterator[IO[str]]:
    """Lock the directory: a second `make run` would share the broker's data."""
    directory.mkdir(mode=0o700, exist_ok=True)
    with (directory / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotRun("`make run` is already running in this directory.") from None
        yield lock


def main() -> int:
    """Run until stopped; returns the exit status."""
    stop = StopSignals()
    try:
        with _only_one(run_directory(os.environ)):
            run(stop)
    except Interrupted:
        return 0
    except (CannotRun, NoBroker, NodeFailed) as problem:
        print(f"\n{problem}\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
