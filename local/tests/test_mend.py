"""`make mend` restarts vnext of a run with its faults fixed, or prints what is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local import mend
from local.settings import ROOT

_PATIENCE_S = 60.0
_FAULTS = "float-prices, lost-note, too-many, crowded"


def _environ(directory: Path) -> dict[str, str]:
    # Nobody listens there: the kitchen looks for its broker until it is told to stop.
    return {**os.environ, "RUN_DIRECTORY": str(directory), "AMQP_URL": "amqp://127.0.0.1:9/"}


def _mend(directory: Path, *faults: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local.mend", *faults],
        cwd=ROOT,
        env=_environ(directory),
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
    )


class _Kept:
    """A vnext that is started again whenever it ends, as the supervisor does it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            mend.command("candidate"),
            cwd=ROOT,
            env=_environ(self._directory),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def environ(self) -> str:
        return Path(f"/proc/{self.process.pid}/environ").read_text()

    def cooks(self) -> bool:
        return b"kitchen_worker" in Path(f"/proc/{self.process.pid}/cmdline").read_bytes()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[_Kept]:
    running = _Kept(tmp_path)
    _until(running.cooks)
    yield running
    running.process.kill()
    running.process.wait(_PATIENCE_S)


def test_vnext_ends_and_comes_back_with_its_faults_mended(kept: _Kept, tmp_path: Path) -> None:
    mending = subprocess.Popen(
        [sys.executable, "-m", "local.mend", "lost-note,float-prices"],
        cwd=ROOT,
        env=_environ(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert kept.process.wait(_PATIENCE_S) in (0, -signal.SIGTERM)
    kept.process = kept.start()
    said, _ = mending.communicate(timeout=_PATIENCE_S)
    assert mending.returncode == 0
    assert said == "vnext has restarted; fixed: float-prices, lost-note.\n"
    assert "MEND=float-prices,lost-note\0" in kept.environ()


def test_a_new_run_forgets_what_was_mended(tmp_path: Path) -> None:
    (tmp_path / "mended").write_text("crowded")
    mend.forget(tmp_path)
    assert not (tmp_path / "mended").exists()
    mend.forget(tmp_path)


def test_a_fault_that_there_is_not_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    refused = _mend(tmp_path, "lost-price")
    assert refused.returncode == 1
    assert refused.stderr == f"lost-price: the faults of vnext are {_FAULTS}.\n"


def test_without_a_run_one_line_tells_what_to_do(tmp_path: Path) -> None:
    refused = _mend(tmp_path, "crowded")
    assert refused.returncode == 1
    assert refused.stderr == "vnext is not running here: start `make run` first.\n"
