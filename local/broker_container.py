"""RabbitMQ from a container engine, for machines where it can neither be found nor installed."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from local.ports import LOOPBACK, free_ports

IMAGE = "rabbitmq:4.2.9"
START_TIMEOUT_S = 90.0
_IMPORT = (
    "umask 077; cat > /tmp/users.json && rabbitmqctl --quiet import_definitions /tmp/users.json"
)
_ENGINES = ("docker", "podman")


@dataclass(frozen=True)
class ContainerBroker:
    """A broker that runs in a container."""

    url: str
    _engine: str
    _container: str

    def import_definitions(self, definitions: str) -> None:
        """Make the users, permissions and so on of this JSON, or change those that exist."""
        command = ("exec", "--interactive", self._container, "sh", "-c", _IMPORT)
        done = _run(self._engine, *command, stdin=definitions)
        if done.returncode:
            raise ContainerFailed(f"rabbitmqctl import_definitions: {done.stderr.strip()}")


class ContainerFailed(RuntimeError):
    """Raised when the container of the broker does not start."""


def engine() -> str | None:
    """The container engine that works on this machine, if any."""
    for name in _ENGINES:
        if shutil.which(name) and not _run(name, "info").returncode:
            return name
    return None


@contextmanager
def container_broker(engine_name: str) -> Iterator[ContainerBroker]:
    """Give a container that is there for the time of the block."""
    (port,) = free_ports(1)
    published = f"{LOOPBACK}:{port}:5672"
    started = _run(engine_name, "run", "--detach", "--rm", "--publish", published, IMAGE)
    if started.returncode:
        raise ContainerFailed(f"{engine_name} could not start {IMAGE}: {started.stderr.strip()}")
    container = started.stdout.strip()
    try:
        _wait_until_ready(engine_name, container)
        url = f"amqp://guest:guest@{LOOPBACK}:{port}/"
        yield ContainerBroker(url, engine_name, container)
    finally:
        _run(engine_name, "rm", "--force", "--volumes", container)


def _wait_until_ready(engine_name: str, container: str) -> None:
    # The engine itself takes connections on the port from the start: ask the broker.
    question = ("exec", container, "rabbitmq-diagnostics", "--quiet", "check_port_connectivity")
    deadline = time.monotonic() + START_TIMEOUT_S
    while _run(engine_name, *question).returncode:
        if time.monotonic() > deadline:
            raise ContainerFailed(f"{IMAGE} did not start within {START_TIMEOUT_S:.0f} s.")
        time.sleep(0.2)


def _run(*command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=stdin, capture_output=True, text=True)
