"""A site below a path: what is below it is served, everything else is refused and logged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import get_script_prefix, reverse, set_script_prefix
from pytest_django.fixtures import Settings

from restaurant.doors import door_url
from restaurant.path_prefix import BelowPrefix, below_prefix


class _Site:
    """Notes the root path that it is served with."""

    def __init__(self) -> None:
        self.root_paths: list[str] = []
        self.sent: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.root_paths.append(scope["root_path"])

    async def ask(self, path: str, *, prefix: str, kind: str = "http") -> None:
        async def send(message: Any) -> None:
            self.sent.append(message)

        # Daphne takes it from a header, too.
        scope = {"type": kind, "path": path, "root_path": "/of/a/client"}
        await BelowPrefix(self, prefix=prefix)(scope, None, send)


@pytest.fixture
def below_kitchen() -> Iterator[None]:
    before = get_script_prefix()
    set_script_prefix("/kitchen")
    yield
    set_script_prefix(before)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("prefix", "path", "root_path"),
    [
        ("/kitchen", "/kitchen/", "/kitchen"),
        ("/kitchen", "/kitchen", "/kitchen"),
        ("/a/b", "/a/b/dashboard/", "/a/b"),
        ("/kitchen", "/api/ready", ""),
        ("/kitchen", "/kitchen/api/ready", "/kitchen"),
        ("", "/", ""),
        ("", "/kitchen/", ""),
        ("", "*", ""),
    ],
)
async def test_what_is_below_the_prefix_is_served(
    kind: str, prefix: str, path: str, root_path: str
) -> None:
    site = _Site()
    await site.ask(path, prefix=prefix, kind=kind)
    assert site.root_paths == [root_path]
    assert site.sent == []


@pytest.mark.parametrize("path", ["/", "/dashboard/", "/kitchenette/", "/static/css/site.css", "*"])
async def test_what_is_not_below_it_is_refused_and_logged(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    site = _Site()
    await site.ask(path, prefix="/kitchen")
    await site.ask(path, prefix="/kitchen", kind="websocket")
    assert site.root_paths == []
    start, body, closed = site.sent
    assert start["status"] == 404
    assert b"this site is at /kitchen/" in body["body"]
    assert closed == {"type": "websocket.close"}
    for record in caplog.records:
        assert record.getMessage().startswith(f"{path!r} is not below PATH_PREFIX=/kitchen: ")
        assert record.__dict__["action"] == "outside_prefix"
    assert len(caplog.records) == 2


def test_a_url_with_the_prefix_leads_to_its_page(below_kitchen: None) -> None:
    assert reverse("board") == door_url("board") == "/kitchen/dashboard/"
    assert below_prefix("/kitchen/dashboard/") == "/dashboard/"


def test_cookies_and_files_are_below_the_prefix_and_at_the_root_without_one(
    settings: Settings,
) -> None:
    assert settings.SESSION_COOKIE_PATH == settings.CSRF_COOKIE_PATH == "/"
    assert settings.STATIC_URL == "/static/"
    assert settings.FORCE_SCRIPT_NAME is None
