"""Settings from the environment: right ones are read, wrong ones become checks with id and hint."""

from __future__ import annotations

import pytest
from django.core.checks import CheckMessage
from pytest_django.fixtures import Settings

from kitchen_worker.contract.topology import QueueType
from restaurant.checks import IDS, settings_are_right
from restaurant.environment import Environment

SECRET = {"SECRET_KEY": "a key that is long enough and used in tests only, as it should be"}


def complaints(settings: Settings, **environ: str) -> list[CheckMessage]:
    settings.ENVIRONMENT = Environment.from_environ({**SECRET, **environ})
    return settings_are_right(None)


def test_an_empty_environment_gives_the_defaults_and_misses_the_key_alone(
    settings: Settings,
) -> None:
    settings.ENVIRONMENT = environment = Environment.from_environ({})
    assert environment.problems == ()
    assert environment.board_public is False
    assert environment.deadline_s == 30.0
    assert [found.id for found in settings_are_right(None)] == [IDS["SECRET_KEY"]]


def test_right_settings_are_read() -> None:
    environment = Environment.from_environ(
        {
            "ALLOWED_HOSTS": "kitchen.example, www.kitchen.example",
            "CSRF_TRUSTED_ORIGINS": "https://kitchen.example",
            "DATABASE_URL": "postgres://cook:secret@db/kitchen",
            "AMQP_URL": "amqps://cook:secret@broker/vhost",
            "BOARD_PUBLIC": "yes",
            "DEADLINE_SECONDS": "2.5",
            "QUEUE_TYPE": "quorum",
            "HEALTH_PORT": "8081",
            "HEALTH_HOST": "192.0.2.7",
            "LOG_LEVEL": "debug",
        }
    )
    assert environment.problems == ()
    assert environment.allowed_hosts == ("kitchen.example", "www.kitchen.example")
    assert environment.database["NAME"] == "kitchen"
    assert environment.board_public is True
    assert environment.deadline_s == 2.5
    assert environment.limits.queue_type is QueueType.QUORUM
    assert (environment.health_host, environment.health_port) == ("192.0.2.7", 8081)
    assert environment.log_level == "DEBUG"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("DEBUG", "perhaps"),
        ("CSRF_TRUSTED_ORIGINS", "kitchen.example"),
        ("DATABASE_URL", "mysql://root@db/kitchen"),
        ("DATABASE_URL", "no url at all"),
        ("AMQP_URL", "http://broker"),
        ("BOARD_PUBLIC", "2"),
        ("SECURE_COOKIES", "on?"),
        ("DEADLINE_SECONDS", "0"),
        ("DEADLINE_SECONDS", "nan"),
        ("DEADLINE_SECONDS", "soon"),
        ("QUEUE_TYPE", "stream"),
        ("DARK_QUEUE_LENGTH", "-1"),
        ("DARK_QUEUE_TTL_SECONDS", "1.5"),
        ("OBSERVER_QUEUE_LENGTH", "0"),
        ("DEAD_QUEUE_LENGTH", "many"),
        ("HEALTH_PORT", "70000"),
        ("LOG_LEVEL", "LOUD"),
        ("HEALTH_HOST", "everywhere"),
    ],
)
def test_a_wrong_setting_is_a_check_with_its_id_and_a_hint(
    settings: Settings, name: str, wrong: str
) -> None:
    (found,) = complaints(settings, **{name: wrong})
    assert found.id == IDS[name]
    assert name in found.msg
    assert found.hint


def test_a_public_board_under_any_host_name_is_warned_of(settings: Settings) -> None:
    (found,) = complaints(settings, BOARD_PUBLIC="1", ALLOWED_HOSTS="*")
    assert found.id == "restaurant.W001"
