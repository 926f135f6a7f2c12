"""``manage.py broker_users``: creates a broker user for each process, with its permissions."""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import shlex
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from kitchen_worker.contract import permissions
from kitchen_worker.contract.messages import VERSION_PATTERN, Role
from kitchen_worker.contract.permissions import BrokerUser
from restaurant.launches import open_launch

_TIMEOUT_S = 60.0
_MANAGEMENT = "BROKER_MANAGEMENT_URL"


class Command(BaseCommand):
    help = (
        "Create a broker user for each process, with the permissions that it needs, through the "
        "management API, or print what creates them. A password comes from "
        "BROKER_PASSWORD_<USER>, as in BROKER_PASSWORD_KITCHEN_VNEXT, or is generated and shown "
        "once."
    )
    #: It may run without a database or a secret key.
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--kitchen",
            action="append",
            default=[],
            type=_version_and_role,
            metavar="VERSION=ROLE",
            help="a kitchen; by default those of the open launch",
        )
        parser.add_argument(
            "--broker", metavar="URL", help="where the processes find it, by default AMQP_URL"
        )
        ways = parser.add_mutually_exclusive_group()
        ways.add_argument(
            "--management",
            metavar="URL",
            help="make them through the management API, as in http://host:15672, with the login of "
            f"an administrator in it; better given as {_MANAGEMENT}",
        )
        ways.add_argument(
            "--rabbitmqctl",
            action="store_true",
            help="print lines for a shell beside the broker, as in: ... --rabbitmqctl | sudo sh",
        )
        ways.add_argument(
            "--definitions", action="store_true", help="print JSON for load_definitions"
        )
        ways.add_argument(
            "--kubernetes",
            action="store_true",
            help="print Secrets: each process's AMQP_URL, and the broker's definitions",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Create or print the users; generated passwords are printed this once."""
        users = permissions.users(_kitchens(options["kitchen"]))
        broker = options["broker"] or settings.ENVIRONMENT.amqp_url
        vhost = permissions.vhost_of(broker)
        given = {user.name: os.environ.get(_variable(user.name), "") for user in users}
        passwords = {name: word or secrets.token_hex(24) for name, word in given.items()}
        urls = {name: permissions.url_of(broker, name, word) for name, word in passwords.items()}
        generated = [f"{name}: {url}" for name, url in urls.items() if not given[name]]
        made = permissions.definitions(users, passwords, vhost=vhost)
        whole = {"vhosts": [{"name": vhost}], **made}
        if options["kubernetes"]:
            self.stdout.write(json.dumps(_secrets(urls, whole), indent=2))
        elif options["rabbitmqctl"]:
            for user in users:
                self.stdout.write("\n".join(_lines(user, passwords[user.name], vhost)))
            self._show(self.stderr, generated)
        elif options["definitions"]:
            self.stdout.write(json.dumps(whole, indent=2))
            self._show(self.stderr, generated)
        else:
            _make(options, made)
            self.stdout.write(f"{len(users)} users may work on the virtual host {vhost}.")
            self._show(self.stdout, generated)

    def _show(self, where: Any, generated: list[str]) -> None:
        if generated:
            where.write("Their AMQP_URL, shown this once:\n" + "\n".join(generated))


def _kitchens(given: Iterable[tuple[str, Role]]) -> Mapping[str, Role]:
    if named := dict(given):
        return named
    launch = open_launch()
    if launch is None:
        raise CommandError("No launch is open: name each kitchen with --kitchen VERSION=ROLE.")
    dark = {one.version: Role(one.role) for one in launch.dark_versions.all()}
    return {launch.control: Role.CONTROL, **dark}


def _variable(name: str) -> str:
    return f"BROKER_PASSWORD_{name.upper().replace('-', '_')}"


def _lines(user: BrokerUser, password: str, vhost: str) -> list[str]:
    """Shell lines that create or update a user; no process list shows the password."""
    name, on = shlex.quote(user.name), f"--vhost {shlex.quote(vhost)}"
    given = f"printf '%s\\n' {shlex.quote(password)} | rabbitmqctl"
    patterns = shlex.join([user.name, user.configure, user.write, user.read])
    return [
        f"{given} add_user {name} || {given} change_password {name}",
        f"rabbitmqctl set_permissions {on} {patterns}",
        *(
            f"rabbitmqctl set_topic_permissions {on} "
            + shlex.join([user.name, topic.exchange, topic.write, topic.read])
            for topic in user.topics
        ),
    ]


def _secrets(urls: Mapping[str, str], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A Kubernetes Secret for each process, and one for the broker."""
    data = {f"broker-{name}": {"amqp-url": url} for name, url in urls.items()}
    data["broker-definitions"] = {"definitions.json": json.dumps(definitions)}
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": name,
                    "labels": {"app.kubernetes.io/part-of": "dark-kitchen"},
                },
                "stringData": one,
            }
            for name, one in data.items()
        ],
    }


def _make(options: Mapping[str, Any], definitions: Mapping[str, Any]) -> None:
    management = options["management"] or os.environ.get(_MANAGEMENT, "")
    if not management:
        raise CommandError(
            f"Give the management API's URL as {_MANAGEMENT} or --management, or what to print: "
            "--rabbitmqctl, --definitions or --kubernetes."
        )
    _post(management, definitions)


def _post(management: str, definitions: Mapping[str, Any]) -> None:
    """Import the definitions; the broker keeps everything else."""
    address = urlsplit(management)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise CommandError("The management API's URL must be like http://admin:secret@host:15672.")
    host = address.netloc.rpartition("@")[2]
    path = f"{address.path.rstrip('/').removesuffix('/api')}/api/definitions"
    url = urlunsplit((address.scheme, host, path, "", ""))
    asked = urllib.request.Request(  # noqa: S310 - http or https, see above
        url, json.dumps(definitions).encode(), {"Content-Type": "application/json"}
    )
    passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
    login = unquote(address.username or ""), unquote(address.password or "")
    passwords.add_password(None, url, *login, is_authenticated=True)
    # Our own broker is not behind the outgoing proxy.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPBasicAuthHandler(passwords)
    )
    try:
        opener.open(asked, timeout=_TIMEOUT_S).close()
    except HTTPError as refused:
        said = refused.read(1000).decode(errors="replace")
        raise CommandError(f"{url}: {refused.code} {refused.reason} {said}") from refused
    except OSError as cause:
        raise CommandError(f"{url}: {cause}") from cause


def _version_and_role(given: str) -> tuple[str, Role]:
    version, _, role = given.partition("=")
    if not re.fullmatch(VERSION_PATTERN, version) or role not in tuple(Role):
        raise argparse.ArgumentTypeError(
            f"{given!r} is not a version and its role, as in vnext={Role.CANDIDATE}"
        )
    return version, Role(role)
