"""`manage.py broker_users` makes or prints the broker's users, and keeps passwords to itself."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command

from kitchen_worker.amqp.broker import BrokerLost
from kitchen_worker.amqp.connection import connect
from kitchen_worker.contract import permissions
from kitchen_worker.contract.messages import Role
from local.broker_node import BrokerNode
from restaurant.tests.making import a_launch

_KITCHENS = ("vlatest=control", "vnext=candidate")
_USERS = permissions.users({"vlatest": Role.CONTROL, "vnext": Role.CANDIDATE})
_NAMES = [user.name for user in _USERS]


def _said(*options: str) -> tuple[str, str]:
    """What the command writes to its output and to its error output."""
    out, errors = StringIO(), StringIO()
    kitchens = [f"--kitchen={one}" for one in _KITCHENS]
    call_command("broker_users", *kitchens, *options, stdout=out, stderr=errors)
    return out.getvalue(), errors.getvalue()


def _urls(text: str) -> dict[str, str]:
    """The addresses of a text by user."""
    lines = [line for line in text.splitlines() if "amqp://" in line]
    return dict(line.split(": ", 1) for line in lines)


def _set_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _NAMES:
        variable = f"BROKER_PASSWORD_{name.upper().replace('-', '_')}"
        monkeypatch.setenv(variable, f"secret of {name}")


def test_definitions_hold_hashes_and_what_was_generated_is_shown_beside_them() -> None:
    out, errors = _said("--definitions", "--broker", "amqp://broker.example:5672/kitchen")
    made = json.loads(out)
    assert made["vhosts"] == [{"name": "kitchen"}]
    assert [one["name"] for one in made["users"]] == _NAMES
    urls = _urls(errors)
    assert list(urls) == _NAMES
    for one in made["users"]:
        password = urlsplit(urls[one["name"]]).password
        assert password
        assert password not in out
        assert len(password) >= 32
    assert {one["vhost"] for one in made["permissions"]} == {"kitchen"}


def test_a_password_of_the_environment_is_used_and_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _set_passwords(monkeypatch)
    out, errors = _said("--definitions")
    assert "secret" not in out + errors
    [relay] = [one for one in json.loads(out)["users"] if one["name"] == "relay"]
    salt = base64.b64decode(relay["password_hash"])[:4]
    assert relay["password_hash"] == permissions.password_hash("secret of relay", salt)


def test_the_lines_for_rabbitmqctl_say_what_the_definitions_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _set_passwords(monkeypatch)
    out, _ = _said("--rabbitmqctl", "--broker", "amqp://broker/kitchen")
    recorder = """rabbitmqctl() {
        printf '%s\\n' "$@"
        case $1 in add_user) cat; esac
        echo --
    }
    """
    ran = subprocess.run(["sh", "-eu"], input=recorder + out, capture_output=True, text=True)
    calls = [call.strip("\n").split("\n") for call in ran.stdout.split("--\n") if call.strip()]
    expected = []
    for user in _USERS:
        on = ["--vhost", "kitchen", user.name]
        expected.append(["add_user", user.name, f"secret of {user.name}"])  # from its input
        expected.append(["set_permissions", *on, user.configure, user.write, user.read])
        expected += [
            ["set_topic_permissions", *on, topic.exchange, topic.write, topic.read]
            for topic in user.topics
        ]
    assert calls == expected


def test_secrets_give_each_process_its_own_address_and_the_broker_no_password() -> None:
    out, _ = _said("--kubernetes", "--broker", "amqp://rabbitmq:5672/")
    made = {one["metadata"]["name"]: one["stringData"] for one in json.loads(out)["items"]}
    definitions = made.pop("broker-definitions")["definitions.json"]
    assert made.keys() == {f"broker-{name}" for name in _NAMES}
    for name in _NAMES:
        address = urlsplit(made[f"broker-{name}"]["amqp-url"])
        assert (address.username, address.hostname) == (name, "rabbitmq")
        assert address.password
        assert address.password not in definitions
    assert [one["name"] for one in json.loads(definitions)["users"]] == _NAMES


@pytest.mark.django_db
def test_without_kitchens_they_are_those_of_the_open_launch() -> None:
    with pytest.raises(CommandError, match="--kitchen VERSION=ROLE"):
        call_command("broker_users", "--definitions", stdout=StringIO())
    a_launch()
    out = StringIO()
    call_command("broker_users", "--definitions", stdout=out, stderr=StringIO())
    names = [one["name"] for one in json.loads(out.getvalue())["users"]]
    assert {"kitchen-vlatest", "kitchen-vnext"} <= set(names)


@pytest.mark.parametrize("wrong", ["vnext", "vnext=chef", "V Next=control", "=control"])
def test_a_kitchen_without_a_version_or_a_role_is_refused(wrong: str) -> None:
    with pytest.raises(CommandError, match="is not a version and its role"):
        _said("--definitions", f"--kitchen={wrong}")


def test_without_a_way_to_the_broker_the_ways_are_named() -> None:
    with pytest.raises(CommandError, match="BROKER_MANAGEMENT_URL or --management"):
        _said()


@pytest.mark.broker
def test_a_new_broker_that_loads_the_definitions_has_these_users_and_no_guest(
    tmp_path: Path,
) -> None:
    node = BrokerNode(tmp_path / "node")
    (tmp_path / "node" / "conf.d").mkdir(parents=True)
    file = tmp_path / "node" / "definitions.json"
    (tmp_path / "node" / "conf.d" / "users.conf").write_text(f"load_definitions = {file}\n")
    out, errors = _said("--definitions", "--broker", "amqp://broker/kitchen")
    file.write_text(out)
    node.start()
    try:
        for name, url in _urls(errors).items():
            password = urlsplit(url).password or ""
            asyncio.run(_log_in(permissions.url_of(f"{node.url}kitchen", name, password)))
        with pytest.raises((BrokerLost, BaseExceptionGroup)):
            asyncio.run(_log_in(f"{node.url}kitchen"))
    finally:
        node.stop(gently=False)


@pytest.mark.broker
def test_users_are_made_through_the_management_api_and_may_log_in(
    management_url: str, amqp_url: str
) -> None:
    out, _ = _said("--management", management_url, "--broker", amqp_url)
    assert list(_urls(out)) == _NAMES
    for url in _urls(out).values():
        asyncio.run(_log_in(url))
    with pytest.raises(CommandError, match="401") as refused:
        _said("--management", management_url.replace(":guest@", ":wrong@"), "--broker", amqp_url)
    assert "wrong" not in str(refused.value)
    with pytest.raises((BrokerLost, BaseExceptionGroup)):
        asyncio.run(_log_in(permissions.url_of(amqp_url, "relay", "wrong")))


async def _log_in(url: str) -> None:
    async with connect(url, "test"):
        pass
