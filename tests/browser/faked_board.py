"""The board's page as the site renders it of a made-up frame, served to a browser by no server."""

from __future__ import annotations

import json
import mimetypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.contrib.auth.models import AnonymousUser
from django.contrib.staticfiles import finders
from django.http import HttpResponse
from django.test import RequestFactory, override_settings
from playwright.sync_api import Page, Route, WebSocketRoute

from dashboard.board.parts import render_parts
from dashboard.board.views import Frame, compose
from dashboard.pages import board
from dashboard.tests.verdict_frames import a_launch

ADDRESS = "http://board.test"


def render(frame: dict[str, Any]) -> str:
    """The board's first paint."""
    request = RequestFactory().get("/dashboard/", headers={"host": "localhost"})
    request.user = AnonymousUser()
    with (
        override_settings(BOARD_PUBLIC=True),
        patch.object(board, "asked_launch", return_value=a_launch(frame)),
        patch.object(board, "board_state", return_value=frame),
        patch.object(board, "newest_changes", return_value=[]),
        patch.object(board, "newest_launches", return_value=[a_launch(frame)]),
    ):
        answer = board.board(request)
    assert isinstance(answer, HttpResponse)
    return answer.content.decode()


class FakedBoard:
    """A page that shows a first paint, and to which frames can be sent as the hub does."""

    def __init__(self, page: Page, first: dict[str, Any]) -> None:
        self.page = page
        self._html = render(first)
        self._number = self._sent = self._acknowledged = 0
        self._newest: Frame | None = None
        #: What the page has said.
        self.said: list[dict[str, Any]] = []
        self._sockets: list[WebSocketRoute] = []
        page.route("**/*", self._answer)
        page.route_web_socket("**/live/**", self._join)
        page.goto(f"{ADDRESS}/dashboard/")

    def send(self, frame: dict[str, Any]) -> None:
        """Send the page another frame, and wait until it has acknowledged it."""
        self._number += 1
        parts = render_parts(a_launch(frame), frame, is_pinned=False)
        ids = [row["id"] for row in frame["rows"]]
        state = {**frame, "ids": ids, "parts": parts}
        self._newest = compose(state, self._newest, number=self._number)
        self._sockets[-1].send(self._newest.text(self._sent))
        self._sent = self._number
        self._until(lambda: self._acknowledged >= self._number)

    def say(self, message: dict[str, Any]) -> None:
        """Send the page a message that is no frame of the board."""
        self._sockets[-1].send(json.dumps(message))

    def wait_for(self, message: dict[str, Any]) -> None:
        """Wait until the page has said this."""
        self._until(lambda: message in self.said)

    @property
    def joins(self) -> int:
        """How often the page has connected."""
        return len(self._sockets)

    def wait_for_join(self, number: int) -> None:
        """Wait until the page has connected so often."""
        self._until(lambda: self.joins >= number)

    def forget_a_row(self) -> None:
        """Send a frame that names a row which the page was never sent."""
        self._number += 1
        text = self._newest.text(self._sent) if self._newest else "{}"
        self.say({**json.loads(text), "n": self._number, "ids": ["never sent"], "rows": []})

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 15
        while not condition():
            assert time.monotonic() < deadline
            self.page.evaluate("() => new Promise(requestAnimationFrame)")

    def close(self, code: int) -> None:
        """Close the newest connection of the page as the hub does."""
        self._sockets[-1].close(code=code)

    def _join(self, socket: WebSocketRoute) -> None:
        self._sent = 0
        self._sockets.append(socket)
        socket.on_message(self._hear)

    def _hear(self, said: str | bytes) -> None:
        self.said.append(json.loads(said))
        self._acknowledged = self.said[-1].get("ack", self._acknowledged)

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
