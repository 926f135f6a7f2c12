"""Free ports are free, different, and none that the system gives to clients."""

from __future__ import annotations

import socket

from local.ports import LOOPBACK, answers, can_listen, free_ports


def test_ports_are_different_and_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(can_listen(port) for port in ports)


def test_ports_are_below_those_of_clients() -> None:
    assert max(free_ports(50)) < 32_768


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        assert answers(port)
        assert not can_listen(port)
    assert not answers(port)
