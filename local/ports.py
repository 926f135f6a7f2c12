"""Finds free ports on the loopback interface."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
#: Below the ephemeral ports: else a client that keeps reconnecting to a stopped server could be
#: given the server's own port.
_CANDIDATES = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """``count`` different ports that are free right now."""
    free: list[int] = []
    for port in random.sample(_CANDIDATES, len(_CANDIDATES)):
        if len(free) == count:
            break
        if can_listen(port):
            free.append(port)
    return free


def can_listen(port: int, host: str = LOOPBACK) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # Like a server: ignores lingering connections of one that has just ended.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError:
            return False
        return True


def answers(port: int, host: str = LOOPBACK) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
