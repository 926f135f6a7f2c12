"""Words, requirements, and the one sentence of a launch."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from statistics import median

import pytest

from dashboard.domain.tests.paired_orders import MISSING, TIMING, order, simulated
from dashboard.domain.verdict.evidence import Evidence
from dashboard.domain.verdict.latch import Decided, changed, latched
from dashboard.domain.verdict.outlook import more_orders
from dashboard.domain.verdict.paired_order import Result, Status
from dashboard.domain.verdict.phrases import percent, rate_text, speed_text
from dashboard.domain.verdict.rates import PairedRate
from dashboard.domain.verdict.requirements import (
    Health,
    Judged,
    Requirement,
    Requirements,
    Standing,
)
from dashboard.domain.verdict.rounding import significant
from dashboard.domain.verdict.sequences import NOTHING_KNOWN, Interval
from dashboard.domain.verdict.tally import Tally
from dashboard.domain.verdict.timing import Timing
from dashboard.domain.verdict.verdict import Verdict, verdict
from dashboard.domain.verdict.words import Rate, Speed, Word, rate_word, speed_word

_WELL = Health(behind_s=0.5)


def _judged(
    tally: Tally,
    *,
    health: Health = _WELL,
    bench: Tally | None = None,
    accepted: tuple[int, ...] = (),
    required: Requirements | None = None,
) -> Verdict:
    return verdict(
        tally.evidence(),
        required or Requirements(),
        health,
        timing=TIMING,
        bench=bench.evidence() if bench else None,
        accepted=accepted,
    )


@pytest.mark.parametrize(
    ("lo", "hi", "word"),
    [
        (-0.09, -0.03, "faster"),
        (0.01, 0.05, "slower"),
        (-0.01, 0.015, "about the same"),
        (-0.05, 0.01, "no slower"),
        (-0.01, 0.05, "no faster"),
        (-0.05, 0.05, "undecided"),
    ],
)
def test_the_word_for_speed(lo: float, hi: float, word: str) -> None:
    assert speed_word(Interval(lo, hi), pairs=500, blocks=50) == word
    assert speed_word(Interval(lo, hi), pairs=99, blocks=50) == "warming up"
    assert speed_word(Interval(lo, hi), pairs=500, blocks=19) == "warming up"
    assert speed_word(Interval(lo, hi), pairs=500, blocks=50, comparable=False) == "not comparable"


@pytest.mark.parametrize(
    ("interval", "bench", "word"),
    [
        ((-0.09, -0.03), (-0.04, -0.01), "bench uneven"),
        ((-0.09, -0.05), (-0.04, -0.01), "faster"),
        ((0.02, 0.05), (-0.04, -0.01), "slower"),
        ((0.02, 0.05), (0.01, 0.03), "bench uneven"),
        ((-0.01, 0.01), (0.01, 0.03), "bench uneven"),
        ((-0.09, -0.03), (-0.04, 0.01), "faster"),
    ],
)
def test_on_an_uneven_bench_only_what_lies_beyond_it_is_an_effect(
    interval: tuple[float, float], bench: tuple[float, float], word: str
) -> None:
    found = speed_word(Interval(*interval), pairs=500, blocks=50, bench=Interval(*bench))
    assert found == word


@pytest.mark.parametrize(
    ("lo", "hi", "quick", "word"),
    [
        (-0.004, -0.001, None, "fewer"),
        (0.006, 0.02, None, "worse"),
        (0.001, 0.02, None, "more"),
        (0.001, 0.004, None, "more, within margin"),
        (-0.002, 0.004, None, "no worse"),
        (-0.01, 0.01, None, "undecided"),
        (-0.01, 0.01, 0.001, "spell"),
        (-0.01, 0.01, -0.001, "undecided"),
    ],
)
def test_the_word_for_a_rate(lo: float, hi: float, quick: float | None, word: str) -> None:
    alone = None if quick is None else Interval(quick, 1)
    found = rate_word(Interval(lo, hi), n=5000, margin=0.005, quick=alone)
    assert found == word
    assert rate_word(Interval(lo, hi), n=99, margin=0.005) == "warming up"
    assert rate_word(Interval(lo, hi), n=99, margin=0.005, comparable=False) == "not comparable"


def test_ready_says_what_was_shown() -> None:
    found = _judged(simulated(1, blocks=120, slower=0.7), bench=simulated(2, blocks=120))
    assert found.word is Word.READY
    assert {one.standing for one in found.requirements} == {Standing.PASSED}
    assert found.sentence("vnext").startswith("vnext is READY: 30 % faster (")
    assert "fails no more often" in found.sentence("vnext")
    assert "differs no more than noise" in found.sentence("vnext")
    assert found.more_orders is None
    assert found.total_time is not None
    assert found.total_time.has(0.7)
    assert found.faster_share is not None
    assert found.faster_share.lo > 0.9


def test_not_yet_says_how_much_is_missing() -> None:
    found = _judged(simulated(1, blocks=26, slower=0.7), bench=simulated(2, blocks=26))
    assert found.word is Word.NOT_YET
    assert found.more_orders
    passed = sum(one.standing is Standing.PASSED for one in found.requirements)
    assert found.sentence("vnext") == (
        f"NOT YET: {passed} of 6 requirements, about {found.more_orders:,} more orders."
    )


def test_worse_says_what_is_worse() -> None:
    found = _judged(simulated(1, blocks=200, fails=0.05), bench=simulated(2, blocks=200))
    assert found.word is Word.WORSE
    assert found.of(Requirement.FAILURES).word == Rate.WORSE
    assert found.sentence("vnext").startswith("WORSE: vnext fails on ")
    assert found.sentence("vnext").endswith("). Stop it?")


def test_slower_is_worse_and_slower_by_less_than_the_margin_is_not() -> None:
    slower = simulated(3, blocks=300, slower=1.06)
    found = _judged(slower)
    assert (found.word, found.of(Requirement.SPEED).word) == (Word.WORSE, Speed.SLOWER)
    tolerant = _judged(slower, required=Requirements(speed_margin=0.2)).of(Requirement.SPEED)
    assert (tolerant.word, tolerant.standing) == (Speed.SLOWER, Standing.PASSED)
    assert tolerant.text.endswith(", by less than 20 %")


def test_while_it_warms_up_it_says_how_far_it_is() -> None:
    tally = Tally(Timing(block_s=1, deadline_s=2, grace_s=0))
    for i in range(30):
        tally.add(order(i / 10))
    tally.close(50)
    found = verdict(tally.evidence(), Requirements(), _WELL, timing=tally.timing)
    assert found.sentence("vnext") == "NOT YET: warming up, 30 of 200 orders timed."


def test_without_any_order_it_is_not_yet() -> None:
    found = verdict(Evidence(), Requirements(), Health(), timing=Timing())
    assert found.sentence("vnext") == "NOT YET: warming up, 0 of 200 orders timed."
    assert found.of(Requirement.SPEED).interval == NOTHING_KNOWN


def test_a_candidate_that_never_answers_is_told_so() -> None:
    tally = Tally(TIMING)
    for i in range(300):
        tally.add(order(i / 10, candidate=MISSING))
    tally.close(100)
    found = _judged(tally)
    assert found.sentence("vnext") == (
        "WITHHELD: of 300 orders none was answered by both versions."
    )


def test_answers_that_one_side_alone_owes_make_them_incomparable() -> None:
    found = _judged(simulated(1, blocks=120, slower=0.7, missing=0.03))
    assert found.word is Word.WITHHELD
    assert found.of(Requirement.SPEED).word == Speed.NOT_COMPARABLE
    assert found.of(Requirement.FAILURES).word == Rate.NOT_COMPARABLE
    assert "not comparable: the candidate alone was not heard of on" in found.sentence("vnext")


def test_a_verdict_is_withheld_while_too_many_pairs_are_missing_on_either_side() -> None:
    evidence = simulated(1, blocks=120).evidence()
    evidence.missing_both = evidence.orders // 20
    found = verdict(evidence, Requirements(), _WELL, timing=TIMING)
    assert found.word is Word.WITHHELD
    assert found.sentence("vnext") == "WITHHELD: 5 % of the pairs are missing (at most 1 %)."
    assert any("could be off by" in one for one in found.warnings)


def test_what_holds_a_verdict_back_is_its_reason() -> None:
    wrong = "vnext was sent 412 of 1,000 orders; 50 % was asked"
    found = _judged(simulated(1, blocks=60), health=replace(_WELL, held=(wrong,)))
    assert found.sentence("vnext") == f"WITHHELD: {wrong}."


@pytest.mark.parametrize(
    ("behind_s", "standing"), [(3, "passed"), (99, "failed"), (None, "not yet")]
)
def test_a_candidate_must_keep_up(behind_s: float | None, standing: str) -> None:
    tally, bench = simulated(1, blocks=120, slower=0.7), simulated(2, blocks=120)
    found = _judged(tally, health=Health(behind_s=behind_s), bench=bench)
    assert found.of(Requirement.KEEPING_UP).standing == standing
    assert (found.word is Word.READY) == (standing == "passed")


def test_differences_count_beyond_the_baselines_noise_alone() -> None:
    noisy = simulated(1, blocks=300, noise=0.2)
    assert _judged(noisy, bench=noisy).of(Requirement.DIFFERENCES).standing is not Standing.FAILED


def test_without_a_baseline_differences_may_be_noise_and_are_not_held_against_the_candidate() -> (
    None
):
    found = _judged(simulated(1, blocks=300, slower=0.7, noise=0.2))
    assert found.word is Word.NOT_YET
    assert found.of(Requirement.DIFFERENCES).standing is Standing.NOT_YET
    assert "noise included" in found.sentence("vnext")
    assert _judged(simulated(1, blocks=300, slower=0.7)).word is Word.READY


def test_an_accepted_discrepancy_counts_no_longer_at_once() -> None:
    tally, bench = simulated(1, blocks=120, slower=0.7, shows=0.1), simulated(2, blocks=120)
    assert _judged(tally, bench=bench).of(Requirement.DIFFERENCES).word == Rate.WORSE
    found = _judged(tally, bench=bench, accepted=(1,))
    assert found.word is Word.READY
    assert found.sentence("vnext").endswith(", 1 accepted discrepancy.")
    assert _judged(tally, accepted=(1,)).of(Requirement.DIFFERENCES).word == Rate.NO_WORSE


def test_an_uneven_bench_is_said_and_a_small_effect_on_it_is_none() -> None:
    found = _judged(
        simulated(1, blocks=200, slower=0.9), bench=simulated(2, blocks=200, slower=0.8)
    )
    assert found.of(Requirement.SPEED).word == Speed.BENCH_UNEVEN
    assert found.warnings[0].startswith("bench uneven: of two copies of the control")


def test_a_baseline_that_fails_or_differs_on_its_own_is_said() -> None:
    found = _judged(
        simulated(1, blocks=100), bench=simulated(2, blocks=200, fails=0.1, shows=0.2)
    )  # fmt: skip
    fails, differs = found.warnings[:2]
    assert fails.startswith("bench uneven: of two copies of the control the second fails on ")
    assert re.fullmatch(r"two copies of the control differ on \d+ % of [\d,]+ orders", differs)


def test_a_baseline_of_few_orders_is_not_said_to_differ() -> None:
    few, enough = (simulated(2, blocks=one, shows=1.0) for one in (4, 200))
    said = "two copies of the control differ"
    assert said not in " ".join(_judged(simulated(1, blocks=100), bench=few).warnings)
    assert said in " ".join(_judged(simulated(1, blocks=100), bench=enough).warnings)


def test_faster_comes_with_a_warning_when_it_fails_more_often() -> None:
    found = _judged(simulated(1, blocks=200, slower=0.7, fails=0.08))
    assert "faster, but it fails more often: what fails is not in the mean" in found.warnings


def test_drifting_effects_and_contrasting_segments_are_warned_of() -> None:
    tally = Tally(TIMING)
    for i in range(6000):
        ms = 6.0 if i < 3000 else 12.0
        tally.add(order(i / 20, candidate=Result(Status.OK, ms + i % 3)))
    tally.close(400)
    found = _judged(tally)
    assert any(one.startswith("the effect drifts: ") for one in found.warnings)


def _asked_and_needed(seed: int, k: int) -> float:
    """How many of the orders that it asked for after k blocks it took to pass."""

    def speed(blocks: int) -> Judged:
        return _judged(simulated(seed, blocks=blocks, each=10)).of(Requirement.SPEED)

    first = speed(k)
    assert first.standing is Standing.NOT_YET
    passed = next(
        one.orders
        for blocks in range(k, 800, 20)
        for one in (speed(blocks),)
        if one.standing is Standing.PASSED
    )
    return passed / (first.orders + (first.more_orders or 0))


def test_the_orders_that_it_asks_for_are_about_what_it_takes() -> None:
    assert 0.5 < median(_asked_and_needed(seed, 60) for seed in range(7)) < 1.5


def test_no_number_of_orders_helps_while_the_estimate_is_beyond_the_line() -> None:
    beyond = more_orders(orders=500, estimate=0.03, upper=0.05, line=0.02, alpha=0.0125)
    assert beyond is None
    inside = more_orders(orders=500, estimate=0.0, upper=0.04, line=0.02, alpha=0.0125)
    assert inside is not None
    assert 1500 < inside < 2500


def test_what_never_happened_needs_orders_in_proportion() -> None:
    rate = PairedRate(0, 0, 400)
    upper = rate.interval(0.0125).hi
    more = more_orders(
        orders=400, estimate=0, upper=upper, line=0.005, alpha=0.0125, rare=True
    )  # fmt: skip
    assert more is not None
    assert PairedRate(0, 0, 400 + more).interval(0.0125).hi == pytest.approx(0.005, rel=0.05)


def test_when_it_was_first_decided_stays_and_what_changed_since_is_said() -> None:
    good, bad = (
        _judged(simulated(1, blocks=120, slower=slower)) for slower in (0.7, 1.5)
    )  # fmt: skip
    first = latched({}, good, at=100.0)
    assert first[Requirement.SPEED] == Decided("faster", 100.0, good.pairs)
    assert latched(first, bad, at=200.0)[Requirement.SPEED] == first[Requirement.SPEED]
    found = {requirement: (then.word, now) for requirement, then, now in changed(first, bad)}
    assert found[Requirement.SPEED] == ("faster", "slower")
    assert not list(changed(first, good))


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.3142, "31 %"),
        (0.0194, "1.9 %"),
        (0.02, "2 %"),
        (0.0005, "0.05 %"),
        (0, "0 %"),
        (1, "100 %"),
    ],
)
def test_a_percentage_has_as_many_digits_as_it_needs(share: float, text: str) -> None:
    assert percent(share) == text
    assert percent(-share) == text


def test_an_effect_in_words() -> None:
    assert speed_text(math.log(0.69), Interval(math.log(0.66), math.log(0.72))) == (
        "31 % faster (28–34 %)"
    )
    assert speed_text(0.0, Interval(-0.0305, 0.0198)) == "between 3 % faster and 2 % slower"
    assert speed_text(1.2, Interval(1.1, 1.3)) == "at least 3 times slower"
    assert speed_text(0.1, NOTHING_KNOWN) == "11 % slower, how surely is not known yet"
    assert rate_text(0.019, Interval(0.012, 0.027), "fails") == (
        "fails on 1.9 % more of the orders (1.2–2.7 %)"
    )


@pytest.mark.parametrize(
    ("number", "rounded"), [(0.2, 1), (7, 7), (99, 99), (1234, 1300), (10**6, 10**6)]
)
def test_an_estimate_is_rounded_up_to_two_digits(number: float, rounded: int) -> None:
    assert significant(number) == rounded
