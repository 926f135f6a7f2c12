"""A text is encoded once, and with the reader at once; what has no room comes later, in order."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.tcp import Connection

from restaurant.prompt_sockets import encoded, write_now

#: More than the kernel takes at once.
LARGE = bytes(range(256)) * 4096 * 16


class Reactor:
    """Knows who waits for room."""

    def __init__(self) -> None:
        self.waiting: set[Any] = set()

    def addWriter(self, one: Any) -> None:  # noqa: N802 - Twisted's name
        self.waiting.add(one)

    def removeWriter(self, one: Any) -> None:  # noqa: N802 - Twisted's name
        self.waiting.discard(one)


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def ends(reactor: Reactor) -> Iterator[tuple[Any, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for end in (ours, theirs):
            end.setblocking(False)
        connect: Any = Connection
        transport = connect(ours, None, reactor)
        transport.connected = 1
        yield transport, theirs


def test_a_text_is_encoded_once_for_all() -> None:
    text = "a frame of the board" * 1000
    assert encoded(text) is encoded(text)
    assert encoded("") == b"\x81\x00"
    assert encoded("né") == b"\x81\x03n\xc3\xa9"


def test_what_has_room_is_with_the_reader_at_once(
    ends: tuple[Any, socket.socket], reactor: Reactor
) -> None:
    transport, reader = ends
    write_now(transport, b"first ")
    write_now(transport, b"second")
    assert reader.recv(100) == b"first second"
    assert not reactor.waiting


def test_what_has_no_room_comes_when_there_is_some_and_nothing_overtakes_it(
    ends: tuple[Any, socket.socket], reactor: Reactor
) -> None:
    transport, reader = ends
    write_now(transport, LARGE)
    got = reader.recv(1 << 20)
    write_now(transport, b"later")
    while reactor.waiting:
        transport.doWrite()
        got += reader.recv(1 << 20)
    while len(got) < len(LARGE) + len(b"later"):
        got += reader.recv(1 << 20)
    assert got == LARGE + b"later"


def test_who_is_gone_gets_nothing_and_nobody_minds(
    ends: tuple[Any, socket.socket], reactor: Reactor
) -> None:
    transport, reader = ends
    reader.close()
    write_now(transport, b"too late")
    assert reactor.waiting


def test_what_is_encrypted_is_not_written_past_who_encrypts_it(
    ends: tuple[Any, socket.socket],
) -> None:
    transport, reader = ends

    class Encrypting:
        def __init__(self) -> None:
            self.written: list[bytes] = []

        def write(self, data: bytes) -> None:
            self.written.append(data)

        def __getattr__(self, name: str) -> Any:
            return getattr(transport, name)

    wrapped = Encrypting()
    write_now(wrapped, b"secret")
    assert wrapped.written == [b"secret"]
    with pytest.raises(BlockingIOError):
        reader.recv(100)
