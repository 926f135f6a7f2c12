"""Each frame goes to whom it concerns, however it was cut on the way."""

from __future__ import annotations

import asyncio

import pytest
from pamqp import commands
from pamqp.frame import marshal
from pamqp.heartbeat import Heartbeat

from kitchen_worker.amqp.frames import METHOD
from kitchen_worker.amqp.line import Line

HEARTBEAT = Heartbeat().marshal()
ACK = marshal(commands.Basic.Ack(1), 1)
CLOSE = marshal(commands.Channel.Close(200, "done", 0, 0), 1)
OTHER = marshal(commands.Basic.Ack(2), 2)


class Telephone:
    """A line whose channel 1 is listened to for acks, and what both its ends heard."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._library = asyncio.StreamReader()
        self.line = Line(self._library, self._loop)
        self.line.listen(1, self._take)
        self.taken: list[bytes] = []

    async def passed_on(self) -> bytes:
        """All that the library would have read, once nothing more comes."""
        self.line.eof_received()
        return await self._library.read()

    def _take(self, kind: int, payload: bytes) -> bool:
        if kind != METHOD or payload != ACK[7:-1]:
            return False
        self.taken.append(payload)
        return True


@pytest.mark.parametrize("length", [1, 2, 7, 8, 20, 21, 22, 1000])
async def test_frames_that_come_in_pieces_are_made_whole(length: int) -> None:
    telephone = Telephone()
    sent = OTHER + ACK + CLOSE + ACK + ACK + HEARTBEAT + OTHER
    for start in range(0, len(sent), length):
        telephone.line.data_received(sent[start : start + length])
    assert len(telephone.taken) == 3
    heard = await telephone.passed_on()
    assert heard.replace(HEARTBEAT, b"") == OTHER + CLOSE + OTHER


async def test_the_library_hears_byte_for_byte_what_nobody_takes() -> None:
    telephone = Telephone()
    telephone.line.data_received(OTHER + CLOSE + HEARTBEAT)
    assert await telephone.passed_on() == OTHER + CLOSE + HEARTBEAT


async def test_the_library_hears_that_the_broker_lives_while_all_is_taken() -> None:
    telephone = Telephone()
    for _ in range(100):
        telephone.line.data_received(ACK)
    assert await telephone.passed_on() == HEARTBEAT
    assert len(telephone.taken) == 100


async def test_a_broker_of_another_protocol_is_left_to_the_library() -> None:
    telephone = Telephone()
    telephone.line.data_received(b"AMQP\x00\x01\x00\x00")
    assert await telephone.passed_on() == b"AMQP\x00\x01\x00\x00"


async def test_a_frame_without_its_end_is_left_to_the_library() -> None:
    telephone = Telephone()
    telephone.line.data_received(ACK[:-1] + b"\x00")
    assert await telephone.passed_on() == ACK[:-1] + b"\x00"
    assert not telephone.taken
