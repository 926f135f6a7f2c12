"""How the launch stands: what the head of the board offers, and whom."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from dashboard.tests.factories import START, a_launch
from restaurant.models import Launch

pytestmark = pytest.mark.django_db

BOARD = "/dashboard/"


def change_link(launch: Launch) -> str:
    return f'href="/admin/restaurant/launch/{launch.pk}/change/"'


def shown(client: Client) -> str:
    return client.get(BOARD).content.decode()


def test_staff_finds_the_launchs_percent_from_the_board(client: Client) -> None:
    launch = a_launch()
    client.force_login(User.objects.create_superuser("ada"))

    assert change_link(launch) in shown(client)


def test_an_ended_launch_has_no_percent_to_change(client: Client) -> None:
    launch = a_launch(ended_at=START + timedelta(hours=1))
    client.force_login(User.objects.create_superuser("ada"))

    assert change_link(launch) not in shown(client)


def test_who_may_not_change_a_launch_is_not_led_to_it(client: Client, settings: Settings) -> None:
    settings.BOARD_PUBLIC = True
    launch = a_launch()

    assert change_link(launch) not in shown(client)
    client.force_login(User.objects.create_user("grace", is_staff=True))
    assert change_link(launch) not in shown(client)


def test_charts_wait_for_the_first_order(client: Client, settings: Settings) -> None:
    settings.BOARD_PUBLIC = True
    a_launch()

    assert 'aria-label="Charts" hidden>' in shown(client)


def test_each_version_has_its_place(client: Client, settings: Settings) -> None:
    settings.BOARD_PUBLIC = True
    a_launch().dark_versions.create(version="vmine", role="candidate", percent=5)

    page = shown(client)

    for place, version in enumerate(("vlatest", "vnext", "vmine", "vlatest-b")):
        assert f'data-place="{place}">{version}<' in page
