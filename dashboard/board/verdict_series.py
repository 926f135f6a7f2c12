"""The points of the verdict's charts: the interval over time, who gains, how times spread."""

from __future__ import annotations

import math

from dashboard.board.frames import Json
from dashboard.domain.sketch import GAMMA, LogHistogram
from dashboard.models import Tally
from dashboard.verdict.evaluation import Evaluation
from dashboard.verdict.quantiles import quantile_ranks
from dashboard.verdict.requirements import Requirement

_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
#: Of the ladder's intervals, for each rung by itself.
_ALPHA = 0.05
_BARS = 40
_SEGMENTS = 24
_KINDS = ("size", "hour", "item")
_COLUMNS = ("t", "orders", "estimate", "lo", "hi")


def verdict_series(
    evaluation: Evaluation | None, control: Tally, beside: Tally | None
) -> Json | None:
    """The points for the candidate beside the control."""
    if evaluation is None or beside is None:
        return None
    points = evaluation.row.history.get("points", [])
    ours, theirs = (LogHistogram.from_json(one.sketch) for one in (control, beside))
    return {
        "history": {name: [one[n] for one in points] for n, name in enumerate(_COLUMNS)},
        "line": evaluation.verdict.of(Requirement.SPEED).line,
        "ladder": _ladder(ours, theirs),
        "distribution": _distribution(ours, theirs),
        "segments": _segments(evaluation),
    }


def _ladder(control: LogHistogram, version: LogHistogram) -> list[Json]:
    """How much longer the version takes at each percentile; the intervals are for independent
    orders, each by itself."""
    ours, theirs = control.quantiles(*_SHARES), version.quantiles(*_SHARES)
    rungs = []
    for share, one, other in zip(_SHARES, ours, theirs, strict=True):
        if one is None or other is None:
            continue
        first, second = _band(control, share), _band(version, share)
        rungs.append(
            {
                "share": share,
                "control": one,
                "version": other,
                "change": other / one - 1,
                "lo": second[0] / first[1] - 1 if first and second else None,
                "hi": second[1] / first[0] - 1 if first and second else None,
            }
        )
    return rungs


def _band(times: LogHistogram, share: float) -> tuple[float, float] | None:
    """Between which values a quantile lies; None while there are too few to say."""
    total = times.total
    low, high = quantile_ranks(total, share, _ALPHA)
    if low < 1 or high >= total:
        return None
    lower, upper = times.buckets((low, high + 1))
    return GAMMA ** (lower - 1), GAMMA**upper


def _distribution(control: LogHistogram, version: LogHistogram) -> Json:
    """Both versions' times as parts of all, in bars of one width on a logarithmic axis."""
    buckets = [*control.counts, *version.counts]
    if not buckets:
        return {"edges": [], "control": [], "version": []}
    first = min(buckets)
    width = math.ceil((max(buckets) - first + 1) / _BARS)
    bars = math.ceil((max(buckets) - first + 1) / width)
    return {
        "edges": [GAMMA ** (first - 1 + width * bar) for bar in range(bars + 1)],
        "control": control.shares(first, width, bars),
        "version": version.shares(first, width, bars),
    }


def _segments(evaluation: Evaluation) -> list[Json]:
    """The segments with the most orders, each with its effect: sizes, hours, items."""
    effects = evaluation.effects(_ALPHA)
    shown = sorted(effects, key=lambda one: (_KINDS.index(one.kind), -one.orders))[:_SEGMENTS]
    return [
        {
            "kind": one.kind,
            "name": one.segment.partition(":")[2],
            "orders": one.orders,
            "estimate": one.estimate,
            "lo": one.interval.lo,
            "hi": one.interval.hi,
        }
        for one in shown
    ]
