"""The user of a WebSocket, by its session cookie."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import Client

from restaurant.sessions import with_user

pytestmark = pytest.mark.django_db(transaction=True)


async def _scope_of(cookie: str) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope, receive=receive, send=send)

    scope = {"type": "websocket", "headers": [(b"cookie", f"sessionid={cookie}".encode())]}
    await with_user(application)(scope, "the server's receive", "the server's send")
    return seen


async def test_who_is_logged_in_is_known_and_is_sent_to_directly() -> None:
    client, user = Client(), await sync_to_async(User.objects.create_user)("ada")
    await sync_to_async(client.force_login)(user)
    seen = await _scope_of(client.cookies["sessionid"].value)
    assert seen["user"] == user
    assert (seen["receive"], seen["send"]) == ("the server's receive", "the server's send")


async def test_a_session_that_is_not_there_is_nobodys() -> None:
    assert not (await _scope_of("nonsense"))["user"].is_authenticated
