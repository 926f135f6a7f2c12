"""A 403 is logged without a traceback."""

from __future__ import annotations

import logging

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


@pytest.mark.parametrize("path", ["/dashboard/rules/new/", "/admin/restaurant/order/add/"])
def test_an_ordinary_refusal_is_one_line_without_a_traceback(
    client: Client, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    client.force_login(User.objects.create_user("ada", is_staff=True))

    with caplog.at_level(logging.WARNING):
        assert client.get(path).status_code == 403

    assert caplog.messages == [f"Forbidden (Permission denied): {path}"]
    assert "Traceback" not in caplog.text
