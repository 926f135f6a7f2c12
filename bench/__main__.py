"""``python -m bench``: measures the goals of the product's speed, each beside its floor.

With ``--against DIR``, the product of another checkout of this repository is measured in turn with
this one, for P1 to P5 and P8. A goal that is missed is reported as missed; one that cannot be
measured makes the exit code 1.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import pkgutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import bench.goals
from bench.figures import BenchReport, Failed, Figure, Row
from bench.processes import machine
from bench.rig import Rig, kept
from local.install import CannotInstall, install, needs_of

logger = logging.getLogger(__name__)

Measure = Callable[[Rig], Iterator[Figure]]
GOALS: dict[str, Measure] = {
    f"P{int(name[1:3])}": importlib.import_module(f"{bench.goals.__name__}.{name}").measure
    for name in sorted(module.name for module in pkgutil.iter_modules(bench.goals.__path__))
}
#: Goals that show nothing in little time: a quick run leaves them out, unless named.
LONG = ("P5", "P6", "P7", "P11")
_INTERRUPTED = 130
#: A goal that takes longer is stopped.
_LIMIT_S = 1200.0


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    try:
        for purpose in ("broker", "database-tests", "browser-tests"):
            install(needs_of(purpose))
    except CannotInstall as impossible:
        print(impossible, file=sys.stderr)
        return 1
    wanted = options.goals or [name for name in GOALS if not (options.quick and name in LONG)]
    about, started_at = machine(), time.monotonic()
    rows: list[Row] = []
    code = 0
    with (
        TemporaryDirectory(prefix="work-", dir=kept(), ignore_cleanup_errors=True) as folder,
        Rig(Path(folder), options.quick, options.against, options.orders) as rig,
    ):
        try:
            for one in _measured([name for name in GOALS if name in wanted], rig):
                rows.append(one)
                text = one.why if isinstance(one, Failed) else f"{one.what}: {one.value:,.4g}"
                print(f"{one.goal} {text}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            code = _INTERRUPTED
    report = BenchReport(machine=about, rows=rows, seconds=time.monotonic() - started_at)
    report.write(kept())
    print(report.markdown())
    return code or int(any(isinstance(one, Failed) for one in rows))


def _measured(goals: Iterable[str], rig: Rig) -> Iterator[Row]:
    """Each row as soon as it is there: a goal that fails costs no other its figures."""
    limit_s = _LIMIT_S + rig.large_orders / 1000
    for goal in goals:
        signal.signal(signal.SIGALRM, _too_long)
        signal.setitimer(signal.ITIMER_REAL, limit_s)
        try:
            yield from GOALS[goal](rig)
        except Exception as cause:
            if _is_interrupt(cause):
                raise KeyboardInterrupt from cause
            logger.exception("%s could not be measured", goal)
            why = " ".join(f"{type(cause).__name__}: {cause}".split())
            yield Failed(goal=goal, why=why[:300])
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TimeoutError("it took too long, and was stopped")


def _is_interrupt(cause: BaseException | None) -> bool:
    """Whether an error started as an interrupt, on its way through a goal's ``finally``."""
    return cause is not None and (
        isinstance(cause, KeyboardInterrupt) or _is_interrupt(cause.__context__)
    )


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("goals", nargs="*", metavar="GOAL", help=f"of {', '.join(GOALS)}")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"take less time, and leave {', '.join(LONG)} out unless named",
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
    if unknown := set(options.goals) - set(GOALS):
        parser.error(f"there is no goal {', '.join(unknown)}; there are {', '.join(GOALS)}")
    if options.against:
        options.against = options.against.resolve()
        if not (options.against / "manage.py").is_file():
            parser.error(f"--against: {options.against} is no checkout of this repository")
    return options


if __name__ == "__main__":
    sys.exit(main())
