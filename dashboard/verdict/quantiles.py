"""Which ranks a quantile may have: a band for independent orders only, so not shown by itself.

Load drifts, and then orders are not independent: under slow drift such a band misses the truth
almost always. It is for comparisons between stretches that are known to be steady.
"""

from __future__ import annotations

import math
from collections.abc import Callable

#: How many orders' worth of belief the Beta prior around the quantile's share holds.
_PRIOR_ORDERS = 250


def quantile_ranks(n: int, share: float, alpha: float) -> tuple[int, int]:
    """The least and the largest number of n values that may lie at or below the quantile.

    Those k with B(a + k, b + n - k) / (B(a, b) p^k (1 - p)^(n - k)) < 1/alpha, for p the share in
    (0, 1), a = 250 p, b = 250 (1 - p): the band reaches from the value of rank k_lo to that of
    k_hi + 1.
    """
    centre = round(n * share)
    lo = _first(lambda k: _possible(k, n, share, alpha), 0, centre)
    hi = n - _first(lambda k: _possible(n - k, n, share, alpha), 0, n - centre)
    return lo, hi


def _possible(k: int, n: int, p: float, alpha: float) -> bool:
    a, b = _PRIOR_ORDERS * p, _PRIOR_ORDERS * (1 - p)
    likelihood = k * math.log(p) + (n - k) * math.log(1 - p)
    evidence = _log_beta(a + k, b + n - k) - _log_beta(a, b) - likelihood
    return evidence < math.log(1 / alpha)


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The least number from which on it holds; it holds for ``high``."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
