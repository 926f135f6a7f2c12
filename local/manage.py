"""Runs a command of manage.py with the settings of `make run`: ``python -m local.manage rush``."""

from __future__ import annotations

import os
import sys

from local.settings import ROOT, environment


def main() -> None:
    """Become manage.py."""
    program = [sys.executable, str(ROOT / "manage.py"), *sys.argv[1:]]
    os.execve(sys.executable, program, environment(os.environ))


if __name__ == "__main__":
    main()
