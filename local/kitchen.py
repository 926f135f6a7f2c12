"""Runs a kitchen at the broker of `make run`: ``python -m local.kitchen --version vmine ...``."""

from __future__ import annotations

import os
import sys

from local.manage import with_broker
from local.settings import environment

_NO_BROKER = "No private broker runs here: start `make run` first, or set AMQP_URL to a broker."


def main() -> None:
    """Become the kitchen; exits with 1 where there is no broker for it."""
    environ = with_broker(environment(os.environ))
    if "AMQP_URL" not in environ:
        sys.exit(_NO_BROKER)
    program = [sys.executable, "-m", "kitchen_worker", *sys.argv[1:]]
    os.execve(sys.executable, program, environ)


if __name__ == "__main__":
    main()
