"""How other tools decide, written anew from what they publish, to be run on the same orders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Kayenta's judge: confidence 0.98 two-sided, tolerance 25 % of the Hodges-Lehmann shift.
_KAYENTA_Z = 2.3263
_KAYENTA_TOLERANCE = 0.25


def t_alarms(d: Array) -> Mask:
    """Paired t-test, two-sided p < 0.05, after each order from the tenth on."""
    n = np.arange(1, d.shape[1] + 1)
    mean = np.cumsum(d, axis=1) / n
    variance = np.maximum(np.cumsum(d * d, axis=1) / n - mean**2, 1e-300) * n / np.maximum(n - 1, 1)
    freedom = np.maximum(n - 1, 1)
    z = 1.959964
    critical = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    found: Mask = (np.abs(mean) > critical * np.sqrt(variance / n)) & (n >= 10)
    return found


def z_alarms(a: Array, b: Array) -> Mask:
    """Two-proportion z-test, two-sided p < 0.05, after each order from the tenth on."""
    n = np.arange(1, a.shape[1] + 1)
    fails_a, fails_b = np.cumsum(a, axis=1), np.cumsum(b, axis=1)
    share = (fails_a + fails_b) / (2 * n)
    error = np.sqrt(np.maximum(share * (1 - share) * 2 / n, 1e-300))
    found: Mask = (np.abs(fails_b - fails_a) / n > 1.959964 * error) & (n >= 10)
    return found


def mcnemar_alarms(pos: Array, neg: Array) -> Mask:
    """McNemar's test, two-sided p < 0.05, after each look."""
    alone = np.cumsum(pos, axis=1), np.cumsum(neg, axis=1)
    either = np.maximum(alone[0] + alone[1], 1)
    return np.abs(alone[0] - alone[1]) > 1.959964 * np.sqrt(either)


def diffy_alarms(raw: Array, noise: Array, n: Array) -> Mask:
    """Diffy: raw > noise, by more than 20 % of both and 0.03 % of all; cumulated counts."""
    gap = raw - noise
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(raw + noise > 0, gap / (raw + noise), 0.0)
    return (gap > 0) & (relative > 0.20) & (gap / n > 0.0003)


def first_alarms(a: Array, b: Array, every: int) -> tuple[float, float]:
    """When two groups first differ by Mann-Whitney p < 0.02, and by Kayenta's whole rule.

    One look after ``every`` orders of both groups together; in orders, infinity for never.
    """
    plain = np.inf
    for n in range(every // 2, len(a) + 1, every // 2):
        z = _mann_whitney(np.sort(a[:n]), b[:n])
        if abs(z(0.0)) < _KAYENTA_Z:
            continue
        plain = min(plain, 2 * n)
        shift = _hodges_lehmann(z, a[:n], b[:n])
        if abs(z(_KAYENTA_TOLERANCE * shift)) > _KAYENTA_Z:
            return plain, 2.0 * n
    return plain, np.inf


def _mann_whitney(a: Array, b: Array) -> Callable[[float], float]:
    """The z statistic of sorted a against b shifted back by any shift."""
    n, m = len(a), len(b)
    error = np.sqrt(n * m * (n + m + 1) / 12)

    def z(shift: float) -> float:
        moved = b - shift
        below = np.searchsorted(a, moved, "left").sum() + np.searchsorted(a, moved, "right").sum()
        return float((below / 2 - n * m / 2) / error)

    return z


def _hodges_lehmann(z: Callable[[float], float], a: Array, b: Array) -> float:
    """The shift at which the groups do not differ, to a ten-thousandth of their spread."""
    spread = float(np.std(np.concatenate([a, b])))
    low, high = -spread, spread
    for _ in range(14):
        middle = (low + high) / 2
        if z(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
