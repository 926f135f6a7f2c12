"""Goes through the goals in turn: what one of them does wrong costs no other its figures."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import bench.goals
from bench.figures import Figure
from bench.report import Failed
from bench.rig import Rig
from bench.servers import Servers

logger = logging.getLogger(__name__)

#: Goals that say nothing in a fifth of their time: a quick run leaves them out, unless named.
LONG = ("P5", "P6", "P7", "P11")
_NAME = re.compile(r"p(\d+)_\w+")
#: The share of its usual time that a goal has in a quick run.
_QUICK = 0.2
#: A goal that does not watch its time is stopped after so many times its share, and so many more.
_PATIENCE, _PATIENCE_S = 1.5, 30.0


class OutOfTime(Exception):
    """Raised inside a goal that goes on long after its share."""


def goals() -> dict[str, str]:
    """The module of each goal, by the goal's name, in the order of their numbers."""
    modules = [module.name for module in pkgutil.iter_modules(bench.goals.__path__)]
    numbers = {int(found[1]): name for name in modules if (found := _NAME.fullmatch(name))}
    return {f"P{number}": numbers[number] for number in sorted(numbers)}


def measure(
    chosen: Mapping[str, str],
    *,
    folder: Path,
    quick: bool,
    add: Callable[[Figure | Failed], None],
    is_interrupted: Callable[[], bool] = lambda: False,
) -> None:
    """Measure goals, given as `goals` gives them; `add` gets each row as soon as it is there.

    An interrupt can become another exception on its way through a goal's ``finally``, so after
    each failure ``is_interrupted`` is asked, and ends the run.
    """
    with Servers(folder) as servers:
        for goal, module_name in chosen.items():
            try:
                module = importlib.import_module(f"{bench.goals.__name__}.{module_name}")
                seconds = module.SECONDS * (_QUICK if quick else 1)
                with (
                    Rig(folder / goal, quick, seconds, servers=servers) as rig,
                    _stopped_after(seconds * _PATIENCE + _PATIENCE_S),
                ):
                    for figure in module.measure(rig):
                        add(figure)
            except Exception as cause:
                if is_interrupted():
                    raise KeyboardInterrupt from cause
                logger.exception("%s could not be measured", goal)
                why = " ".join(f"{type(cause).__name__}: {cause}".split())
                add(Failed(goal=goal, why=why[:300]))


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
