"""Looks at a database through a process of its own, as `bench.growth.looks` answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from local.settings import ROOT


class Looker:
    """A process that looks; gives milliseconds."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.looks: tuple[str, ...] = tuple(json.loads(self._line()))

    def ms(self, look: str) -> float:
        """How long one look took."""
        assert self._process.stdin is not None  # noqa: S101 - it has a pipe
        self._process.stdin.write(f"{look}\n")
        self._process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - it has a pipe
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process that looks has ended")
        return line


@contextmanager
def a_looker(url: str) -> Iterator[Looker]:
    """A process that looks at the database of a URL, for the time of the block."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "bench.growth.looks"],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "restaurant.settings",
            "SECRET_KEY": "of a bench and of nothing else, on no machine but this",
            "DATABASE_URL": url,
            "BOARD_PUBLIC": "1",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Looker(process)
        finally:
            process.terminate()
