"""The hub, and the socket in front of it: frames by acknowledgement, permission as for pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from asgiref.sync import sync_to_async
from channels.security.websocket import AllowedHostsOriginValidator
from channels.testing import WebsocketCommunicator
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.http import HttpRequest
from django.utils import timezone
from pytest_django.fixtures import Settings

from dashboard.board import broker as board_broker
from dashboard.board import frame as board
from dashboard.board import live, views, wording
from dashboard.board.consumers import DENIED, FULL, NOT_UNDERSTOOD, BoardConsumer
from dashboard.board.filters import Filter
from dashboard.board.live import AHEAD, AHEAD_EVERY, PROMPT_S, Hub, Subscription
from dashboard.board.views import View
from dashboard.models import DeadLetterTally, Participant
from dashboard.tests.factories import a_launch, an_order
from kitchen_worker.amqp.broker import Broker, Delivery, Outgoing
from kitchen_worker.contract import topology
from kitchen_worker.contract.topology import Queue, Topology
from kitchen_worker.testing import MemoryBroker
from restaurant.models import Launch
from restaurant.sessions import with_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]

#: A port on which nobody listens: the board lives without a broker, on its heartbeat.
NO_BROKER = "amqp://guest:guest@127.0.0.1:1/"
#: Three of them in the indicators.
DEAD_LETTERS = '>3</b> <span class="label">dead letters<'


class FakeSocket:
    """A socket that keeps what it is sent."""

    def __init__(self, view: View) -> None:
        #: What it asks for when it joins.
        self.view = view
        self.frames: list[dict[str, Any]] = []
        self.paces: list[dict[str, Any]] = []
        self.closed = False
        self.may_watch: Callable[[], bool] = lambda: True
        self.denied = False

    async def send_text(self, text: str) -> None:
        said = json.loads(text)
        (self.paces if said["type"] == "pace" else self.frames).append(said)

    async def close_slow(self) -> None:
        self.closed = True

    async def close_denied(self) -> None:
        self.denied = True

    async def gets(self, number: int) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while len(self.frames) < number:
                await asyncio.sleep(0.01)
        return self.frames[number - 1]


@asynccontextmanager
async def watched(*sockets: FakeSocket) -> AsyncIterator[Hub]:
    hub = Hub(NO_BROKER)
    for socket in sockets:
        hub.join(socket, socket.view)
    try:
        yield hub
    finally:
        for socket in sockets:
            hub.leave(socket)
        await hub.close()


@pytest.fixture
def launch() -> Launch:
    return a_launch()


NEWEST = View(None, Filter.ALL)


async def test_the_first_frame_has_the_charts_and_the_next_comes_after_the_ack(
    launch: Launch,
) -> None:
    reader, idler = FakeSocket(NEWEST), FakeSocket(NEWEST)
    async with watched(reader, idler) as hub:
        first = await reader.gets(1)
        assert first["type"] == "board"
        assert "series" in first
        for number in range(1, 4):
            frame = await reader.gets(number)
            await hub.acknowledged(reader, frame["n"])
        await reader.gets(4)
        assert len(idler.frames) == 1


async def test_who_acknowledges_promptly_is_asked_to_do_it_less_often_and_is_sent_a_few_ahead(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.0)
    socket = FakeSocket(NEWEST)
    async with watched(socket) as hub:
        await hub.acknowledged(socket, (await socket.gets(1))["n"])
        await socket.gets(1 + live.AHEAD)
        assert socket.paces == [{"type": "pace", "every": live.AHEAD_EVERY}]
        await hub.acknowledged(socket, socket.frames[-1]["n"])
        await socket.gets(2 + live.AHEAD)


async def test_a_wrong_acknowledgement_gets_nothing(launch: Launch) -> None:
    socket, other = FakeSocket(NEWEST), FakeSocket(NEWEST)
    async with watched(socket, other) as hub:
        await hub.acknowledged(socket, (await socket.gets(1))["n"] + 7)
        for number in range(1, 3):
            await hub.acknowledged(other, (await other.gets(number))["n"])
        assert len(socket.frames) == 1


async def test_two_sockets_with_one_view_share_one_frame(launch: Launch) -> None:
    first, second = FakeSocket(NEWEST), FakeSocket(NEWEST)
    async with watched(first, second):
        assert await first.gets(1) == await second.gets(1)


async def test_sockets_that_wish_for_versions_that_are_not_there_share_a_frame(
    launch: Launch,
) -> None:
    sockets = [FakeSocket(View(launch.id, Filter.ALL, f"nonsense-{n}")) for n in range(5)]
    async with watched(*sockets) as hub:
        for socket in sockets:
            await hub.acknowledged(socket, (await socket.gets(1))["n"])
        again = [(await socket.gets(2))["n"] for socket in sockets]
        assert len({hub.subscriptions[socket].view for socket in sockets}) == 1
        assert len(set(again)) == 1


async def test_a_wish_that_others_had_and_left_gets_a_frame_as_theirs_did(launch: Launch) -> None:
    nonsense = View(launch.id, Filter.ALL, "nonsense")
    other, first, late = FakeSocket(NEWEST), FakeSocket(nonsense), FakeSocket(nonsense)
    async with watched(other, first) as hub:
        await first.gets(1)
        hub.leave(first)
        hub.join(late, late.view)
        assert (await late.gets(1))["version"] == "vnext"
        await hub.acknowledged(late, late.frames[0]["n"])
        await late.gets(2)
        hub.leave(late)


async def test_charts_come_once_with_each_look_also_to_who_was_away_for_the_first_frame(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "SLOW_PART_EVERY_S", 3600.0)
    reader = FakeSocket(NEWEST)
    async with watched(reader) as hub:
        first = await reader.gets(1)
        await hub.acknowledged(reader, first["n"])
        second = await reader.gets(2)
        assert ("series" in first, "series" in second) == (True, False)
        late = FakeSocket(hub.subscriptions[reader].view)
        hub.join(late, late.view)
        joined = await late.gets(1)
        assert joined["series"] == first["series"]
        hub.leave(late)


async def test_a_change_is_told_before_the_heartbeat(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 3600.0)
    socket = FakeSocket(NEWEST)
    async with watched(socket) as hub:
        await hub.acknowledged(socket, (await socket.gets(1))["n"])
        hub.changed(launch.id)
        assert (await socket.gets(2))["type"] == "board"


def test_orders_are_counted_anew_in_every_frame_and_differences_are_taken_over(
    launch: Launch,
) -> None:
    first = views.build(NEWEST, None, {}, number=1, backlogs=None)
    an_order(launch)
    Participant.objects.create(launch=launch.id, version="vlatest", role="control", orders=1)
    second = views.build(NEWEST, first.slow, {}, number=2, backlogs=None)
    assert (said(first)["orders"], said(second)["orders"]) == (0, 1)
    assert len(said(second)["rows"]) == 1
    assert second.slow is first.slow


def said(frame: views.Frame) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(frame.text(0))
    return state


def test_what_takes_long_is_looked_at_anew_for_the_frames_that_come(launch: Launch) -> None:
    first = views.build(NEWEST, None, {}, number=1, backlogs=None)
    DeadLetterTally.objects.create(queue="kitchen.events.dead", count=3)
    again = views.refresh(first)
    assert (again.number, again.text(0)) == (1, first.text(0))
    second = views.build(NEWEST, again.slow, {}, number=2, backlogs=None)
    assert DEAD_LETTERS in said(second)["parts"]["indicators"]


def test_what_takes_long_is_not_taken_over_into_another_launch(launch: Launch) -> None:
    first = views.build(NEWEST, None, {}, number=1, backlogs=None)
    Launch.objects.update(ended_at=timezone.now())
    other = a_launch(name="the next one")
    again = views.refresh(first)
    assert again.slow is None
    second = views.build(NEWEST, again.slow, {}, number=2, backlogs=None)
    assert said(second)["launch"] == str(other.id)


async def test_in_a_rush_no_frame_waits_for_what_takes_long(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "SLOW_PART_EVERY_S", 0.0)
    monkeypatch.setattr(live, "HEARTBEAT_S", 3600.0)
    done: list[str] = []

    def noted(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            done.append(name)
            return work(*args, **options)

        return run

    monkeypatch.setattr(views, "fast_part", noted("fast", board.fast_part))
    monkeypatch.setattr(views, "slow_part", noted("slow", board.slow_part))
    socket = FakeSocket(NEWEST)
    async with watched(socket) as hub:
        await hub.acknowledged(socket, (await socket.gets(1))["n"])
        async with asyncio.timeout(60):
            while done != ["fast", "slow", "slow"]:
                await asyncio.sleep(0.01)
        hub.changed(launch.id)
        await socket.gets(2)
        assert done[3] == "fast"


async def test_another_filter_is_another_view(launch: Launch) -> None:
    await sync_to_async(an_order)(launch)
    socket = FakeSocket(NEWEST)
    async with watched(socket) as hub:
        frame = await socket.gets(1)
        assert len(frame["rows"]) == 1
        hub.watch(socket, lambda _: View(launch.id, Filter.FAILED))
        await hub.acknowledged(socket, frame["n"])
        second = await socket.gets(2)
        assert (second["filter"], second["rows"]) == ("failed", [])
        assert "series" in second


async def test_a_socket_changes_its_view_once_a_tick_to_what_it_wished_for_last(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[View] = []
    real = views.build

    def noted(view: View, *args: Any, **options: Any) -> views.Frame:
        built.append(view)
        return real(view, *args, **options)

    monkeypatch.setattr(live, "build", noted)
    socket, hub = FakeSocket(NEWEST), Hub(NO_BROKER)
    monkeypatch.setattr(hub, "_run_ticks", asyncio.Event().wait)
    hub.join(socket, socket.view)
    for by in (Filter.FAILED, Filter.SLOWER, Filter.DIFFERING):
        for version in ("vlatest-b", "vnext"):
            hub.watch(socket, partial(replace, filter=by))
            hub.watch(socket, partial(replace, version=version))
    await hub._tick()
    assert built == [View(None, Filter.DIFFERING, "vnext")]
    assert (await socket.gets(1))["filter"] == "differing"
    hub.leave(socket)
    await hub.close()


async def test_what_does_not_exist_is_built_once_however_many_ask_for_it(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[View] = {View(uuid4(), Filter.ALL, f"v{number}") for number in range(20)}
    asked |= {View(launch.id, Filter.ALL, f"v{number}") for number in range(20)}
    existing = await sync_to_async(views.existing)(asked)
    assert existing.keys() == asked
    assert set(existing.values()) == {views.NOWHERE, View(launch.id, Filter.ALL)}
    kept = View(launch.id, Filter.FAILED, "vlatest-b")
    assert await sync_to_async(views.existing)({kept}) == {kept: kept}


async def test_plain_boards_come_first_and_the_others_in_turn_while_there_is_time(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    real = views.build

    def noted(view: View, *args: Any, **options: Any) -> views.Frame:
        done.append("plain" if view.is_plain else view.filter.value)
        return real(view, *args, **options)

    monkeypatch.setattr(live, "build", noted)
    monkeypatch.setattr(live, "OTHERS_S", 0.0)
    chosen = [Filter.FAILED, Filter.SLOWER, Filter.DIFFERING]
    others = [FakeSocket(View(launch.id, by)) for by in chosen]
    plain, hub = FakeSocket(NEWEST), Hub(NO_BROKER)
    monkeypatch.setattr(hub, "_run_ticks", asyncio.Event().wait)
    for socket in (*others, plain):
        hub.join(socket, socket.view)
    real_send = plain.send_text

    async def send(text: str) -> None:
        done.append("sent")
        await real_send(text)

    monkeypatch.setattr(plain, "send_text", send)
    await hub._tick()
    assert done[:3] == ["plain", "sent", done[2]]
    assert len(done) == 3
    for _ in range(2):
        hub.changed(launch.id)
        await hub._tick()
    assert sorted(word for word in done if word not in ("plain", "sent")) == sorted(chosen)
    assert all(len(socket.frames) == 1 for socket in others)
    for socket in (*others, plain):
        hub.leave(socket)
    await hub.close()


async def test_without_a_launch_the_board_says_so() -> None:
    socket = FakeSocket(NEWEST)
    async with watched(socket):
        assert (await socket.gets(1))["type"] == "none"


async def test_a_socket_that_never_reads_is_closed(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PATIENCE_S", 0.3)
    socket = FakeSocket(NEWEST)
    async with watched(socket) as hub:
        await socket.gets(1)
        async with asyncio.timeout(60):
            while not socket.closed:
                await asyncio.sleep(0.01)
        assert socket not in hub.subscriptions


async def test_what_cannot_be_looked_at_anew_is_not_shown_for_ever(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLOW_PART_EVERY_S", "_TOO_OLD_S"):
        monkeypatch.setattr(views, name, 0.0)
    monkeypatch.setattr(live, "HEARTBEAT_S", 3600.0)
    looked: list[int] = []

    def fails(frame: views.Frame) -> views.Frame:
        looked.append(frame.number)
        raise RuntimeError("cannot be worked out")

    monkeypatch.setattr(live, "refresh", fails)
    socket = FakeSocket(NEWEST)
    async with watched(socket) as hub:
        await hub.acknowledged(socket, (await socket.gets(1))["n"])
        await DeadLetterTally.objects.acreate(queue="kitchen.events.dead", count=3)
        hub.changed(launch.id)
        assert DEAD_LETTERS in (await socket.gets(2))["parts"]["indicators"]
    assert looked


async def test_the_hub_survives_a_frame_that_cannot_be_built(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = board.fast_part, iter([True, True])

    def fails_twice(*args: Any, **options: Any) -> Any:
        if next(failures, False):
            raise RuntimeError("cannot be built")
        return real(*args, **options)

    monkeypatch.setattr(views, "fast_part", fails_twice)
    socket = FakeSocket(NEWEST)
    async with watched(socket):
        assert (await socket.gets(1))["type"] == "board"


def backlogs_of(hub: Hub) -> dict[str, int] | None:
    return None if hub.listener.backlogs is None else dict(hub.listener.backlogs.by_queue)


@asynccontextmanager
async def listening(monkeypatch: pytest.MonkeyPatch, broker: MemoryBroker) -> AsyncIterator[Hub]:
    """A hub with one socket and a broker in memory, whose queues are asked all the time."""

    async def keep_connected(*, session: Callable[[Broker], Awaitable[None]], **_: object) -> None:
        await session(broker)

    monkeypatch.setattr(board_broker, "keep_connected", keep_connected)
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.02)
    monkeypatch.setattr(board_broker, "READ_EVERY_S", 0.02)
    monkeypatch.setattr(board_broker, "_RESTART_S", (0.01, 0.02))
    await broker.declare(topology.announcements())
    await broker.declare(Topology(queues=(Queue(name=topology.STREAM_QUEUE),)))
    async with watched(FakeSocket(NEWEST)) as hub:
        yield hub


def waits_for_the_observer(broker: MemoryBroker, number: int) -> None:
    waiting = broker.queues[topology.STREAM_QUEUE].waiting
    waiting.clear()
    waiting.extend(
        Delivery(tag=tag, queue=topology.STREAM_QUEUE, body=b"{}") for tag in range(number)
    )


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def announce(broker: MemoryBroker, body: bytes) -> None:
    await until(lambda: len(broker.queues) > 1)
    await broker.publish([Outgoing(exchange=topology.ANNOUNCEMENTS, body=body, mandatory=False)])


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"3", b"{}", b'{"launch": 7}', b'{"launch": "x"}', b"\xff", b"[" * 9000],
)
async def test_an_announcement_that_cannot_be_read_is_ignored_and_the_next_one_counts(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    broker, changed = MemoryBroker(), list[UUID]()
    async with listening(monkeypatch, broker) as hub:
        monkeypatch.setattr(hub.listener, "changed", changed.append)
        await announce(broker, body)
        await announce(broker, json.dumps({"launch": str(launch.id), "n": 1}).encode())
        await until(lambda: changed == [launch.id])
    assert "announcement" in caplog.text


@pytest.mark.parametrize("error", [OperationalError("the database is away"), RuntimeError("a bug")])
async def test_queue_lengths_are_read_again_after_an_error(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    broker, real, fail = MemoryBroker(), views.versions_in, [True] * 3

    def fails_at_first(launches: Any) -> set[str]:
        if fail and fail.pop():
            raise error
        return real(launches)

    monkeypatch.setattr(live, "versions_in", fails_at_first)
    async with listening(monkeypatch, broker) as hub:
        waits_for_the_observer(broker, 3)
        await until(lambda: backlogs_of(hub) == {topology.STREAM_QUEUE: 3})
        waits_for_the_observer(broker, 5)
        await until(lambda: backlogs_of(hub) == {topology.STREAM_QUEUE: 5})
    assert not fail


async def test_queue_lengths_that_are_not_read_any_more_are_unknown_on_the_board(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_broker, "FRESH_S", 0.3)
    broker, socket = MemoryBroker(), FakeSocket(NEWEST)
    away: list[bool] = []
    real = views.versions_in

    def fails_later(launches: Any) -> set[str]:
        if away:
            raise OperationalError("the database is away")
        return real(launches)

    async def shown(backlog: int | None) -> None:
        wanted = f'>{wording.count(backlog)}</b> <span class="label">observer backlog<'
        while wanted not in (await socket.gets(1))["parts"].get("indicators", ""):
            await hub.acknowledged(socket, socket.frames[-1]["n"])
            socket.frames.clear()

    monkeypatch.setattr(live, "versions_in", fails_later)
    async with listening(monkeypatch, broker) as hub:
        waits_for_the_observer(broker, 3)
        hub.join(socket, socket.view)
        await shown(3)
        away.append(True)
        await shown(None)
        away.clear()
        await shown(3)
        hub.leave(socket)


async def test_the_queues_of_every_launch_that_is_watched_are_read(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = MemoryBroker()
    await sync_to_async(Launch.objects.update)(ended_at=timezone.now())
    await sync_to_async(Launch.objects.create)(
        name="the next one", control="vlatest", started_at=timezone.now()
    )
    await broker.declare(Topology(queues=(Queue(name="kitchen.vnext"),)))
    async with listening(monkeypatch, broker) as hub:
        old = FakeSocket(View(launch.id, Filter.ALL))
        await until(lambda: backlogs_of(hub) == {topology.STREAM_QUEUE: 0})
        hub.join(old, old.view)
        await until(lambda: "kitchen.vnext" in (backlogs_of(hub) or {}))
        hub.leave(old)


async def test_a_socket_that_may_not_watch_any_more_is_closed_and_the_others_stay(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "CHECK_EVERY_S", 0.02)
    out, still, doubtful = (FakeSocket(NEWEST) for _ in range(3))
    asked: list[int] = []

    def cannot_say() -> bool:
        asked.append(1)
        raise OperationalError("the database is away")

    doubtful.may_watch = cannot_say
    async with watched(doubtful, out, still) as hub:
        await out.gets(1)
        assert not out.denied
        out.may_watch = lambda: False
        await until(lambda: out.denied)
        assert out not in hub.subscriptions
        await until(lambda: len(asked) > 3)
        assert {still, doubtful} <= hub.subscriptions.keys()


def logs_out(_: User) -> None:
    Session.objects.all().delete()


def is_deactivated(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def is_deleted(user: User) -> None:
    user.delete()


def gets_another_password(user: User) -> None:
    user.set_password("another one")
    user.save()


@pytest.mark.parametrize("what", [logs_out, is_deactivated, is_deleted, gets_another_password])
async def test_an_open_board_is_closed_within_a_minute_when_its_user(
    launch: Launch,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    what: Callable[[User], None],
) -> None:
    assert live.CHECK_EVERY_S <= 60
    monkeypatch.setattr(live, "CHECK_EVERY_S", 0.05)
    settings.BOARD_PUBLIC = False
    user = await sync_to_async(User.objects.create_user)("ada", password="the first one")
    async with connected(Hub(NO_BROKER), user) as (communicator, _):
        for _ in range(3):
            frame = await frame_of(communicator)
            await communicator.send_to(json.dumps({"ack": frame["n"]}))
        await sync_to_async(what)(user)
        assert await denial_of(communicator) == DENIED


async def test_an_open_board_is_closed_when_boards_are_public_no_longer(
    launch: Launch, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "CHECK_EVERY_S", 0.05)
    settings.BOARD_PUBLIC = True
    async with connected(Hub(NO_BROKER)) as (watching, _):
        await frame_of(watching)
        settings.BOARD_PUBLIC = False
        assert await denial_of(watching) == DENIED


async def denial_of(communicator: WebsocketCommunicator) -> int:
    """The code with which a socket is closed."""
    while True:
        said = await communicator.receive_output(timeout=10)
        if said["type"] == "websocket.close":
            return int(said["code"])


@asynccontextmanager
async def connected(
    hub: Hub,
    user: User | None = None,
    *,
    query: str = "",
    origin: str = "http://testserver",
) -> AsyncIterator[tuple[WebsocketCommunicator, bool]]:
    headers = [(b"origin", origin.encode())]
    if user is not None:
        headers.append((b"cookie", f"sessionid={await logged_in(user)}".encode()))
    communicator = WebsocketCommunicator(
        AllowedHostsOriginValidator(with_user(BoardConsumer.as_asgi(hub=hub))),
        f"/dashboard/live/{query}",
        headers=headers,
    )
    accepted, _ = await communicator.connect()
    try:
        yield communicator, accepted
    finally:
        await communicator.disconnect()
        await hub.close()


async def logged_in(user: User) -> str:
    """The key of a session as a login makes it."""

    def log_in() -> str:
        request = HttpRequest()
        request.session = SessionStore()
        login(request, user, backend="django.contrib.auth.backends.ModelBackend")
        request.session.save()
        return request.session.session_key or ""

    return await sync_to_async(log_in)()


async def frame_of(communicator: WebsocketCommunicator) -> dict[str, Any]:
    """The next frame."""
    while True:
        said: dict[str, Any] = json.loads(await communicator.receive_from(timeout=10))
        if said["type"] != "pace":
            return said


async def test_a_page_of_another_site_gets_no_socket(launch: Launch) -> None:
    async with connected(Hub(NO_BROKER), origin="http://evil.example") as (_, ok):
        assert not ok


async def test_who_may_not_watch_is_told_and_closed(launch: Launch, settings: Settings) -> None:
    settings.BOARD_PUBLIC = False
    async with connected(Hub(NO_BROKER)) as (communicator, _):
        assert json.loads(await communicator.receive_from()) == {"type": "denied"}
        assert (await communicator.receive_output())["code"] == DENIED


async def test_who_is_logged_in_watches(launch: Launch, settings: Settings) -> None:
    settings.BOARD_PUBLIC = False
    user = await sync_to_async(User.objects.create_user)("ada")
    query = f"?launch={launch.id}&filter=failed"
    async with connected(Hub(NO_BROKER), user, query=query) as (communicator, _):
        frame = await frame_of(communicator)
        assert (frame["launch"], frame["filter"]) == (str(launch.id), "failed")
        await communicator.send_to(json.dumps({"ack": frame["n"]}))
        again = await frame_of(communicator)
        assert again["n"] > frame["n"]


async def test_a_wish_changes_what_it_names_and_nothing_else(
    launch: Launch, settings: Settings
) -> None:
    settings.BOARD_PUBLIC = True
    query = f"?launch={launch.id}&filter=failed"
    async with connected(Hub(NO_BROKER), query=query) as (communicator, _):
        first = await frame_of(communicator)
        assert first["version"] == "vnext"
        await communicator.send_to(json.dumps({"version": "vlatest-b"}))
        await communicator.send_to(json.dumps({"ack": first["n"]}))
        second = await frame_of(communicator)
        assert (second["filter"], second["version"]) == ("failed", "vlatest-b")


async def test_a_search_is_answered_once_beside_the_frames(
    launch: Launch, settings: Settings
) -> None:
    settings.BOARD_PUBLIC = True
    order = await sync_to_async(an_order)(launch)
    async with connected(Hub(NO_BROKER), query=f"?q={order.pk}") as (communicator, _):
        for asked in (str(order.pk), "nonsense"):
            said: dict[str, Any] = {}
            while said.get("type") != "found":
                said = json.loads(await communicator.receive_from(timeout=10))
                if said["type"] == "board":
                    await communicator.send_to(json.dumps({"ack": said["n"]}))
            assert (said["q"], len(said["rows"])) == (asked, int(asked != "nonsense"))
            await communicator.send_to(json.dumps({"q": "nonsense"}))


async def test_of_many_searches_between_two_ticks_the_last_is_made(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def find(_: View, text: str) -> str:
        made.append(text)
        return '{"type": "found"}'

    monkeypatch.setattr(live, "find", find)
    socket, hub = FakeSocket(NEWEST), Hub(NO_BROKER)
    monkeypatch.setattr(hub, "_run_ticks", asyncio.Event().wait)
    hub.join(socket, socket.view)
    for number in range(20):
        hub.search(socket, str(number))
    await hub._tick()
    await hub._tick()
    assert made == ["19"]
    hub.leave(socket)
    await hub.close()


async def test_a_process_takes_no_more_sockets_than_it_has_seats_for(
    launch: Launch, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BOARD_PUBLIC = True
    monkeypatch.setattr(live, "MAX_SOCKETS", 0)
    async with connected(Hub(NO_BROKER)) as (communicator, _):
        assert (await communicator.receive_output(timeout=10))["code"] == FULL


async def test_a_launch_that_is_not_there_is_none(launch: Launch, settings: Settings) -> None:
    settings.BOARD_PUBLIC = True
    async with connected(Hub(NO_BROKER), query=f"?launch={uuid4()}") as (c, _):
        assert json.loads(await c.receive_from(timeout=10))["type"] == "none"


@pytest.mark.parametrize("nonsense", ["x", "[]", "3", "[" * 900, "x" * 5000, '{"ack": NaN'])
async def test_a_socket_that_talks_nonsense_is_closed(
    launch: Launch, settings: Settings, nonsense: str
) -> None:
    settings.BOARD_PUBLIC = True
    async with connected(Hub(NO_BROKER)) as (communicator, _):
        await communicator.receive_from(timeout=10)
        await communicator.send_to(nonsense)
        assert (await communicator.receive_output(timeout=10))["code"] == NOT_UNDERSTOOD


def _sent(one: Subscription, *numbers: int, now: float) -> Subscription:
    for number in numbers:
        one.send(number, now)
    return one


def test_a_newcomer_is_sent_one_frame() -> None:
    assert Subscription().has_room
    assert not _sent(Subscription(), 1, now=0.0).has_room


@pytest.mark.parametrize(
    ("delay_s", "every", "room"), [(0.01, AHEAD_EVERY, AHEAD), (2 * PROMPT_S, 1, 1)]
)
def test_room_is_as_prompt_as_the_acknowledgement(delay_s: float, every: int, room: int) -> None:
    one = _sent(Subscription(), 1, now=10.0)
    assert one.acknowledge(1, 10.0 + delay_s) is (every != 1)
    assert one.every == every
    for number in range(room):
        assert one.has_room
        one.send(2 + number, 11.0)
    assert not one.has_room


def test_one_that_falls_behind_gets_one_frame_at_a_time_again() -> None:
    one = _sent(Subscription(every=AHEAD_EVERY), 1, 2, 3, 4, now=0.0)
    assert one.acknowledge(3, 5.0)
    assert one.every == 1
    assert not one.has_room
    assert not one.acknowledge(4, 5.0)
    assert one.has_room


def test_an_acknowledgement_is_also_of_all_frames_before() -> None:
    one = _sent(Subscription(every=AHEAD_EVERY), 3, 4, 7, now=0.0)
    one.acknowledge(4, 0.1)
    assert one.waited_s(0.2) == 0.2
    one.acknowledge(7, 0.2)
    assert one.waited_s(9.0) == 0.0


@pytest.mark.parametrize("number", [-1, 0, 5, 99])
def test_a_number_that_was_not_sent_changes_nothing(number: int) -> None:
    one = _sent(Subscription(), 4, now=0.0)
    assert not one.acknowledge(number, 0.1)
    assert not one.has_room
    assert one.waited_s(3.0) == 3.0
