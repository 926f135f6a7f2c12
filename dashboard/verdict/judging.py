"""Judges each requirement by the evidence: word, status, sentence, and what it still needs."""

from __future__ import annotations

import math
from collections.abc import Collection

from dashboard.verdict.classes import counts, surely_counts
from dashboard.verdict.evidence import EvidenceTotals
from dashboard.verdict.rates import BoundedRate, PairedRate
from dashboard.verdict.sequences import Interval, bernoulli_cs
from dashboard.verdict.thresholds import (
    COMPARABLE_ALPHA,
    PASSED,
    LaunchHealth,
    Outlook,
    Requirement,
    RequirementResult,
    Requirements,
    RequirementStatus,
    outlook,
)
from dashboard.verdict.wording import (
    BAD,
    FINE,
    LEAST_BLOCKS,
    LEAST_ORDERS,
    Rate,
    Speed,
    counted,
    discrepancies,
    orders_of,
    percent,
    points,
    rate_text,
    rate_word,
    span,
    speed_text,
    speed_word,
)

NOT_TIMED = "no order was timed in both versions"
NOTHING_YET = "no order has been compared yet"
_NAMES = {
    Requirement.FAILURES: "failure rate",
    Requirement.SLOW_ORDERS: "slow orders",
    Requirement.DIFFERENCES: "differences beyond noise",
}
_NO_LAG = "queue lengths from the broker"
_UNEQUAL = "two copies of the control differ by as much"


def judge_speed(
    evidence: EvidenceTotals, required: Requirements, baseline: Interval | None, *, comparable: bool
) -> RequirementResult:
    """Judge the mean log ratio: its bound must be below ln(1 + margin)."""
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
    if standing is RequirementStatus.NOT_YET and estimate is not None and word is not Speed.UNEQUAL:
        more = outlook(passes, orders=evidence.orders, blocks=blocks, over_limit=estimate >= line)
    return RequirementResult(
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


def _speed_sentence(
    evidence: EvidenceTotals, interval: Interval, word: Speed, margin: float
) -> str:
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
    evidence: EvidenceTotals,
    required: Requirements,
    *,
    comparable: bool,
    baseline: Interval | None = None,
    flagged: int = 0,
) -> RequirementResult:
    """Judge a difference of rates: its bound must be below the margin.

    It does not pass while discrepancies are ``flagged`` as beyond noise, however small their sum.
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
    elif (
        standing is RequirementStatus.NOT_YET
        and rate.estimate is not None
        and word is not Rate.UNEQUAL
    ):
        # The worst case: more orders would not tell whether the uncertain ones count.
        over, blocks = (worst or 0.0) >= line, rate.most.blocks
        more = outlook(passes, orders=evidence.orders, blocks=blocks, over_limit=over)
    return RequirementResult(
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
        text += f"; {percent(rate.unknown_share)} of orders may or may not count"
    return text


def _flagged(number: int) -> tuple[str, Outlook]:
    """The words for discrepancies beyond noise, and what they need."""
    some = discrepancies(number)
    return f"{some} significantly above baseline noise", Outlook(f"a review of {some}")


def judge_raw_differences(
    evidence: EvidenceTotals,
    required: Requirements,
    accepted: Collection[int],
    flagged: int = 0,
    *,
    comparable: bool,
) -> RequirementResult:
    """Without a baseline: how often the candidate differs at all, noise included.

    That never counts against it, because a copy of the control might differ as often. But
    discrepancies that were ``flagged`` while there was a baseline keep it from passing.
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
    elif standing is RequirementStatus.NOT_YET and n:
        over = k >= line * n
        more = outlook(
            passes, orders=evidence.orders, blocks=evidence.errors.blocks, over_limit=over
        )
        if over:
            more = Outlook("a baseline that answers, to tell noise from differences, or a review")
    return RequirementResult(
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


def unknown_share(evidence: EvidenceTotals, health: LaunchHealth) -> float | None:
    """The share of orders with an unknown answer or that were not seen at all; None while nothing
    is known."""
    share = evidence.unknown_share
    if not health.unseen:
        return share
    return min(1.0, (share or 0.0) + health.unseen_share)


def judge_completeness(
    evidence: EvidenceTotals, required: Requirements, health: LaunchHealth
) -> RequirementResult:
    """Judge the share of orders that a version did not answer, that arrived too late to be counted,
    or that the observer did not see.

    A count, so it has no error. The interval shown is that of how much more often the candidate did
    not answer.
    """
    share = unknown_share(evidence, health)
    fine = share is not None and share <= required.most_missing
    text = NOTHING_YET if share is None else f"missing results: {percent(share)}"
    if evidence.lost:
        text += f", {counted(evidence.lost)} came too late to be counted"
    if health.unseen:
        text += f", {not_seen(health)}"
    return RequirementResult(
        requirement=Requirement.COMPLETENESS,
        standing=_standing(fine=fine, bad=share is not None),
        word="complete" if fine else Rate.WARMING_UP.value if share is None else "incomplete",
        text=text,
        estimate=share,
        interval=evidence.missing.interval(COMPARABLE_ALPHA),
        line=required.most_missing,
        orders=evidence.orders + evidence.lost,
        needs="" if fine or share is None else _needs_of_completeness(health, required),
    )


def _needs_of_completeness(health: LaunchHealth, required: Requirements) -> str:
    if health.unseen_share > required.most_missing:
        return "more orders, all received by the observer"
    return "results of the missing orders"


def not_seen(health: LaunchHealth) -> str:
    """ "12 of 1,300 orders did not reach the observer"."""
    return f"{orders_of(health.unseen, health.sent)} did not reach the observer"


def judge_keeping_up(health: LaunchHealth, required: Requirements) -> RequirementResult:
    """Judge the age of the oldest order that waits for the candidate."""
    behind = health.behind_s
    fine = behind is not None and behind <= required.most_behind_s
    word = "unknown" if behind is None else "within limit" if fine else "over limit"
    text = f"lag {word}" if behind is None or fine else f"lag {behind:,.0f} s"
    return RequirementResult(
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


def _standing(*, fine: bool, bad: bool) -> RequirementStatus:
    return (
        RequirementStatus.PASSED
        if fine
        else RequirementStatus.FAILED
        if bad
        else RequirementStatus.NOT_YET
    )
