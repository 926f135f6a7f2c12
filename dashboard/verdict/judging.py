"""Each requirement held against the evidence: word, standing, sentence, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Collection

from dashboard.verdict.bounded import BoundedRate
from dashboard.verdict.evidence import Evidence
from dashboard.verdict.outlook import PASSED, Outlook, outlook
from dashboard.verdict.phrases import (
    counted,
    discrepancies,
    percent,
    points,
    rate_text,
    span,
    speed_text,
)
from dashboard.verdict.rates import PairedRate
from dashboard.verdict.requirements import (
    Health,
    Judged,
    Requirement,
    Requirements,
    Standing,
)
from dashboard.verdict.sequences import Interval, bernoulli_cs
from dashboard.verdict.signatures import counts, surely_counts
from dashboard.verdict.words import (
    BAD,
    FINE,
    LEAST_BLOCKS,
    LEAST_ORDERS,
    Rate,
    Speed,
    rate_word,
    speed_word,
)

#: The level at which missing answers make two versions incomparable.
COMPARABLE_ALPHA = 0.001
NOT_TIMED = "no order was timed in both versions"
NOTHING_YET = "no order has been compared yet"
_NAMES = {
    Requirement.FAILURES: "failure rate",
    Requirement.SLOW_ORDERS: "slow orders",
    Requirement.DIFFERENCES: "differences beyond noise",
}
_NO_LAG = "the broker to say how many orders wait"
_UNEQUAL = "two copies of the control differ by as much"


def judge_speed(
    evidence: Evidence, required: Requirements, baseline: Interval | None, *, comparable: bool
) -> Judged:
    """The mean log ratio, whose bound must lie below ln(1 + margin)."""
    blocks, pairs = evidence.effect, evidence.pairs
    interval, estimate = blocks.interval(required.each), blocks.estimate
    line = required.margins[Requirement.SPEED]

    def passes(times: float) -> bool:
        return (
            pairs * times >= LEAST_ORDERS
            and blocks.k * times >= LEAST_BLOCKS
            and blocks.log_e_below(line, times) >= required.limit
        )

    word = speed_word(
        interval,
        estimate=estimate,
        passes=passes(1.0),
        pairs=pairs,
        blocks=blocks.k,
        margin=required.speed_margin,
        baseline=baseline,
        comparable=comparable,
    )
    standing = _standing(fine=word in FINE, bad=word in BAD)
    more = PASSED
    if standing is Standing.NOT_YET and estimate is not None and word is not Speed.UNEQUAL:
        more = outlook(passes, orders=evidence.orders, blocks=blocks, over=estimate >= line)
    return Judged(
        requirement=Requirement.SPEED,
        standing=standing,
        word=word,
        text=_speed_sentence(evidence, interval, word, required.speed_margin),
        estimate=estimate,
        interval=interval,
        line=line,
        orders=pairs,
        bound=blocks.bound(required.alpha),
        needs=more.needs,
        more_orders=more.more_orders,
    )


def _speed_sentence(evidence: Evidence, interval: Interval, word: Speed, margin: float) -> str:
    estimate, line = evidence.effect.estimate, math.log1p(margin)
    if estimate is None:
        return NOT_TIMED if evidence.orders else NOTHING_YET
    small = -line < interval.lo and interval.hi < line
    return speed_text(estimate, interval) + {
        Speed.FASTER: f", by less than {percent(margin)}" if small else "",
        Speed.SLOWER: _all_beyond(percent(margin)) if interval.lo > line else "",
        Speed.SLOWER_PROBABLY_WITHIN: f", probably within {percent(margin)}",
        Speed.SLOWER_WITHIN: f", {'by less than' if small else 'within'} {percent(margin)}",
        Speed.UNEQUAL: f", but {_UNEQUAL}",
    }.get(word, "")


def _all_beyond(limit: str) -> str:
    return f", all of it beyond the limit of {limit}"


def judge_rate(
    requirement: Requirement,
    rate: BoundedRate,
    evidence: Evidence,
    required: Requirements,
    *,
    comparable: bool,
    baseline: Interval | None = None,
    flagged: int = 0,
) -> Judged:
    """A difference of rates, whose bound must lie below the margin.

    With discrepancies ``flagged`` as beyond noise it does not pass, however small their sum.
    """
    line, n = required.margins[requirement], rate.n
    by_counts = rate.quick_interval(required.each)
    interval = by_counts.hull(rate.block_interval(required.each))

    def passes(times: float) -> bool:
        return n * times >= LEAST_ORDERS and (rate.most.log_e_below(line, times) >= required.limit)

    word = rate_word(
        interval,
        estimate=rate.least.counts.estimate,
        passes=passes(1.0),
        n=n,
        margin=line,
        counts=by_counts,
        baseline=baseline,
        comparable=comparable,
    )
    if flagged and word in FINE | {Rate.UNDECIDED, Rate.CLUSTERED, Rate.MORE_PROBABLY_WITHIN}:
        word = Rate.FLAGGED
    standing = _standing(fine=word in FINE, bad=word in BAD)
    more, worst = PASSED, rate.most.counts.estimate
    if word is Rate.FLAGGED:
        more = _flagged(flagged)[1]
    elif standing is Standing.NOT_YET and rate.estimate is not None and word is not Rate.UNEQUAL:
        # Of the worst case: more orders do not tell what its orders count.
        over, blocks = (worst or 0.0) >= line, rate.most.blocks
        more = outlook(passes, orders=evidence.orders, blocks=blocks, over=over)
    return Judged(
        requirement=requirement,
        standing=standing,
        word=word,
        text=_rate_sentence(requirement, rate, interval, word, line, flagged),
        estimate=rate.estimate,
        interval=interval,
        line=line,
        orders=n,
        bound=rate.most.bound(required.alpha),
        needs=more.needs,
        more_orders=more.more_orders,
        worst=worst,
    )


def _rate_sentence(
    requirement: Requirement,
    rate: BoundedRate,
    interval: Interval,
    word: Rate,
    line: float,
    flagged: int,
) -> str:
    if rate.estimate is None:
        return NOTHING_YET
    if word is Rate.FLAGGED:
        return _flagged(flagged)[0]
    limit = points(line)
    text = rate_text(_NAMES[requirement], rate.estimate, interval) + {
        Rate.WORSE: _all_beyond(limit) if interval.lo > line else "",
        Rate.MORE_PROBABLY_WITHIN: f", probably within {limit}",
        Rate.MORE_WITHIN: f", within {limit}",
        Rate.CLUSTERED: ", too clustered in time to call",
        Rate.UNEQUAL: f", but {_UNEQUAL}",
    }.get(word, "")
    if rate.unknown and word not in FINE | BAD:
        text += f"; whether {percent(rate.unknown_share)} of the orders count is not known"
    return text


def _flagged(number: int) -> tuple[str, Outlook]:
    """What is said of discrepancies beyond noise, and what they need."""
    some = discrepancies(number)
    return f"{some} significantly above baseline noise", Outlook(f"a review of {some}")


def judge_raw_differences(
    evidence: Evidence,
    required: Requirements,
    accepted: Collection[int],
    flagged: int = 0,
    *,
    comparable: bool,
) -> Judged:
    """Without a baseline: how often the candidate differs at all, noise included.

    That is never held against it: a copy of the control might differ as often. But what was
    ``flagged`` while there was a baseline keeps it from passing.
    """
    n, line = evidence.handled, required.differences_margin
    signatures = evidence.signatures.items()
    k = sum(number for name, number in signatures if counts(name, accepted))
    least = sum(number for name, number in signatures if surely_counts(name, accepted))
    interval = bernoulli_cs(k, n, required.each)
    if least < k:
        interval = interval.hull(bernoulli_cs(least, n, required.each))
    rate = PairedRate(k, 0, n - k)

    def passes(times: float) -> bool:
        return n * times >= LEAST_ORDERS and (rate.log_e_below(line, times) >= required.limit)

    word = Rate.UNDECIDED
    if not comparable:
        word = Rate.NOT_COMPARABLE
    elif n < LEAST_ORDERS:
        word = Rate.WARMING_UP
    elif flagged:
        word = Rate.FLAGGED
    elif passes(1.0):
        word = Rate.NO_WORSE
    standing = _standing(fine=word is Rate.NO_WORSE, bad=False)
    more = PASSED
    text = f"differs on {span(*interval)} of orders, noise included" if n else NOTHING_YET
    if word is Rate.FLAGGED:
        text, more = _flagged(flagged)
    elif standing is Standing.NOT_YET and n:
        over = k >= line * n
        more = outlook(passes, orders=evidence.orders, blocks=evidence.errors.blocks, over=over)
        if over:
            more = Outlook("a baseline that answers, to tell noise from differences, or a review")
    return Judged(
        requirement=Requirement.DIFFERENCES,
        standing=standing,
        word=word,
        text=text,
        estimate=rate.estimate,
        interval=interval,
        line=line,
        orders=n,
        bound=rate.bound(required.alpha),
        needs=more.needs,
        more_orders=more.more_orders,
    )


def judge_completeness(evidence: Evidence, required: Requirements) -> Judged:
    """The share of orders that a version did not answer, or that came too late to be counted.

    A count, and so without error. The interval beside it is that of how much more often the
    candidate did not answer.
    """
    share = evidence.unknown_share
    fine = share is not None and share <= required.most_missing
    text = NOTHING_YET if share is None else f"missing results: {percent(share)}"
    if evidence.lost:
        text += f", {counted(evidence.lost)} came too late to be counted"
    return Judged(
        requirement=Requirement.COMPLETENESS,
        standing=_standing(fine=fine, bad=share is not None),
        word="complete" if fine else Rate.WARMING_UP.value if share is None else "incomplete",
        text=text,
        estimate=share,
        interval=evidence.missing.interval(COMPARABLE_ALPHA),
        line=required.most_missing,
        orders=evidence.orders + evidence.lost,
        needs="" if fine or share is None else "results of the missing orders",
    )


def judge_keeping_up(health: Health, required: Requirements) -> Judged:
    """The age of the oldest order that waits for the candidate."""
    behind = health.behind_s
    fine = behind is not None and behind <= required.most_behind_s
    word = "unknown" if behind is None else "within limit" if fine else "over limit"
    text = f"lag {word}" if behind is None or fine else f"lag {behind:,.0f} s"
    return Judged(
        requirement=Requirement.KEEPING_UP,
        standing=_standing(fine=fine, bad=behind is not None),
        word=word,
        text=text,
        estimate=behind,
        interval=None,
        line=required.most_behind_s,
        orders=0,
        needs="" if fine else "to catch up" if behind is not None else _NO_LAG,
    )


def _standing(*, fine: bool, bad: bool) -> Standing:
    return Standing.PASSED if fine else Standing.FAILED if bad else Standing.NOT_YET
