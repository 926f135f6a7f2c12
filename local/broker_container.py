"""RabbitMQ from a container engine, for machines where it can neither be found nor installed."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from local.ports import LOOPBACK, free_ports

IMAGE = "rabbitmq:4.2.9"
START_TIMEOUT_S = 90.0
_ENGINES = ("docker", "podman")


class ContainerFailed(RuntimeError):
    """Raised when the container of the broker does not start."""


def engine() -> str | None:
    """The container engine that works on this machine, if any."""
    for name in _ENGINES:
        if shutil.which(name) and not _run(name, "info").returncode:
            return name
    return None


@contextmanager
def container_broker(engine_name: str) -> Iterator[str]:
    """Give the AMQP_URL of a container that is there for the time of the block."""
    (port,) = free_ports(1)
    published = f"{LOOPBACK}:{port}:5672"
    started = _run(engine_name, "run", "--detach", "--rm", "--publish", published, IMAGE)
    if started.returncode:
        raise ContainerFailed(f"{engine_name} could not start {IMAGE}: {started.stderr.strip()}")
    container = started.stdout.strip()
    try:
        _wait_until_ready(engine_name, container)
        yield f"amqp://guest:guest@{LOOPBACK}:{port}/"
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


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
