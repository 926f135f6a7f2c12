"""The supervisor: one log, processes that come back, and an end that leaves none behind."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from honcho.printer import Printer

from local.supervisor import Supervisor, next_pause_s

_SPEAKS = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)"
_IGNORES = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {_SPEAKS}"
_PATIENCE_S = 30.0


class _Running:
    """A supervisor in a thread, and what it printed."""

    def __init__(self, directory: Path, *programs: str) -> None:
        self._output = io.StringIO()
        self.stop = threading.Event()
        self.supervisor = Supervisor(directory, Printer(self._output))
        for number, program in enumerate(programs):
            self.supervisor.add(f"process-{number}", [sys.executable, "-c", program], os.environ)
        self.thread = threading.Thread(target=self.supervisor.run_until, args=(self.stop,))
        self.thread.start()

    @property
    def log(self) -> str:
        return self._output.getvalue()

    def pids(self) -> list[int]:
        return [int(line.split()[-1]) for line in self.log.splitlines() if "| pid " in line]

    def end(self) -> None:
        self.stop.set()
        self.thread.join(_PATIENCE_S)
        assert not self.thread.is_alive()


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_every_line_is_in_one_log_under_the_name_of_its_process(tmp_path: Path) -> None:
    running = _Running(tmp_path, _SPEAKS, _SPEAKS)
    _wait_for(lambda: len(running.pids()) == 2)
    running.end()
    assert "process-0 | pid" in running.log
    assert "process-1 | pid" in running.log


def test_the_end_leaves_no_process_behind(tmp_path: Path) -> None:
    running = _Running(tmp_path, _SPEAKS, _SPEAKS)
    _wait_for(lambda: len(running.pids()) == 2)
    running.end()
    assert not any(_runs(pid) for pid in running.pids())


def test_a_process_that_is_killed_starts_again_and_the_others_go_on(tmp_path: Path) -> None:
    running = _Running(tmp_path, _SPEAKS, _SPEAKS)
    _wait_for(lambda: len(running.pids()) == 2)
    killed, other = running.pids()
    os.kill(killed, 9)
    _wait_for(lambda: len(running.pids()) == 3)
    assert _runs(other)
    assert _runs(running.pids()[-1])
    running.end()
    assert "starts again in 0.5 s" in running.log


def test_a_process_that_ends_again_and_again_is_started_once_a_minute_until_it_stays() -> None:
    pauses = [0.0]
    for _ in range(9):
        # As long as a control runs that no launch names.
        pauses.append(next_pause_s(pauses[-1], ran_s=12.0))
    assert pauses[1:] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert next_pause_s(pauses[-1], ran_s=600.0) == 0.5


def test_a_process_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    running = _Running(tmp_path, _IGNORES)
    _wait_for(lambda: len(running.pids()) == 1)
    running.supervisor.stop_timeout_s = 0.2
    running.end()
    assert "killing what does not stop: process-0" in running.log
    assert not _runs(running.pids()[0])


def test_a_text_is_shown_as_it_is(tmp_path: Path) -> None:
    running = _Running(tmp_path)
    running.supervisor.show("\n  http://127.0.0.1:8000/\n")
    _wait_for(lambda: "8000" in running.log)
    running.end()
    assert running.log == "\n  http://127.0.0.1:8000/\n\n"
