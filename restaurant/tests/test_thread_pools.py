"""A request has one thread of a pool, which keeps its connection to the database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import signals
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from pytest_django.fixtures import Settings

from restaurant import thread_pools, urls
from restaurant.thread_pools import Pool, PooledThreads, pool_of

_PATIENCE_S = 30.0


class _Client:
    """What a client gets, and when it leaves."""

    def __init__(self, *, is_gone: bool = False) -> None:
        self.messages: list[dict[str, Any]] = []
        self.leaves = asyncio.Event()
        self._to_send = [] if is_gone else [{"type": "http.request", "body": b""}]
        if is_gone:
            self.leaves.set()

    async def ask(self, site: Any, path: str, *, cookie: str = "") -> None:
        headers = [(b"host", b"localhost"), (b"cookie", cookie.encode())]
        scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
        await site({**scope, "query_string": b""}, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        if self._to_send:
            return self._to_send.pop()
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def body(self) -> bytes:
        assert not self.messages[-1].get("more_body", False)
        return b"".join(message.get("body", b"") for message in self.messages[1:])


async def _get(site: Any, path: str, *, cookie: str = "") -> _Client:
    client = _Client()
    async with asyncio.timeout(_PATIENCE_S):
        await client.ask(site, path, cookie=cookie)
    return client


@asynccontextmanager
async def _site(
    *, threads: int = 1, max_wait_s: float = _PATIENCE_S
) -> AsyncIterator[PooledThreads]:
    """Django with so many threads in each pool; the connection of one is closed in the end."""
    site = PooledThreads(ASGIHandler(), threads=dict.fromkeys(Pool, threads), max_wait_s=max_wait_s)
    yield site
    for pool in Pool:
        await _in_thread(site, pool, connections.close_all)


async def _in_thread(site: PooledThreads, pool: Pool, call: Callable[[], Any]) -> Any:
    """Run something in a thread of a pool, once one is free."""
    thread = await site._threads[pool].acquire(within_s=_PATIENCE_S)
    assert thread
    try:
        return await asyncio.wrap_future(thread.submit(call))
    finally:
        site._threads[pool].release(thread)


class _SlowView:
    """A view that ends when it may."""

    def __init__(self) -> None:
        self.calls = 0
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.calls += 1
        self.has_begun.set()
        assert self.may_end.wait(_PATIENCE_S)
        return HttpResponse("slow")


def _fails(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the oven is cold")


slow = _SlowView()
urlpatterns = [
    path("dashboard/slow/", lambda request: slow(request)),  # noqa: PLW0108 - each test has another
    path("dashboard/fails/", _fails),
    path("dashboard/fast/", lambda request: HttpResponse("fast")),
    path("fast/", lambda request: HttpResponse("fast")),
    *urls.urlpatterns,
]


@pytest.fixture
def slow_view(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> _SlowView:
    settings.ROOT_URLCONF = __name__
    monkeypatch.setitem(globals(), "slow", _SlowView())
    return slow


async def _begun(view: _SlowView) -> None:
    assert await asyncio.to_thread(view.has_begun.wait, _PATIENCE_S)


async def test_what_is_before_and_after_a_view_runs_in_one_thread() -> None:
    seen: list[int] = []

    def see(**_: Any) -> None:
        seen.append(threading.get_ident())

    signals.request_started.connect(see)
    signals.request_finished.connect(see)
    try:
        async with _site() as site:
            assert (await _get(site, "/api/health")).status == 200
    finally:
        signals.request_started.disconnect(see)
        signals.request_finished.disconnect(see)
    assert len(seen) == 2
    assert len(set(seen)) == 1
    assert threading.get_ident() not in seen


async def test_all_middlewares_together_cost_one_hop_to_the_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hops: list[Any] = []
    loop = asyncio.get_running_loop()
    run_in_executor = loop.run_in_executor

    def counted(*args: Any) -> Any:
        hops.append(args)
        return run_in_executor(*args)

    monkeypatch.setattr(loop, "run_in_executor", counted)
    async with _site() as site:
        await _get(site, "/api/health")
    # One for the signal of its beginning, for the middlewares, for the check of CSRF, for the view,
    # and for the closing of the response.
    assert len(hops) == 5


async def test_a_file_arrives_whole(settings: Settings) -> None:
    [directory] = settings.STATICFILES_DIRS
    file = next(directory.glob("css/*.css"))
    async with _site() as site:
        got = await _get(site, f"/static/css/{file.name}")
    assert got.status == 200
    assert got.body == file.read_bytes()


async def test_who_leaves_before_the_request_is_whole_is_sent_nothing() -> None:
    client = _Client(is_gone=True)
    async with _site() as site:
        await client.ask(site, "/api/health")
        assert client.messages == []
        assert (await _get(site, "/api/health")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "pool"),
    [
        ("POST", "/orders", Pool.ORDERS),
        ("POST", "/", Pool.ORDERS),
        ("POST", "/quote/", Pool.ORDERS),
        ("GET", "/ticket/1234/state/", Pool.ORDERS),
        ("GET", "/static/css/site.css", Pool.ORDERS),
        ("GET", "/api/ready", Pool.ORDERS),
        ("POST", "/login/", Pool.LOGINS),
        ("POST", "/admin/login/", Pool.LOGINS),
        ("POST", "/admin/password_change/", Pool.LOGINS),
        ("POST", "/admin/auth/user/7/password/", Pool.LOGINS),
        ("GET", "/login/", Pool.PAGES),
        ("GET", "/dashboard/", Pool.PAGES),
        ("POST", "/dashboard/rules/new/", Pool.PAGES),
        ("GET", "/admin/", Pool.PAGES),
        ("POST", "/logout/", Pool.PAGES),
    ],
)
def test_orders_passwords_and_pages_have_threads_of_their_own(
    method: str, path: str, pool: Pool
) -> None:
    assert pool_of(method, path) is pool


async def test_a_request_waits_for_a_thread_of_its_pool_and_no_other_does(
    slow_view: _SlowView,
) -> None:
    async with _site() as site:
        first, second = (asyncio.create_task(_get(site, "/dashboard/slow/")) for _ in range(2))
        await _begun(slow_view)
        assert (await _get(site, "/fast/")).body == b"fast"
        assert slow_view.calls == 1
        slow_view.may_end.set()
        assert [(await one).body for one in (first, second)] == [b"slow", b"slow"]
    assert slow_view.calls == 2


async def test_a_request_that_gets_no_thread_in_time_is_refused(
    slow_view: _SlowView, caplog: pytest.LogCaptureFixture
) -> None:
    async with _site(max_wait_s=0.01) as site:
        first = asyncio.create_task(_get(site, "/dashboard/slow/"))
        await _begun(slow_view)
        refused = await _get(site, "/dashboard/slow/")
        assert refused.status == 503
        assert (b"Retry-After", b"5") in refused.messages[0]["headers"]
        assert refused.body == b"The site is too busy. Try again in 5 seconds."
        assert "no free thread for pages" in caplog.text
        slow_view.may_end.set()
        assert (await first).status == 200
        assert (await _get(site, "/dashboard/slow/")).status == 200


async def test_so_many_requests_wait_and_further_ones_are_refused_at_once(
    slow_view: _SlowView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_pools, "MAX_WAITING", 3)
    async with _site() as site:
        first = asyncio.create_task(_get(site, "/dashboard/slow/"))
        await _begun(slow_view)
        waiting = [asyncio.create_task(_get(site, "/dashboard/slow/")) for _ in range(3)]
        await asyncio.sleep(0)
        assert (await _get(site, "/dashboard/slow/")).status == 503
        assert (await _get(site, "/fast/")).status == 200
        slow_view.may_end.set()
        assert [(await one).status for one in (first, *waiting)] == [200] * 4


async def test_a_thread_is_not_free_while_a_view_runs_whose_request_the_server_has_ended(
    slow_view: _SlowView,
) -> None:
    async with _site(threads=2) as site:
        ended = asyncio.create_task(_get(site, "/dashboard/slow/"))
        await _begun(slow_view)
        ended.cancel()
        await asyncio.wait([ended])
        assert ended.cancelled()
        assert (await _get(site, "/dashboard/fast/")).status == 200
        waiting = [asyncio.create_task(_get(site, "/dashboard/slow/")) for _ in range(2)]
        assert (await _get(site, "/fast/")).status == 200
        slow_view.may_end.set()
        assert [(await one).status for one in waiting] == [200, 200]
        pages = site._threads[Pool.PAGES]
        both = [await pages.acquire(within_s=_PATIENCE_S) for _ in range(2)]
        assert None not in both
        for thread in both:
            pages.release(thread)  # type: ignore[arg-type]


async def test_a_site_that_stops_waits_for_its_views_and_begins_no_more(
    slow_view: _SlowView,
) -> None:
    site = PooledThreads(ASGIHandler(), threads=dict.fromkeys(Pool, 1), max_wait_s=0.01)
    last = asyncio.create_task(_get(site, "/dashboard/slow/"))
    await _begun(slow_view)
    stopping = asyncio.create_task(site.stop())
    assert (await _get(site, "/dashboard/fast/")).status == 503
    assert not stopping.done()
    slow_view.may_end.set()
    async with asyncio.timeout(_PATIENCE_S):
        await stopping
    assert (await last).status == 200
    assert (await _get(site, "/fast/")).status == 503


async def test_a_view_goes_on_to_its_end_when_its_client_leaves(slow_view: _SlowView) -> None:
    client = _Client()
    async with _site() as site:
        asked = asyncio.create_task(client.ask(site, "/dashboard/slow/"))
        await _begun(slow_view)
        client.leaves.set()
        slow_view.may_end.set()
        async with asyncio.timeout(_PATIENCE_S):
            await asked
        assert client.messages == []
        assert (await _get(site, "/dashboard/slow/")).status == 200


async def test_a_view_that_fails_is_a_page_in_the_log(
    slow_view: _SlowView, caplog: pytest.LogCaptureFixture
) -> None:
    async with _site() as site:
        failed = await _get(site, "/dashboard/fails/")
    assert failed.status == 500
    assert "the oven is cold" in caplog.text
    assert "Internal Server Error: /dashboard/fails/" in caplog.text


@pytest.mark.django_db(transaction=True)
async def test_the_next_request_finds_the_connection_of_the_last() -> None:
    async with _site() as site:

        async def connected() -> object:
            return await _in_thread(site, Pool.ORDERS, lambda: connections["default"].connection)

        assert (await _get(site, "/api/ready")).status == 200
        first = await connected()
        assert (await _get(site, "/api/ready")).status == 200
        assert first is not None
        assert await connected() is first


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("path", "status", "pools"),
    [
        ("/dashboard/", 200, {Pool.PAGES}),
        ("/dashboard/discrepancies/4711/", 404, {Pool.PAGES}),
        ("/dashboard/nowhere/", 404, set()),
        ("/admin/auth/user/4711/change/", 302, {Pool.PAGES}),
    ],
)
async def test_threads_of_no_pool_have_no_connection(
    path: str, status: int, pools: set[Pool]
) -> None:
    def logged_in() -> str:
        client = Client()
        client.force_login(get_user_model().objects.create_superuser("chef"))
        connections.close_all()
        return f"sessionid={client.cookies['sessionid'].value}"

    cookie = await asyncio.to_thread(logged_in)
    connected: set[str] = set()

    def see(**_: Any) -> None:
        connected.add(threading.current_thread().name.partition("_")[0])

    connection_created.connect(see)
    try:
        async with _site() as site:
            assert (await _get(site, path, cookie=cookie)).status == status
    finally:
        connection_created.disconnect(see)
    assert connected == pools
