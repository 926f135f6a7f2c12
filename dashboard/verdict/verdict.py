"""May the candidate be promoted, and if not, what is still needed?

``verdict`` judges the evidence by the requirements of the launch. The promise: if the candidate
behaves exactly like the control, the probability that any of the four headlines (speed, failures,
slow orders, differences) is ever called worse is at most ``Requirements.alpha``. If one of them is
at its threshold or beyond, and orders fail one by one and not in bursts, so is the probability that
the word is ever READY. Both hold however often one looks, as long as a block can't be predicted
from those before it.

Only the times of first decisions are kept, never intervals: intersecting intervals over time would
leave nothing as soon as the effect changes.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from dashboard.verdict.blocks import Timing
from dashboard.verdict.evidence import EvidenceTotals
from dashboard.verdict.judging import (
    judge_completeness,
    judge_keeping_up,
    judge_rate,
    judge_raw_differences,
    judge_speed,
)
from dashboard.verdict.rates import BoundedRate, RobustRate
from dashboard.verdict.reasons import (
    baseline_fault,
    cautions,
    not_comparable,
    of_not_yet,
    of_ready,
    of_worse,
)
from dashboard.verdict.sequences import Interval, bernoulli_cs
from dashboard.verdict.thresholds import (
    HEADLINES,
    LaunchHealth,
    Requirement,
    RequirementResult,
    Requirements,
    RequirementStatus,
    longest,
)
from dashboard.verdict.wording import Rate, Speed, Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The word, its reasons, each requirement, and warnings.

    ``faster_share`` is the share of orders on which the candidate was faster, among those with a
    difference; ``total_time`` is the ratio of all its time to the control's; both are intervals,
    None while unknown. ``more_orders``: about how many more orders make it READY if nothing
    changes; None if orders alone don't, or nobody can tell. ``flagged`` are the discrepancies that
    nobody has accepted and that are significantly above noise.
    """

    word: Word
    reasons: tuple[str, ...]
    requirements: tuple[RequirementResult, ...]
    warnings: tuple[str, ...]
    pairs: int
    blocks: int
    more_orders: int | None = None
    total_time: Interval | None = None
    faster_share: Interval | None = None
    flagged: tuple[int, ...] = ()
    #: Whether the candidate gets no more orders, so there is nothing to stop or to wait for.
    over: bool = False

    def of(self, requirement: Requirement) -> RequirementResult:
        return next(one for one in self.requirements if one.requirement is requirement)

    def sentence(self, version: str) -> str:
        """The sentence on the board."""
        reasons = ", ".join(self.reasons)
        if self.word is Word.READY:
            return f"{version} is READY: {reasons}."
        if self.word is Word.WORSE:
            return f"WORSE: {version}: {reasons}.{'' if self.over else ' Roll back?'}"
        if self.word is Word.WITHHELD:
            return f"WITHHELD: {reasons}."
        return f"NOT YET: {reasons}."


def verdict(
    evidence: EvidenceTotals,
    required: Requirements,
    health: LaunchHealth,
    *,
    timing: Timing,
    bench: EvidenceTotals | None = None,
    accepted: Collection[int] = (),
    same: Mapping[int, int] = MappingProxyType({}),
    passed: Mapping[Requirement, Passed] | None = None,
) -> Verdict:
    """The verdict on one candidate.

    ``bench`` is the evidence of the baseline; None if the launch has none. ``accepted`` are the
    discrepancies that a review declared as by design or noise. ``same`` maps a name under which
    noise was recorded to the candidate's own. ``passed`` are the requirements that have passed
    before.
    """
    held_back = tuple(not_comparable(evidence, required, health))
    fault = baseline_fault(evidence) if bench else ""
    raw = bench is None or bool(fault)
    # What was flagged while the baseline answered stays flagged when it no longer does.
    flagged = tuple(evidence.beyond_noise(accepted, same)) if bench else ()
    judged: tuple[RequirementResult, ...] = (
        *kept(
            _judge_headlines(
                *(evidence, required, bench, accepted, len(flagged)),
                comparable=not held_back,
                raw=raw,
            ),
            passed or {},
            evidence.shown_of(accepted),
        ),
        judge_completeness(evidence, required, health),
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
    evidence: EvidenceTotals,
    required: Requirements,
    bench: EvidenceTotals | None,
    accepted: Collection[int],
    flagged: int,
    *,
    comparable: bool,
    raw: bool,
) -> Iterable[RequirementResult]:
    def rate(
        requirement: Requirement, rate: RobustRate, copies: RobustRate | None
    ) -> RequirementResult:
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


