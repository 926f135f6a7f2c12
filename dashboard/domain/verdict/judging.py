"""Each requirement held against the evidence: word, standing, sentence, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Collection

from dashboard.domain.verdict.bounded import BoundedRate
from dashboard.domain.verdict.evidence import Evidence
from dashboard.domain.verdict.outlook import outlook
from dashboard.domain.verdict.phrases import percent, rate_text, speed_text
from dashboard.domain.verdict.requirements import (
    Health,
    Judged,
    Requirement,
    Requirements,
    Standing,
)
from dashboard.domain.verdict.sequences import Interval, bernoulli_cs
from dashboard.domain.verdict.signatures import counts, surely_counts
from dashboard.domain.verdict.words import (
    LEAST_ORDERS,
    Rate,
    Speed,
    rate_word,
    speed_word,
)

#: The level at which missing answers make two versions incomparable.
COMPARABLE_ALPHA = 0.001
_FINE_SPEEDS = (Speed.FASTER, Speed.ABOUT_THE_SAME, Speed.NO_SLOWER)
_FINE_RATES = (Rate.FEWER, Rate.NO_WORSE, Rate.MORE_WITHIN_MARGIN)
_VERBS = {
    Requirement.FAILURES: "fails",
    Requirement.SLOW_ORDERS: "is slow",
    Requirement.DIFFERENCES: "differs beyond noise",
}


def judge_speed(
    evidence: Evidence, required: Requirements, bench: Interval | None, *, comparable: bool
) -> Judged:
    """The mean log ratio, whose upper end must lie below ln(1 + margin)."""
    blocks = evidence.effect
    interval = blocks.interval(required.each)
    line = math.log1p(required.speed_margin)
    word = speed_word(
        interval,
        pairs=evidence.pairs,
        blocks=blocks.k,
        margin=required.speed_margin,
        bench=bench,
        comparable=comparable,
    )
    within = word is Speed.SLOWER and interval.hi < line
    standing = _standing(fine=word in _FINE_SPEEDS or within, bad=word is Speed.SLOWER)
    estimate = blocks.estimate
    text = word.value
    if estimate is not None:
        text = speed_text(estimate, interval)
    elif evidence.orders:
        text = "no order was timed in both versions"
    if word in (Speed.FASTER, Speed.SLOWER) and -line < interval.lo and interval.hi < line:
        text += f", by less than {percent(required.speed_margin)}"
    return Judged(
        requirement=Requirement.SPEED,
        standing=standing,
        word=word,
        text=text,
        estimate=estimate,
        interval=interval,
        line=line,
        orders=evidence.pairs,
        more_orders=outlook(
            standing, estimate, interval, line, required.each, orders=evidence.pairs, blocks=blocks
        ),
    )


def judge_rate(
    requirement: Requirement,
    rate: BoundedRate,
    required: Requirements,
    *,
    comparable: bool,
    flagged: int = 0,
) -> Judged:
    """A difference of rates, whose upper end must lie below the margin.

    With discrepancies ``flagged`` as beyond noise it does not pass, however small their sum.
    """
    margin = {
        Requirement.FAILURES: required.failures_margin,
        Requirement.SLOW_ORDERS: required.slow_margin,
        Requirement.DIFFERENCES: required.differences_margin,
    }[requirement]
    quick = rate.quick_interval(required.each)
    interval = quick.hull(rate.block_interval(required.each))
    n = rate.n
    word = rate_word(interval, n=n, margin=margin, quick=quick, comparable=comparable)
    if word is Rate.MORE and rate.unknown and rate.least.interval(required.each).hi < margin:
        word = Rate.UNDECIDED
    standing = _standing(
        fine=word in _FINE_RATES and not flagged, bad=word in (Rate.WORSE, Rate.MORE)
    )
    estimate = rate.estimate
    text = "no order was weighed yet"
    if estimate is not None:
        text = rate_text(estimate, interval, _VERBS[requirement], spell=word is Rate.SPELL)
        if rate.unknown and standing is Standing.NOT_YET:
            text += f"; whether {percent(rate.unknown_share)} of the orders count is not known"
    if flagged and standing is Standing.NOT_YET:
        text = f"{flagged} {'discrepancy' if flagged == 1 else 'discrepancies'} surely beyond noise"
    # Of the worst case: where that lies beyond the line, no number of orders would do.
    worst = rate.most.counts
    more_orders = outlook(
        *(standing, worst.estimate, interval, margin, required.each),
        orders=n,
        blocks=rate.most.blocks,
        rare=worst.pos + worst.neg == 0,
    )
    return Judged(
        requirement=requirement,
        standing=standing,
        word=word,
        text=text,
        estimate=estimate,
        interval=interval,
        line=margin,
        orders=n,
        more_orders=None if flagged else more_orders,
    )


def judge_raw_differences(
    evidence: Evidence, required: Requirements, accepted: Collection[int], *, comparable: bool
) -> Judged:
    """Without a baseline: how often the candidate differs at all, noise included.

    That is never held against it: a copy of the control might differ as often.
    """
    n, line = evidence.handled, required.differences_margin
    signatures = evidence.signatures.items()
    k = sum(number for name, number in signatures if counts(name, accepted))
    least = sum(number for name, number in signatures if surely_counts(name, accepted))
    interval = bernoulli_cs(k, n, required.each)
    if least < k:
        interval = interval.hull(bernoulli_cs(least, n, required.each))
    word = Rate.UNDECIDED
    if not comparable:
        word = Rate.NOT_COMPARABLE
    elif n < LEAST_ORDERS:
        word = Rate.WARMING_UP
    elif interval.hi < line:
        word = Rate.NO_WORSE
    standing = _standing(fine=word is Rate.NO_WORSE, bad=False)
    share = k / n if n else None
    return Judged(
        requirement=Requirement.DIFFERENCES,
        standing=standing,
        word=word,
        text=f"differs on {percent(interval.lo)} to {percent(interval.hi)} of the orders, noise"
        " included",
        estimate=share,
        interval=interval,
        line=line,
        orders=n,
        more_orders=outlook(standing, share, interval, line, required.each, orders=n, rare=k == 0),
    )


def judge_completeness(evidence: Evidence, required: Requirements) -> Judged:
    """The share of orders that a version did not answer, or that came too late to be counted.

    A count, and so without error. The interval beside it is that of how much more often the
    candidate did not answer.
    """
    share = evidence.unknown_share
    fine = share is not None and share <= required.most_missing
    text = (
        "no order was weighed yet"
        if share is None
        else f"{percent(share)} of the pairs are missing"
    )
    if evidence.lost:
        text += f", {evidence.lost:,} of them came too late to be counted"
    return Judged(
        requirement=Requirement.COMPLETENESS,
        standing=_standing(fine=fine, bad=share is not None),
        word="complete" if fine else Rate.WARMING_UP.value if share is None else "incomplete",
        text=text,
        estimate=share,
        interval=evidence.missing.interval(COMPARABLE_ALPHA),
        line=required.most_missing,
        orders=evidence.orders + evidence.lost,
    )


def judge_keeping_up(health: Health, required: Requirements) -> Judged:
    """The age of the oldest order that waits for the candidate."""
    behind = health.behind_s
    fine = behind is not None and behind <= required.most_behind_s
    word = "unknown" if behind is None else "keeps up" if fine else "falls behind"
    return Judged(
        requirement=Requirement.KEEPING_UP,
        standing=_standing(fine=fine, bad=behind is not None),
        word=word,
        text=word if behind is None or fine else f"is {behind:,.0f} s behind",
        estimate=behind,
        interval=None,
        line=required.most_behind_s,
        orders=0,
    )


def _standing(*, fine: bool, bad: bool) -> Standing:
    return Standing.PASSED if fine else Standing.FAILED if bad else Standing.NOT_YET
