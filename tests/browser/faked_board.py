"""The board's page as the site renders it of a made-up frame, served to a browser by no server."""

from __future__ import annotations

import json
import mimetypes
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.contrib.auth.models import AnonymousUser
from django.contrib.staticfiles import finders
from django.http import HttpResponse
from django.test import RequestFactory, override_settings
from playwright.sync_api import Page, Route, WebSocketRoute

from dashboard.pages import board_views
from dashboard.tests.verdict_frames import LAUNCH
from restaurant.models import Launch

ADDRESS = "http://board.test"
#: Whether the page has painted so many frames.
_PAINTED = "(frames) => performance.getEntriesByName('board-paint', 'measure').length >= frames"


def render(frame: dict[str, Any]) -> str:
    """The board's first paint."""
    launch = Launch(
        id=LAUNCH, name="November", control="vlatest", started_at=datetime(2026, 1, 5, tzinfo=UTC)
    )
    if frame["run"]["state"] == "ended":
        launch.ended_at = datetime.fromtimestamp(frame["run"]["at"], UTC)
    request = RequestFactory().get("/dashboard/", headers={"host": "localhost"})
    request.user = AnonymousUser()
    with (
        override_settings(BOARD_PUBLIC=True),
        patch.object(board_views, "asked_launch", return_value=launch),
        patch.object(board_views, "build_frame", return_value=frame),
        patch.object(board_views, "newest_changes", return_value=[]),
    ):
        answer = board_views.board(request)
    assert isinstance(answer, HttpResponse)
    return answer.content.decode()


class FakedBoard:
    """A page that shows a first paint, and to which frames can be sent as the hub does."""

    def __init__(self, page: Page, first: dict[str, Any]) -> None:
        self.page = page
        self._html = render(first)
        self._number = 0
        self._sockets: list[WebSocketRoute] = []
        page.route("**/*", self._answer)
        page.route_web_socket("**/live/**", self._join)
        page.goto(f"{ADDRESS}/dashboard/")

    def send(self, frame: dict[str, Any]) -> None:
        """Have the page paint another frame, and wait until it did."""
        self._number += 1
        self._sockets[-1].send(json.dumps({**frame, "n": self._number}))
        self.page.wait_for_function(_PAINTED, arg=self._number)

    def close(self, code: int) -> None:
        """Close the newest connection of the page as the hub does."""
        self._sockets[-1].close(code=code)

    def _join(self, socket: WebSocketRoute) -> None:
        self._sockets.append(socket)

    def _answer(self, route: Route) -> None:
        path = route.request.url.removeprefix(ADDRESS).partition("?")[0]
        if path == "/dashboard/":
            route.fulfill(body=self._html, content_type="text/html")
            return
        found = finders.find(path.removeprefix("/static/"))
        if found is None:
            route.fulfill(status=404)
            return
        kind = mimetypes.guess_type(found)[0] or "application/octet-stream"
        route.fulfill(body=Path(found).read_bytes(), content_type=kind)
