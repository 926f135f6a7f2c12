"""Settings fail closed: right ones are read, and with a wrong one no process starts."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings as loaded
from django.test import Client, override_settings
from pytest_django.fixtures import Settings

from kitchen_worker.amqp.settings import WrongSettings, settings_of
from kitchen_worker.contract.topology import QueueType, QueueTypes
from local.settings import ROOT
from restaurant.checks import IDS, cannot_start, warn_of_a_public_board
from restaurant.environment import Environment

SECRET = {"SECRET_KEY": "a key that is long enough and used in tests only, as it should be"}
_DAPHNE = ("-m", "daphne", "-p", "0", "restaurant.asgi:application")
_PATIENCE_S = 60


def _wrong(**environ: str) -> list[str]:
    with pytest.raises(WrongSettings) as caught:
        Environment.from_environ({**SECRET, **environ})
    return [problem.name for problem in caught.value.problems]


def _run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in IDS}
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**kept, "DJANGO_SETTINGS_MODULE": "restaurant.settings", **environ},
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
    )


def test_an_empty_environment_misses_the_key_alone() -> None:
    with pytest.raises(WrongSettings) as caught:
        Environment.from_environ({})
    assert [problem.name for problem in caught.value.problems] == ["SECRET_KEY"]


def test_an_empty_value_counts_as_not_given() -> None:
    empty = {setting.variable: " " for setting in settings_of(Environment)}
    assert Environment.from_environ({**empty, **SECRET}) == Environment.from_environ(SECRET)


def test_all_processes_of_a_developers_machine_have_the_same_key() -> None:
    given = {"DEBUG": "1"}
    assert Environment.from_environ(given) == Environment.from_environ(given)
    assert Environment.from_environ({**given, **SECRET}).secret_key == SECRET["SECRET_KEY"]


def test_right_settings_are_read() -> None:
    environment = Environment.from_environ(
        {
            **SECRET,
            "ALLOWED_HOSTS": "kitchen.example, www.kitchen.example,.kitchen.example,[::1]",
            "CSRF_TRUSTED_ORIGINS": "https://kitchen.example,https://*.kitchen.example",
            "PATH_PREFIX": "/eat/dark_kitchen-1.0",
            "DATABASE_URL": "postgres://cook:secret@db/kitchen?sslmode=verify-full",
            "AMQP_URL": "amqps://cook:secret@one/vhost?heartbeat=5, amqp://two:5673",
            "BOARD_PUBLIC": "true",
            "HTTPS": "1",
            "DEADLINE_SECONDS": "2.5",
            "QUEUE_TYPE": "quorum",
            "HEALTH_PORT": "8081",
            "HEALTH_HOST": "192.0.2.7",
            "LOG_LEVEL": "debug",
            "STATIC_ROOT": "/srv/static",
        }
    )
    assert environment.static_root == Path("/srv/static")
    assert environment.allowed_hosts[:2] == ("kitchen.example", "www.kitchen.example")
    assert environment.path_prefix == "/eat/dark_kitchen-1.0"
    assert environment.databases["default"]["NAME"] == "kitchen"
    assert environment.databases["default"]["OPTIONS"]["sslmode"] == "verify-full"
    assert (environment.board_public, environment.https) == (True, True)
    assert environment.deadline_s == 2.5
    assert environment.queue_types == QueueTypes(live=QueueType.QUORUM)
    assert (environment.health_host, environment.health_port) == ("192.0.2.7", 8081)
    assert environment.log_level == "DEBUG"
    assert environment.static_root == Path("/srv/static")


@pytest.mark.parametrize(
    ("given", "dashboard"),
    [
        ({"DATABASE_URL": "sqlite:////srv/kitchen.sqlite3"}, "/srv/kitchen-dashboard.sqlite3"),
        ({"DATABASE_URL": "postgres://db/kitchen"}, None),
        (
            {
                "DATABASE_URL": "postgres://db/kitchen",
                "DASHBOARD_DATABASE_URL": "postgres://db/board",
            },
            "board",
        ),
    ],
)
def test_the_dashboard_has_a_database_of_its_own_on_sqlite_and_where_one_is_given(
    given: dict[str, str], dashboard: str | None
) -> None:
    databases = Environment.from_environ({**SECRET, **given}).databases
    assert databases.get("dashboard", {}).get("NAME") == dashboard


@pytest.mark.parametrize(
    ("database", "same"),
    [
        ("sqlite:////srv/kitchen.sqlite3", "sqlite:////srv/../srv/kitchen.sqlite3"),
        ("postgres://cook:hunter2@db:5432/kitchen", "postgres://chef:hunter2@db:5432/kitchen"),
    ],
)
def test_a_database_of_its_own_is_another_one(database: str, same: str) -> None:
    given = {"DATABASE_URL": database, "DASHBOARD_DATABASE_URL": same}
    assert _wrong(**given) == ["DASHBOARD_DATABASE_URL"]
    schema = {"DASHBOARD_DATABASE_URL": f"{database}?options=-csearch_path%3Dboard"}
    if database.startswith("postgres"):
        assert "dashboard" in Environment.from_environ({**SECRET, **given, **schema}).databases


def test_every_setting_can_be_given_its_default_as_text() -> None:
    defaults = Environment.from_environ(SECRET)
    for setting in settings_of(Environment):
        value = getattr(defaults, setting.field.name)
        if setting.variable in ("SECRET_KEY", "HTTPS") or value in ((), None):
            continue
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        given = {**SECRET, setting.variable: "0" if text == "False" else text}
        assert getattr(Environment.from_environ(given), setting.field.name) == value, setting


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("DEBUG", "perhaps"),
        ("ALLOWED_HOSTS", "https://kitchen.example"),
        ("ALLOWED_HOSTS", "kitchen.example:8000"),
        ("CSRF_TRUSTED_ORIGINS", "kitchen.example"),
        ("CSRF_TRUSTED_ORIGINS", "https://kitchen.example/login"),
        ("CSRF_TRUSTED_ORIGINS", "https://kitchen.example:port"),
        *[
            ("PATH_PREFIX", prefix)
            for prefix in (
                "kitchen",
                "/",
                "/kitchen/",
                "//kitchen",
                "/../kitchen",
                "/my kitchen",
                "/%6B",
                "/kitchen?x=1",
                "https://kitchen.example/kitchen",
                "/api",
            )
        ],
        ("DATABASE_URL", "postgre://cook:hunter2@db/kitchen"),
        ("DATABASE_URL", "mysql://cook:hunter2@db/kitchen"),
        ("DATABASE_URL", "postgres://cook:hunter2@db"),
        ("DATABASE_URL", "postgres://cook:hunter2/@db/kitchen"),
        ("DATABASE_URL", "no url at all"),
        ("DASHBOARD_DATABASE_URL", "mysql://cook:hunter2@db/kitchen"),
        ("AMQP_URL", "http://cook:hunter2@broker"),
        ("AMQP_URL", "amqp://cook:hunter2@broker,http://other"),
        ("AMQP_URL", "amqp://cook:hunter2@broker:port"),
        ("AMQP_URL", "amqp://cook:hunter2@broker,"),
        ("AMQP_URL", "amqp://"),
        ("AMQP_URL", "amqps://cook:hunter2@broker/?cafile=/no/ca.pem"),
        ("AMQP_URL", f"amqps://cook:hunter2@broker/?cafile={__file__}"),
        ("AMQP_URL", "amqp://cook:hunter2@broker/?cafile=/etc/hosts"),
        ("BOARD_PUBLIC", "2"),
        ("HTTPS", "on?"),
        ("SECURE_COOKIES", "1"),
        ("DEADLINE_SECONDS", "0"),
        ("DEADLINE_SECONDS", "nan"),
        ("DEADLINE_SECONDS", "soon"),
        ("QUEUE_TYPE", "stream"),
        ("DARK_QUEUE_TYPE", "lazy"),
        ("DARK_QUEUE_LENGTH", "500"),
        ("RESEND_SECONDS", "0"),
        ("GUARD_WORSE", "perhaps"),
        ("GUARD_QUEUE_FULL", "2"),
        ("GUARD_CONTROL_SLOWED", "if need be"),
        ("GUARD_SLOWED_PERCENT", "0"),
        ("GUARD_SLOWED_PERCENT", "a lot"),
        ("GUARD_SLOWED_ORDERS", "1"),
        ("ORDER_DESCRIPTION", "describe"),
        ("ORDER_DESCRIPTION", "os:system('reboot')"),
        ("HEALTH_PORT", "70000"),
        ("LOG_LEVEL", "LOUD"),
        ("HEALTH_HOST", "everywhere"),
    ],
)
def test_a_wrong_setting_is_named_with_the_way_out_and_without_a_password(
    name: str, wrong: str
) -> None:
    with pytest.raises(WrongSettings) as caught:
        Environment.from_environ({**SECRET, name: wrong})
    (problem,) = caught.value.problems
    said = cannot_start(caught.value.problems)
    assert problem.name == name
    assert f"{name}: " in said
    assert f"; use {problem.use}" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"DOOR": "kitchen"}, ["DOOR"]),
        ({"DOOR": "customers"}, ["OTHER_DOOR"]),
        ({"DOOR": "dashboard"}, ["OTHER_DOOR"]),
        ({"OTHER_DOOR": "https://board.example"}, ["OTHER_DOOR"]),
        ({"DOOR": "both", "OTHER_DOOR": "https://board.example"}, ["OTHER_DOOR"]),
        *[
            ({"DOOR": "customers", "OTHER_DOOR": address}, ["OTHER_DOOR"])
            for address in (
                "board.example",
                "ftp://board.example",
                "https://board.example/dashboard/",
                "https://board.example/kitchen?next=",
                "https://board.example/my kitchen",
                "https://board.example?next=",
                "https://cook:hunter2@board.example",
            )
        ],
        ({"DOOR": "customers", "OTHER_DOOR": "https://board.example"}, None),
        ({"DOOR": "Dashboard", "OTHER_DOOR": "http://localhost:8000"}, None),
        ({"DOOR": "customers", "OTHER_DOOR": "https://kitchen.example/a/board"}, None),
        ({"DOOR": "both"}, None),
    ],
)
def test_one_door_needs_the_address_of_the_other_and_both_have_none(
    given: dict[str, str], wrong: list[str] | None
) -> None:
    if wrong:
        assert _wrong(**given) == wrong
    else:
        assert Environment.from_environ({**SECRET, **given}).door == given["DOOR"].lower()


def test_a_door_without_the_address_of_the_other_does_not_start() -> None:
    done = _run(*_DAPHNE, **SECRET, DOOR="customers")
    assert done.returncode == os.EX_CONFIG
    assert "OTHER_DOOR: is not set, and DOOR is customers; use" in done.stderr
    assert IDS["OTHER_DOOR"] in done.stderr


def test_the_customers_door_has_no_database_of_the_dashboard() -> None:
    given = {"DATABASE_URL": "postgres://db/kitchen", "OTHER_DOOR": "https://other.example"}
    of_its_own = {"DASHBOARD_DATABASE_URL": "postgres://db/board"}
    for door, aliases in (("customers", ["default"]), ("dashboard", ["default", "dashboard"])):
        read = Environment.from_environ({**SECRET, **given, **of_its_own, "DOOR": door})
        assert list(read.databases) == aliases


def test_all_that_is_wrong_is_named_at_once() -> None:
    assert _wrong(DEBUG="perhaps", HEALTH_PORT="-1", QUEUE_TYPE="x") == [
        "DEBUG",
        "QUEUE_TYPE",
        "HEALTH_PORT",
    ]


def test_no_secret_is_in_what_is_printed_of_the_settings() -> None:
    given = {"AMQP_URL": "amqp://a:hunter2@b", "DATABASE_URL": "postgres://a:hunter2@b/c"}
    shown = repr(Environment.from_environ({**SECRET, **given}))
    assert "hunter2" not in shown
    assert SECRET["SECRET_KEY"] not in shown


@pytest.mark.parametrize(
    "words",
    [
        _DAPHNE,
        ("manage.py", "check"),
        ("manage.py", "migrate"),
        ("manage.py", "relay"),
        ("manage.py", "observe"),
        ("manage.py", "verdict"),
    ],
    ids=lambda words: words[1],
)
def test_no_process_starts_with_a_wrong_setting(words: tuple[str, ...]) -> None:
    done = _run(*words, **SECRET, DATABASE_URL="postgre://cook:hunter2@db/kitchen", HTTPS="maybe")
    assert done.returncode == os.EX_CONFIG
    assert done.stdout == ""
    first, *lines = done.stderr.splitlines()
    assert first == "Dark Kitchen cannot start with these settings:"
    assert [line.strip().partition(":")[0] for line in lines] == ["DATABASE_URL", "HTTPS"]
    assert IDS["DATABASE_URL"] in lines[0]


def test_no_process_starts_with_a_deadline_of_more_blocks_than_are_kept() -> None:
    given = {**SECRET, "DEADLINE_SECONDS": "600", "BLOCK_SECONDS": "1"}
    done = _run("manage.py", "check", **given)
    assert done.returncode == os.EX_CONFIG
    (line,) = done.stderr.splitlines()[1:]
    assert line == (
        "  BLOCK_SECONDS: a deadline of 600 s is more than 200 blocks of 1 s, and orders would be"
        " lost to the verdict; use 3 or more, or lower DEADLINE_SECONDS (restaurant.E019)"
    )
    assert Environment.from_environ({**given, "BLOCK_SECONDS": "3"}).block_s == 3.0


def test_the_site_does_not_start_without_a_key() -> None:
    done = _run(*_DAPHNE)
    assert done.returncode == os.EX_CONFIG
    assert "SECRET_KEY: is not set" in done.stderr


def test_the_https_profile_is_all_that_django_asks_of_a_deployment() -> None:
    given = {**SECRET, "HTTPS": "1", "ALLOWED_HOSTS": "kitchen.example"}
    done = _run("manage.py", "check", "--deploy", "--fail-level", "DEBUG", **given)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@override_settings(
    SECURE_SSL_REDIRECT=True, SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")
)
def test_a_page_is_redirected_to_https_and_a_probe_is_not() -> None:
    client = Client()
    redirected = client.get("/orders/items")
    assert redirected.status_code == 301
    assert redirected.headers["Location"].startswith("https://")
    assert client.get("/orders/items", headers={"x-forwarded-proto": "https"}).status_code == 200
    assert client.get("/api/health").status_code == 200


def test_a_public_board_under_any_host_name_is_warned_of(settings: Settings) -> None:
    assert warn_of_a_public_board(None) == []
    settings.ENVIRONMENT = replace(loaded.ENVIRONMENT, board_public=True, allowed_hosts=("*",))
    (found,) = warn_of_a_public_board(None)
    assert found.id == "restaurant.W001"


def test_every_setting_has_an_id_of_its_own() -> None:
    assert len(set(IDS.values())) == len(IDS)
    assert {setting.variable for setting in settings_of(Environment)} <= IDS.keys()
