"""Keeps processes running under one log until it is stopped.

Built on honcho's processes and printer. Honcho's manager ends all processes when one ends; here, a
process that ends is restarted after a pause, so that any of them can be killed and replaced.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shlex
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from honcho.colour import get_colours
from honcho.printer import Message, Printer
from honcho.process import Process

from local.processes import ends_with_us

#: How long processes may take to stop.
STOP_TIMEOUT_S = 15.0
#: The first and the longest pause before a restart.
_PAUSES_S = (0.5, 60.0)
#: A process that ran this long was healthy; a control that no launch names exits after 10 seconds.
_SETTLED_S = 30.0


def next_pause_s(last_s: float, *, ran_s: float) -> float:
    """The pause after a process ended: doubled each time, until it runs for long."""
    shortest, longest = _PAUSES_S
    return shortest if ran_s > _SETTLED_S else min(max(last_s * 2, shortest), longest)


class Supervisor:
    """Starts processes, prints their output, and restarts those that end."""

    def __init__(self, directory: Path, printer: Printer) -> None:
        self.stop_timeout_s = STOP_TIMEOUT_S
        self._directory = directory
        self._printer = printer
        self._colours = get_colours()
        self._events: queue.Queue[Message] = queue.Queue()
        self._stopping = threading.Event()
        self._keepers: list[threading.Thread] = []
        self._pids: dict[str, int] = {}

    def add(self, name: str, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self._printer.width = max(self._printer.width, len(name))
        shell_command = f"exec {shlex.join(ends_with_us(command))}"
        process = Process(
            shell_command,
            name=name,
            colour=next(self._colours),
            env=dict(environ),
            cwd=str(self._directory),
        )
        keeper = threading.Thread(target=self._keep, args=(process,), name=name, daemon=True)
        self._keepers.append(keeper)
        keeper.start()

    def say(self, text: str) -> None:
        """Log a line of our own; thread-safe."""
        self._put("line", text)

    def show(self, text: str) -> None:
        """Print a text as it is, between two log lines; thread-safe."""
        self._put("text", text)

    def run_until(self, stop: threading.Event) -> None:
        """Print the log until ``stop`` is set; then stop every process."""
        while not stop.is_set():
            self._handle_next_event()
        self.stop()

    def stop(self) -> None:
        """Terminate all processes, wait, and kill those that remain."""
        self._stopping.set()
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + self.stop_timeout_s
        while any(keeper.is_alive() for keeper in self._keepers) or not self._events.empty():
            if time.monotonic() > deadline:
                self.say(f"killing what does not stop: {', '.join(self._pids)}")
                self._signal_all(signal.SIGKILL)
                deadline = time.monotonic() + self.stop_timeout_s
            self._handle_next_event()

    def _keep(self, process: Process) -> None:
        """Run a process again and again; each in a thread of its own."""
        pause_s = 0.0
        while not self._stopping.is_set():
            started_at = time.monotonic()
            process.run(self._events)
            if self._stopping.is_set():
                return
            pause_s = next_pause_s(pause_s, ran_s=time.monotonic() - started_at)
            self.say(f"{process.name} ended; it starts again in {pause_s:g} s")
            self._stopping.wait(pause_s)

    def _put(self, kind: str, text: str) -> None:
        now = datetime.now().astimezone()
        self._events.put(Message(type=kind, data=text, time=now, name="run", colour=None))

    def _handle_next_event(self) -> None:
        try:
            event = self._events.get(timeout=0.1)
        except queue.Empty:
            return
        if event.type == "start":
            self._pids[event.name] = event.data["pid"]
            if self._stopping.is_set():  # stopped meanwhile
                self._signal(event.data["pid"], signal.SIGTERM)
        elif event.type == "stop":
            self._pids.pop(event.name, None)
        else:
            # The terminal may be gone; the processes must still be stopped.
            with contextlib.suppress(OSError):
                if event.type == "line":
                    self._printer.write(event)
                else:
                    print(event.data, file=self._printer.output, flush=True)

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in list(self._pids.values()):
            self._signal(pid, number)

    def _signal(self, pid: int, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)  # honcho gives each process a session of its own
