"""May the candidate be promoted, and if not, what is missing?

``verdict`` holds the evidence of a tally against the requirements of its launch. The promise: if
the candidate behaves exactly like the control, the chance that any of the four headlines (speed,
failures, slow orders, differences) is ever called worse is at most ``Requirements.alpha``; and if
one of them is at its threshold or beyond, and orders fail one by one and not in bursts, so is the
chance that the word is ever READY. Both hold however often one looks, as long as what one block
tells cannot be predicted from those before it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from dashboard.verdict.bounded import BoundedRate
from dashboard.verdict.cautions import cautions
from dashboard.verdict.evidence import Evidence
from dashboard.verdict.judging import (
    judge_completeness,
    judge_keeping_up,
    judge_rate,
    judge_raw_differences,
    judge_speed,
)
from dashboard.verdict.latch import Passed, kept
from dashboard.verdict.outlook import longest
from dashboard.verdict.rates import RobustRate
from dashboard.verdict.reasons import (
    baseline_fault,
    not_comparable,
    of_not_yet,
    of_ready,
    of_worse,
)
from dashboard.verdict.requirements import (
    HEADLINES,
    Health,
    Judged,
    Requirement,
    Requirements,
    Standing,
)
from dashboard.verdict.sequences import Interval, bernoulli_cs
from dashboard.verdict.timing import Timing
from dashboard.verdict.words import Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The word, why, each requirement, and what to know beside it.

    ``faster_share`` is the share of orders on which the candidate was faster, of those on which
    there was a difference; ``total_time`` the ratio of all its time to the control's; both as an
    interval, None while there is nothing. ``more_orders``: about how many more make it READY if
    nothing changes, None where orders alone do not or nobody can tell.
    ``flagged`` are the discrepancies that nobody has accepted and that are surely beyond noise.
    """

    word: Word
    reasons: tuple[str, ...]
    requirements: tuple[Judged, ...]
    warnings: tuple[str, ...]
    pairs: int
    blocks: int
    more_orders: int | None = None
    total_time: Interval | None = None
    faster_share: Interval | None = None
    flagged: tuple[int, ...] = ()
    #: Whether the candidate gets no more orders: there is nothing to stop or to wait for.
    over: bool = False

    def of(self, requirement: Requirement) -> Judged:
        """How one requirement stands."""
        return next(one for one in self.requirements if one.requirement is requirement)

    def sentence(self, version: str) -> str:
        """One line for the board."""
        reasons = ", ".join(self.reasons)
        if self.word is Word.READY:
            return f"{version} is READY: {reasons}."
        if self.word is Word.WORSE:
            return f"WORSE: {version}: {reasons}.{'' if self.over else ' Roll back?'}"
        if self.word is Word.WITHHELD:
            return f"WITHHELD: {reasons}."
        return f"NOT YET: {reasons}."


def verdict(
    evidence: Evidence,
    required: Requirements,
    health: Health,
    *,
    timing: Timing,
    bench: Evidence | None = None,
    accepted: Collection[int] = (),
    same: Mapping[int, int] = MappingProxyType({}),
    passed: Mapping[Requirement, Passed] | None = None,
) -> Verdict:
    """The verdict on one candidate.

    ``bench`` is the evidence of the baseline's own tally, None if the launch has no baseline;
    ``accepted`` are the discrepancies that a review declared to be by design or noise; ``same``
    gives, by a name that noise was recorded under, the candidate's own; ``passed`` are the
    requirements that have passed so far, which silence does not undo.
    """
    held_back = tuple(not_comparable(evidence, required, health))
    fault = baseline_fault(evidence) if bench else ""
    raw = bench is None or bool(fault)
    # What was flagged while the baseline answered stays so when it does no more.
    flagged = tuple(evidence.beyond_noise(accepted, same)) if bench else ()
    judged: tuple[Judged, ...] = (
        *kept(
            _judge_headlines(
                *(evidence, required, bench, accepted, len(flagged)),
                comparable=not held_back,
                raw=raw,
            ),
            passed or {},
            evidence.shown_of(accepted),
        ),
        judge_completeness(evidence, required),
        judge_keeping_up(health, required),
    )
    if health.over:
        judged = tuple(replace(one, needs="", more_orders=None) for one in judged)
    word = _word(judged, held_back=bool(held_back))
    reasons: dict[Word, Iterable[str]] = {
        Word.WITHHELD: held_back,
        Word.WORSE: of_worse(judged),
        Word.READY: of_ready(judged, evidence, accepted, raw=raw),
        Word.NOT_YET: of_not_yet(judged, evidence, timing),
    }
    changed = evidence.faster + evidence.slower
    return Verdict(
        word=word,
        reasons=tuple(reasons[word]),
        requirements=judged,
        warnings=(
            *([f"{fault}; differences are judged with noise included"] if fault else ()),
            *cautions(evidence, required, judged, bench, timing, accepted, over=health.over),
        ),
        pairs=evidence.pairs,
        blocks=evidence.effect.k,
        more_orders=last.more_orders if (last := longest(judged)) else None,
        total_time=evidence.total_time.interval(required.each) if evidence.pairs else None,
        faster_share=bernoulli_cs(evidence.faster, changed, required.each) if changed else None,
        flagged=flagged,
        over=health.over,
    )


def _judge_headlines(
    evidence: Evidence,
    required: Requirements,
    bench: Evidence | None,
    accepted: Collection[int],
    flagged: int,
    *,
    comparable: bool,
    raw: bool,
) -> Iterable[Judged]:
    def rate(requirement: Requirement, rate: RobustRate, copies: RobustRate | None) -> Judged:
        return judge_rate(
            *(requirement, BoundedRate.exactly(rate), evidence, required),
            comparable=comparable,
            baseline=copies.interval(required.each) if copies else None,
        )

    speeds = bench.effect.interval(required.each) if bench else None
    yield judge_speed(evidence, required, speeds, comparable=comparable)
    yield rate(Requirement.FAILURES, evidence.errors, None)
    copies = bench.slow_orders if bench else None
    yield rate(Requirement.SLOW_ORDERS, evidence.slow_orders, copies)
    if raw:
        yield judge_raw_differences(*(evidence, required, accepted, flagged), comparable=comparable)
    else:
        yield judge_rate(
            *(Requirement.DIFFERENCES, evidence.differences.rate(accepted), evidence, required),
            comparable=comparable,
            flagged=flagged,
        )


def _word(judged: tuple[Judged, ...], *, held_back: bool) -> Word:
    if held_back:
        return Word.WITHHELD
    if any(one.standing is Standing.FAILED for one in judged if one.requirement in HEADLINES):
        return Word.WORSE
    if all(one.standing is Standing.PASSED for one in judged):
        return Word.READY
    return Word.NOT_YET
