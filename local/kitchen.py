"""Runs a kitchen at the broker of `make run`: ``python -m local.kitchen --version vmine ...``."""

from __future__ import annotations

import os
import sys

from local.broker_node import BrokerNode
from local.settings import BROKER, environment, run_directory

_NO_BROKER = "No private broker runs here: start `make run` first, or set AMQP_URL to a broker."


def main() -> None:
    """Become the kitchen; exits with 1 where there is no broker for it."""
    environ = environment(os.environ)
    if "AMQP_URL" not in environ:
        node = BrokerNode(run_directory(environ) / BROKER)
        if not node.is_running():
            sys.exit(_NO_BROKER)
        environ["AMQP_URL"] = node.url
    program = [sys.executable, "-m", "kitchen_worker", *sys.argv[1:]]
    os.execve(sys.executable, program, environ)


if __name__ == "__main__":
    main()
