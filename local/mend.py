"""`make mend`: starts vnext of the running `make run` again, with these of its faults mended.

Every other process goes on. What is mended stays so until the next `make mend` or `make run`.
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
_PATIENCE_S = 30.0
_NOT_RUNNING = "vnext does not run here: start `make run` first."


def command(role: str) -> tuple[str, ...]:
    """The command of `make run` for vnext's kitchen."""
    return (sys.executable, "-m", "local.mend", "--cook", "--version", VERSION, "--role", role)


def forget(directory: Path) -> None:
    """Begin a run with the faults that the environment leaves: nothing is mended besides."""
    _mended(directory).unlink(missing_ok=True)


def main() -> None:
    """Mend the faults that are named, or be the kitchen when `make run` starts it."""
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
    deadline = time.monotonic() + _PATIENCE_S
    while _kitchen(directory) in (None, before):
        if time.monotonic() > deadline:
            sys.exit(f"vnext has not started again within {_PATIENCE_S:g} s; see `make run`.")
        time.sleep(0.05)
    print(f"vnext cooks again; mended: {', '.join(sorted(set(names))) or 'nothing'}.")


def _cook(directory: Path, arguments: list[str]) -> None:
    """Become the kitchen, with what is mended at this moment."""
    _pid(directory).write_text(str(os.getpid()))
    environ = {**environment(os.environ), **_mending(directory)}
    os.execve(sys.executable, [sys.executable, "-m", "kitchen_worker", *arguments], environ)


def _mending(directory: Path) -> Mapping[str, str]:
    try:
        return {"MEND": _mended(directory).read_text()}
    except FileNotFoundError:
        return {}


def _kitchen(directory: Path) -> int | None:
    """The process that is vnext's kitchen now, and cooks: it names itself before it becomes one."""
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
