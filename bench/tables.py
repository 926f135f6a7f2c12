"""Tables in Markdown, and the numbers in those of the simulation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Row = Sequence[str]


def head(names: Row) -> Iterator[str]:
    """A table's first two lines."""
    yield row(names)
    yield "|" + "---|" * len(names)


def row(cells: Row) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def share(holds: NDArray[np.bool_]) -> str:
    """How often it holds, with one standard error (of one more that holds and one that does not,
    so that it is not 0 for what never happened)."""
    k, n = int(holds.sum()), len(holds)
    smoothed = (k + 1) / (n + 2)
    error = math.sqrt(smoothed * (1 - smoothed) / n)
    return f"{100 * k / n:.1f} ± {100 * error:.1f} %"


def percentiles(values: Array) -> str:
    """10th, 50th and 90th percentile."""
    ends = np.percentile(values, (10, 50, 90), method="inverted_cdf")
    return " / ".join("never" if np.isinf(one) else f"{one:,.0f}" for one in ends)
