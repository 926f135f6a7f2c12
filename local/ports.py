"""Finds ports of the loopback interface that nobody uses."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
#: Below the ports that systems give to clients: there, a client that knocks again and again on a
#: server that is down may take the server's port itself, and even be answered by itself.
_CANDIDATES = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Choose ``count`` different ports that are free at this moment."""
    free: list[int] = []
    for port in random.sample(_CANDIDATES, len(_CANDIDATES)):
        if len(free) == count:
            break
        if can_listen(port):
            free.append(port)
    return free


def can_listen(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on the port now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do: the last connections of a server that just ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError:
            return False
        return True


def answers(port: int, host: str = LOOPBACK) -> bool:
    """Whether somebody accepts connections on the port."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
