"""`make mend`: restarts vnext of the running `make run` without these of its faults.

Every other process keeps running. It lasts until the next `make mend` or `make run`.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from kitchen_worker.kitchens.vnext import Fault
from local.processes import is_running
from local.settings import environment, run_directory

VERSION = "vnext"
_TIMEOUT_S = 30.0
_NOT_RUNNING = "vnext is not running here: start `make run` first."


def command(role: str) -> tuple[str, ...]:
    """The command of `make run` for vnext's kitchen."""
    return (sys.executable, "-m", "local.mend", "--cook", "--version", VERSION, "--role", role)


def forget(directory: Path) -> None:
    """Start a run with no faults fixed beyond those in the environment."""
    _mended(directory).unlink(missing_ok=True)


def main() -> None:
    """Restart vnext with these faults fixed; or, started by `make run`, become its kitchen."""
    directory = run_directory(os.environ)
    if sys.argv[1:2] == ["--cook"]:
        _cook(directory, sys.argv[2:])
    names = [name for word in sys.argv[1:] for name in word.split(",") if name]
    if unknown := set(names) - set(Fault):
        sys.exit(f"{', '.join(sorted(unknown))}: the faults of vnext are {', '.join(Fault)}.")
    before = _kitchen(directory)
    if before is None:
        sys.exit(_NOT_RUNNING)
    _mended(directory).write_text(",".join(sorted(set(names))))
    os.kill(before, signal.SIGTERM)
    deadline = time.monotonic() + _TIMEOUT_S
    while _kitchen(directory) in (None, before):
        if time.monotonic() > deadline:
            sys.exit(f"vnext has not restarted within {_TIMEOUT_S:g} s; see `make run`.")
        time.sleep(0.05)
    print(f"vnext has restarted; fixed: {', '.join(sorted(set(names))) or 'nothing'}.")


def _cook(directory: Path, arguments: list[str]) -> None:
    """Become the kitchen, with the faults that are fixed at this moment."""
    _pid(directory).write_text(str(os.getpid()))
    environ = {**environment(os.environ), **_mending(directory)}
    os.execve(sys.executable, [sys.executable, "-m", "kitchen_worker", *arguments], environ)


def _mending(directory: Path) -> Mapping[str, str]:
    try:
        return {"MEND": _mended(directory).read_text()}
    except FileNotFoundError:
        return {}


def _kitchen(directory: Path) -> int | None:
    """The process that is vnext's kitchen; it writes its id before it becomes one."""
    try:
        pid = int(_pid(directory).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if is_running(pid, naming="kitchen_worker") else None


def _mended(directory: Path) -> Path:
    return directory / "mended"


def _pid(directory: Path) -> Path:
    return directory / "vnext.pid"


if __name__ == "__main__":
    main()