def _word(judged: tuple[RequirementResult, ...], *, held_back: bool) -> Word:
    if held_back:
        return Word.WITHHELD
    if any(
        one.standing is RequirementStatus.FAILED for one in judged if one.requirement in HEADLINES
    ):
        return Word.WORSE
    if all(one.standing is RequirementStatus.PASSED for one in judged):
        return Word.READY
    return Word.NOT_YET


_OPEN = frozenset(
    {
        *(Speed.NOT_COMPARABLE, Speed.WARMING_UP, Speed.UNEQUAL, Speed.UNDECIDED),
        *(Rate.CLUSTERED, Rate.FLAGGED, "incomplete", "unknown"),
    }
)
#: Words that do not speak against an earlier pass as long as the estimate does not, either.
_SILENT = frozenset(
    {
        *(Speed.NO_FASTER, Speed.UNDECIDED, Speed.SLOWER_PROBABLY_WITHIN),
        *(Rate.UNDECIDED, Rate.CLUSTERED, Rate.MORE_PROBABLY_WITHIN),
    }
)


@dataclass(frozen=True, slots=True)
class FirstDecision:
    """The first decision on a requirement: the word, the time in seconds since 1970, and the number
    of orders."""

    word: str
    at: float
    orders: int


@dataclass(frozen=True, slots=True)
class Passed:
    """When a requirement passed (seconds since 1970), after how many orders, and under which
    threshold.

    With another threshold, or when other differences are accepted, it has to pass again.
    """

    at: float
    orders: int
    against: str


def kept(
    judged: Iterable[RequirementResult],
    passed: Mapping[Requirement, Passed],
    accepted: Collection[int],
) -> Iterator[RequirementResult]:
    """The requirements, where those that passed before stay passed unless there is evidence against
    it.

    A pass rejects, at its own level and for good, that the effect is beyond the threshold. Only
    evidence can undo that, not an interval that is wider or unknown for a while.
    """
    for one in judged:
        before = passed.get(one.requirement)
        if before is None or before.against != _against(one, accepted):
            yield one
        elif one.standing is RequirementStatus.PASSED or (one.word in _SILENT and not _speaks(one)):
            yield replace(
                one,
                standing=RequirementStatus.PASSED,
                passed_at=before.at,
                needs="",
                more_orders=None,
            )
        else:
            yield one


def _speaks(one: RequirementResult) -> bool:
    """Whether the estimate is over the limit, or may be.

    Also while the interval is unknown: a version that gets worse after it has passed makes blocks
    that depend on each other, so no level of them is independent for the rest of the launch.
    """
    return any(number is not None and number >= one.line for number in (one.estimate, one.worst))


def passes(
    before: Mapping[Requirement, Passed],
    judged: Iterable[RequirementResult],
    accepted: Collection[int],
    at: float,
) -> dict[Requirement, Passed]:
    """The requirements passed by now; one that cannot be compared right now stays passed."""
    found = {}
    for one in judged:
        if one.requirement not in HEADLINES:
            continue
        earlier, against = before.get(one.requirement), _against(one, accepted)
        if one.standing is RequirementStatus.PASSED:
            new = Passed(at, one.orders, against)
            same = earlier is not None and earlier.against == against
            found[one.requirement] = earlier if earlier is not None and same else new
        elif earlier is not None and one.word == Rate.NOT_COMPARABLE:
            found[one.requirement] = earlier
    return found


def _against(one: RequirementResult, accepted: Collection[int]) -> str:
    text = f"{one.line:.9g}"
    if one.requirement is Requirement.DIFFERENCES:
        text += f" {zlib.crc32(','.join(map(str, sorted(accepted))).encode()):x}"
    return text


def latched(
    before: Mapping[Requirement, FirstDecision], judged: Iterable[RequirementResult], at: float
) -> dict[Requirement, FirstDecision]:
    """The first decisions so far, with those made now."""
    found = dict(before)
    for one in judged:
        if one.word not in _OPEN:
            found.setdefault(one.requirement, FirstDecision(one.word, at, one.orders))
    return found
