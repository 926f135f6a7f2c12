"""Runs a kitchen on the broker of `make run`: ``python -m local.kitchen --version vmine ...``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from kitchen_worker.config import ConfigError, WorkerConfig
from kitchen_worker.contract import permissions
from local.broker import make_users, url_of
from local.broker_node import BrokerNode
from local.settings import BROKER, environment, run_directory

_NO_BROKER = "No private broker is running here: start `make run` first, or set AMQP_URL."


def main() -> None:
    """Become the kitchen; exits with 1 if there is no broker."""
    environ = environment(os.environ)
    arguments = sys.argv[1:]
    try:
        config = WorkerConfig.read(arguments, environ)
    except ConfigError:
        pass  # The kitchen prints the error.
    else:
        if "AMQP_URL" not in environ and not any(one.startswith("--amqp-url") for one in arguments):
            environ["AMQP_URL"] = _private_url(environ, config)
    program = [sys.executable, "-m", "kitchen_worker", *arguments]
    os.execve(sys.executable, program, environ)


def _private_url(environ: Mapping[str, str], config: WorkerConfig) -> str:
    """The private broker's URL for this version's user, which is created."""
    directory = run_directory(environ)
    node = BrokerNode(directory / BROKER)
    if not node.is_running():
        sys.exit(_NO_BROKER)
    user = permissions.kitchen(config.version, config.role)
    make_users(node, [user], directory)
    return url_of(node.url, user.name, directory)


if __name__ == "__main__":
    main()
