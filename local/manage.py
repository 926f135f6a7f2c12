"""Runs a manage.py command with the settings of `make run`: ``python -m local.manage rush``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from local.broker import url_of
from local.broker_node import BrokerNode
from local.settings import BROKER, ROOT, environment, run_directory

#: Broker users of commands that don't use the site's.
_USERS = {"relay": "relay", "observe": "observer"}


def main() -> None:
    program = [sys.executable, str(ROOT / "manage.py"), *sys.argv[1:]]
    user = _USERS.get("".join(sys.argv[1:2]), "site")
    os.execve(sys.executable, program, with_broker(environment(os.environ), user))


def with_broker(environ: Mapping[str, str], user: str) -> dict[str, str]:
    """The environment with the private broker of `make run`, if it runs and no other one is
    given."""
    directory = run_directory(environ)
    node = BrokerNode(directory / BROKER)
    if "AMQP_URL" in environ or not node.is_running():
        return dict(environ)
    return {**environ, "AMQP_URL": url_of(node.url, user, directory)}


if __name__ == "__main__":
    main()
