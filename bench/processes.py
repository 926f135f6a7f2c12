"""Processor time, memory and priority of processes, and the machine that they run on."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from local import postgres, rabbitmq
from local.processes import ends_with_us
from local.settings import ROOT

_MIB = 2**20
_LOWEST = 19
#: With a process's number, as clock_getcpuclockid(3) has it, the clock of its processor time, to
#: the nanosecond: one order is far less than a tick of what /proc counts.
_CLOCK = 0b010


def used_s(pid: int, *, program: str = "") -> float:
    """Seconds on a processor of a process and its descendants, including those that ended.

    ``program``: only of those whose program's name begins so.
    """
    used = 0.0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, OSError):
                if process.name().startswith(program):
                    ended = sum(process.cpu_times()[2:4])  # of its children
                    used += time.clock_gettime(~process.pid << 3 | _CLOCK) + ended
    return used


def pss_mb(pid: int) -> float:
    """A process's memory in MB, with its share of shared pages."""
    return float(psutil.Process(pid).memory_full_info().pss) / _MIB


def lower(pid: int) -> None:
    """Give a process and its current threads the lowest priority."""
    for thread in psutil.Process(pid).threads():
        os.setpriority(os.PRIO_PROCESS, thread.id, _LOWEST)


@contextmanager
def running(
    *command: str, log: Path | None = None, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A program that talks over pipes or writes a log, for the duration of the block."""
    with (log or Path(os.devnull)).open("ab") as output:
        process = subprocess.Popen(
            ends_with_us(command),
            cwd=ROOT,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=output if log else subprocess.PIPE,
            stderr=output if log else None,
            text=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    """The next line of a program's output; raises RuntimeError if it has ended."""
    text = process.stdout.readline() if process.stdout else ""
    if not text:
        raise RuntimeError(f"{process.args!r} ended too soon")
    return text


def ask(process: subprocess.Popen[str], question: str = "") -> str:
    """Send a line to a program; returns its reply."""
    if process.stdin is not None:
        process.stdin.write(f"{question}\n")
        process.stdin.flush()
    return line(process)


def machine() -> dict[str, str]:
    """The machine and its servers by name, and how busy it is."""
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    programs, database = postgres.programs(), ""
    if programs:
        words = [str(programs / "postgres"), "--version"]
        database = subprocess.run(words, capture_output=True, text=True).stdout.strip()
    return {
        "processors": f"{os.cpu_count()} x {cpu[1] if cpu else platform.machine()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{system}, {platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "RabbitMQ": rabbitmq.version() or "none",
        "PostgreSQL": database or "none",
        "SQLite": sqlite3.sqlite_version,
        "load at the start": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }
