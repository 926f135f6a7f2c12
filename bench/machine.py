"""What machine a figure was measured on, in words that a reader can compare."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
from pathlib import Path

from local import postgres, rabbitmq

_UNKNOWN = "unknown"


def machine() -> dict[str, str]:
    """The machine and its servers by name, and how busy it was before we began."""
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return {
        "processors": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{_memory_gib():.0f} GiB",
        "system": f"{system}, {platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "RabbitMQ": _rabbitmq(),
        "PostgreSQL": _postgresql(),
        "SQLite": sqlite3.sqlite_version,
        "load at the start": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def _processor() -> str:
    described = _text(Path("/proc/cpuinfo"))
    model = re.search(r"^model name\s*:\s*(.+)$", described, re.MULTILINE)
    return model[1] if model else platform.processor() or platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def _rabbitmq() -> str:
    """Of the installation's own folder; to ask the server takes seconds."""
    scripts = rabbitmq.scripts()
    where = (scripts / "rabbitmq-server").resolve() if scripts else Path()
    version = re.search(r"rabbitmq_server-([0-9.]+)", str(where))
    return version[1] if version else _UNKNOWN


def _postgresql() -> str:
    programs = postgres.programs()
    if programs is None:
        return _UNKNOWN
    said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True)
    version = re.search(r"[0-9]+(\.[0-9]+)+", said.stdout)
    return version[0] if version else _UNKNOWN


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
