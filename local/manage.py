"""Runs a command of manage.py with the settings of `make run`: ``python -m local.manage rush``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from local.broker_node import BrokerNode
from local.settings import BROKER, ROOT, environment, run_directory


def main() -> None:
    """Become manage.py."""
    program = [sys.executable, str(ROOT / "manage.py"), *sys.argv[1:]]
    os.execve(sys.executable, program, with_broker(environment(os.environ)))


def with_broker(environ: Mapping[str, str]) -> dict[str, str]:
    """The same with the private broker of `make run`, where it runs and no other is given."""
    node = BrokerNode(run_directory(environ) / BROKER)
    if "AMQP_URL" in environ or not node.is_running():
        return dict(environ)
    return {**environ, "AMQP_URL": node.url}


if __name__ == "__main__":
    main()
