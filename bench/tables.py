"""What the tables of the simulation have in common: their rows, and when a look first alarms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ORDERS = 20_000
BLOCK = 25
LOOKS = (1000, 5000, 20_000)
#: The level of one headline.
EACH = 0.05 / 4
#: Runs that are simulated at once.
CHUNK = 50
Row = Sequence[str]


def runs_of(usual: int, share: float) -> int:
    """So many runs, scaled; at least two."""
    return max(2, round(usual * share))


def first_alarm(alarms: NDArray[np.bool_], every: int) -> Array:
    """Orders until the first alarm of each run."""
    first = (np.argmax(alarms, axis=1) + 1.0) * every
    return np.where(alarms.any(axis=1), first, np.inf)


def by_looks(first: Array) -> list[str]:
    """The share of runs with an alarm by each of LOOKS."""
    return [f"{np.mean(first <= look):.1%}".replace("%", " %") for look in LOOKS]


def percentiles(first: Array) -> str:
    """10th, 50th and 90th percentile."""
    ends = np.percentile(first, (10, 50, 90), method="inverted_cdf")
    return " / ".join("not seen" if np.isinf(one) else f"{one:,.0f}" for one in ends)


def error(runs: int) -> str:
    """Two standard errors of a share of 5 %."""
    return f"{200 * np.sqrt(0.05 * 0.95 / runs):.1f} points"


def head(names: Row) -> Iterator[str]:
    """A table's first two lines."""
    yield row(names)
    yield "|" + "---|" * len(names)


def row(cells: Row) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"
