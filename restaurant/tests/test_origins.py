"""A refused form or WebSocket says which origin was refused, and what to change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from pytest_django.fixtures import Settings

from restaurant.origins import Origins

_ORIGIN = "https://kitchen.example:8443"
_SET = f"set CSRF_TRUSTED_ORIGINS={_ORIGIN}"


def _post(
    path: str, headers: Mapping[str, str] | None = None, *, user: User | None = None
) -> HttpResponse:
    client = Client(enforce_csrf_checks=True)
    if user:
        client.force_login(user)
    answer: Any = client.post(path, headers={"Origin": _ORIGIN, **(headers or {})})
    assert answer.status_code == 403
    return answer  # type: ignore[no-any-return]


def _logged(caplog: pytest.LogCaptureFixture) -> tuple[str, str]:
    """The action and the message of the only line about it."""
    [record] = [one for one in caplog.records if one.levelname != "DEBUG"]
    return record.__dict__["action"], record.getMessage()


@pytest.mark.django_db
@pytest.mark.parametrize("htmx", [{}, {"HX-Request": "true"}])
def test_a_customer_reads_what_to_do_and_no_setting(
    htmx: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    page = _post("/", htmx).content.decode()
    assert "Open the site at its usual address" in page
    assert "CSRF_" not in page
    assert ("<html" in page) == (not htmx)
    action, message = _logged(caplog)
    assert action == "origin_refused"
    assert message == (
        f"refused a form of '{_ORIGIN}', because the proxy presents this site as http://testserver."
        f" If that is the site's address: {_SET}; or have the proxy pass on the Host header with"
        " its port; or set HTTPS=1 and have the proxy send X-Forwarded-Proto"
    )


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/login/", "/admin/login/", "/logout/"])
def test_the_forms_of_staff_name_the_setting_to_a_guest_too(path: str) -> None:
    page = _post(path).content.decode()
    assert f"<code>{_ORIGIN}</code>" in page
    assert _SET in page


@pytest.mark.django_db
@pytest.mark.parametrize(("is_staff", "debug"), [(True, False), (False, True), (False, False)])
def test_staff_and_a_developer_read_the_setting_on_every_form(
    is_staff: bool, debug: bool, settings: Settings
) -> None:
    settings.DEBUG = debug
    user = User.objects.create_user("ada", is_staff=is_staff)
    assert (_SET in _post("/", user=user).content.decode()) == (is_staff or debug)


@pytest.mark.django_db
def test_htmx_gets_the_setting_in_its_message() -> None:
    page = _post("/login/", {"HX-Request": "true"}).content.decode()
    assert page.startswith('<p role="alert">')
    assert _SET in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("host", "is_said"),
    [("kitchen.example:8443", "X-Forwarded-Proto"), ("kitchen.example", "X-Forwarded-Proto")],
)
def test_only_what_differs_is_named(host: str, is_said: str, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["kitchen.example"]
    page = _post("/login/", {"Host": host}).content.decode()
    assert is_said in page
    assert ("Host header" in page) == (":" not in host)


@pytest.mark.django_db
def test_the_named_setting_is_the_cure(settings: Settings) -> None:
    settings.CSRF_TRUSTED_ORIGINS = [_ORIGIN]
    page = _post("/").content.decode()
    # What is missing now is the cookie.
    assert "The form has expired." in page


@pytest.mark.django_db
@pytest.mark.parametrize("origin", ["null", "http://testserver"])
def test_an_origin_that_no_setting_can_help_is_not_named(
    origin: str, caplog: pytest.LogCaptureFixture
) -> None:
    page = _post("/login/", {"Origin": origin}).content.decode()
    assert "The form has expired." in page
    assert "CSRF_TRUSTED_ORIGINS" not in page
    action, message = _logged(caplog)
    assert action == "form_refused"
    assert message.startswith("refused a form to '/login/': ")


# Channels' consumer, which refuses, looks after the database's connections.
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("origin", "is_let_in"),
    [
        ("https://kitchen.example", True),
        (_ORIGIN, True),
        ("https://evil.example", False),
        ("null", False),
        (None, False),
    ],
)
async def test_a_socket_of_another_host_is_refused_and_its_origin_logged(
    origin: str | None, is_let_in: bool, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ALLOWED_HOSTS = ["kitchen.example", "localhost"]
    served: list[Any] = []
    sent: list[str] = []

    async def site(scope: Any, receive: Any, send: Any) -> None:
        served.append(scope)

    async def receive() -> Any:
        return (
            {"type": "websocket.connect"}
            if not sent
            else {"type": "websocket.disconnect", "code": 1006}
        )

    async def send(message: Any) -> None:
        sent.append(message["type"])

    headers = [(b"origin", origin.encode())] if origin else []
    scope: Any = {"type": "websocket", "path": "/dashboard/live/", "headers": headers}
    await Origins(site)(scope, receive, send)
    if is_let_in:
        assert len(served) == 1
        assert caplog.records == []
        return
    assert served == []
    assert sent == ["websocket.close"]
    action, message = _logged(caplog)
    assert action == "origin_refused"
    assert message.startswith(f"refused a WebSocket of {origin or 'a client without an Origin'!r}")
    assert "ALLOWED_HOSTS (kitchen.example, localhost)" in message
