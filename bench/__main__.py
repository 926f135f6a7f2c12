"""``python -m bench``: measures the goals of the product's speed, each beside its floor.

A goal that is missed is said to be missed; one that cannot be measured makes the exit code 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

from bench.figures import Figure
from bench.machine import machine
from bench.report import Failed, Report
from bench.suite import LONG, goals, measure
from local.install import CannotInstall, install, needs_of
from local.settings import run_directory

_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table, and keep it."""
    interrupted: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    known = goals()
    options = _options(argv, known)
    try:
        for purpose in ("broker", "database-tests", "browser-tests"):
            install(needs_of(purpose))
    except CannotInstall as impossible:
        print(impossible, file=sys.stderr)
        return 1
    wanted = options.goals or [name for name in known if not (options.quick and name in LONG)]
    chosen = {name: known[name] for name in known if name in wanted}
    kept = run_directory(os.environ) / "bench"
    kept.mkdir(parents=True, exist_ok=True)
    return _measured(chosen, kept, quick=options.quick, is_interrupted=lambda: bool(interrupted))


def _measured(
    chosen: Mapping[str, str], kept: Path, *, quick: bool, is_interrupted: Callable[[], bool]
) -> int:
    """Measure goals, and keep what is there of the table even when interrupted."""
    about, started_at = machine(), time.monotonic()
    rows: list[Figure | Failed] = []
    code = 0
    folder = Path(tempfile.mkdtemp(prefix="work-", dir=kept))
    try:
        measure(
            chosen,
            folder=folder,
            quick=quick,
            add=lambda row: _add(rows, row),
            is_interrupted=is_interrupted,
        )
    except KeyboardInterrupt:
        code = _INTERRUPTED
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - started_at
    report = Report(machine=about, rows=rows, quick=quick, seconds=seconds)
    report.write(kept)
    print(report.markdown())
    return code or int(report.failed)


def _add(rows: list[Figure | Failed], row: Figure | Failed) -> None:
    rows.append(row)
    said = row.why if isinstance(row, Failed) else f"{row.what}: {row.value:,.4g}"
    print(f"{row.goal} {said}", file=sys.stderr, flush=True)


def _options(argv: Sequence[str] | None, known: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "goals", nargs="*", metavar="GOAL", help=f"one of {', '.join(known)}; all if none is named"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"take a fifth of the time, and leave {', '.join(LONG)} out unless named",
    )
    options = parser.parse_args(argv)
    if unknown := [name for name in options.goals if name not in known]:
        parser.error(f"there is no goal {', '.join(unknown)}; there are {', '.join(known)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
