"""``python -m bench``: measures the goals of the product's speed, each beside its floor.

With ``--against DIR``, the product of another checkout of this repository is measured in turn with
this one, for P1 to P5 and P8. A goal that is missed is reported as missed; one that cannot be
measured makes the exit code 1.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import pkgutil
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import bench.goals
from bench.figures import Failed, Report, Row
from bench.processes import machine
from bench.rig import Rig, Servers
from local.install import CannotInstall, install, needs_of
from local.settings import run_directory

logger = logging.getLogger(__name__)

#: Goals that show nothing in a fifth of their time: a quick run leaves them out, unless named.
LONG = ("P5", "P6", "P7", "P11")
_INTERRUPTED = 130
_NAME = re.compile(r"p(\d+)_\w+")
#: The share of its usual time that a goal has in a quick run, and how much more for a pair.
_QUICK, _PAIR = 0.2, 2.0
#: A goal that does not watch its time is stopped after so many times its share, and so many more.
_PATIENCE, _PATIENCE_S = 1.5, 240.0


class OutOfTime(Exception):
    """Raised inside a goal that goes on long after its share."""


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
    return _run(chosen, options, is_interrupted=lambda: bool(interrupted))


def goals() -> dict[str, str]:
    """The module of each goal, by the goal's name, in the order of their numbers."""
    modules = [module.name for module in pkgutil.iter_modules(bench.goals.__path__)]
    numbers = {int(found[1]): name for name in modules if (found := _NAME.fullmatch(name))}
    return {f"P{number}": numbers[number] for number in sorted(numbers)}


def _run(
    chosen: Mapping[str, str],
    options: argparse.Namespace,
    *,
    is_interrupted: Callable[[], bool],
) -> int:
    """Measure goals, and keep what there is of the table even when interrupted."""
    kept = run_directory(os.environ) / "bench"
    kept.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="work-", dir=kept))
    about, started_at = machine(), time.monotonic()
    rows: list[Row] = []
    code = 0
    try:
        for one in _measured(chosen, options, folder, is_interrupted):
            rows.append(one)
            text = one.why if isinstance(one, Failed) else f"{one.what}: {one.value:,.4g}"
            print(f"{one.goal} {text}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report = Report(machine=about, rows=rows, seconds=time.monotonic() - started_at)
    report.write(kept)
    print(report.markdown())
    return code or int(report.failed)


def _measured(
    chosen: Mapping[str, str],
    options: argparse.Namespace,
    folder: Path,
    is_interrupted: Callable[[], bool],
) -> Iterator[Row]:
    """Each row as soon as it is there: a goal that fails costs no other its figures.

    An interrupt can become another exception on its way through a goal's ``finally``, so after each
    failure ``is_interrupted`` is asked, and ends the run.
    """
    with Servers(folder) as servers:
        for goal, module_name in chosen.items():
            try:
                module = importlib.import_module(f"{bench.goals.__name__}.{module_name}")
                share = (_QUICK if options.quick else 1) * (_PAIR if options.against else 1)
                seconds = module.SECONDS * share
                rig = Rig(
                    folder / goal,
                    servers,
                    seconds,
                    quick=options.quick,
                    against=options.against,
                    large_orders=options.orders,
                )
                patience_s = _PATIENCE_S + options.orders / 1000
                with rig, _stopped_after(seconds * _PATIENCE + patience_s):
                    yield from module.measure(rig)
            except Exception as cause:
                if is_interrupted():
                    raise KeyboardInterrupt from cause
                logger.exception("%s could not be measured", goal)
                why = " ".join(f"{type(cause).__name__}: {cause}".split())
                yield Failed(goal=goal, why=why[:300])


@contextmanager
def _stopped_after(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the block when it takes longer."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise OutOfTime(f"it was stopped after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


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
    parser.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="another checkout of this repository, to be measured in turn with this one",
    )
    parser.add_argument(
        "--orders",
        type=int,
        default=100_000,
        help="in the larger database of P6 (100,000); 1,000,000 take 2 GB and some minutes",
    )
    options = parser.parse_args(argv)
    if unknown := [name for name in options.goals if name not in known]:
        parser.error(f"there is no goal {', '.join(unknown)}; there are {', '.join(known)}")
    if options.against:
        options.against = options.against.resolve()
        if not (options.against / "manage.py").is_file():
            parser.error(f"--against: {options.against} is no checkout of this repository")
    return options


if __name__ == "__main__":
    sys.exit(main())
