"""The state of a launch: what an order adds to it, and that no split into batches changes it."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Collection

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.verdict.blocks import BlockSums, Timing, sums_of
from dashboard.verdict.classes import MOST_CLASSES, MOST_IDS, Differences, class_of, weights
from dashboard.verdict.evidence import MOST_BLOCKS, EvidenceTotals, Outcomes, Tally
from dashboard.verdict.paired_order import OrderStatus, PairedOrder, Result
from dashboard.verdict.quantiles import slow_in, threshold_of, times_of
from dashboard.verdict.rates import MOST_FIELDS, BoundedRate, PairedRate, RobustRate
from dashboard.verdict.tests.paired_orders import (
    FAILED,
    MISSING,
    OK_10,
    TIMING,
    log_ratio,
    order,
    orders,
    simulated,
)
from dashboard.verdict.thresholds import LaunchHealth, Requirements
from dashboard.verdict.verdict import Verdict, verdict

_END = 100.0
#: Base blocks are tested one by one, or joined to longer ones.
_TIMINGS = pytest.mark.parametrize(
    "timing", [TIMING, dataclasses.replace(TIMING, longest_s=6.0)], ids=["each", "joined"]
)


def _tally(
    given_orders: list[PairedOrder], *, close: float | None = _END, timing: Timing = TIMING
) -> Tally:
    tally = Tally(timing)
    for one in given_orders:
        tally.add_all([one])
    if close is not None:
        tally.close(close)
    return tally


def _split(data: st.DataObject, launch: list[PairedOrder]) -> list[list[PairedOrder]]:
    """The orders in any order, in up to five batches."""
    batches: list[list[PairedOrder]] = [[] for _ in range(data.draw(st.integers(1, 5)))]
    for one in data.draw(st.permutations(launch)):
        data.draw(st.sampled_from(batches)).append(one)
    return batches


def _verdict(tally: Tally) -> Verdict:
    return verdict(
        tally.evidence(), Requirements(), LaunchHealth(behind_s=0), timing=tally.timing, bench=None
    )


@_TIMINGS
@settings(deadline=None)
@given(st.data(), st.lists(orders(), max_size=60))
def test_any_split_into_batches_in_any_order_gives_the_same_tally(
    timing: Timing, data: st.DataObject, launch: list[PairedOrder]
) -> None:
    whole = _tally(sorted(launch, key=lambda one: one.placed_at), timing=timing)
    tally = Tally(timing)
    for batch in _split(data, launch):
        assert tally.add_all(batch) == len(batch)
    tally.close(_END)
    assert tally == whole
    assert _verdict(tally) == _verdict(whole)


@_TIMINGS
@settings(deadline=None)
@given(st.lists(orders(), max_size=50), st.lists(st.floats(0, 40), max_size=5))
def test_when_blocks_are_closed_makes_no_difference_to_what_they_amount_to(
    timing: Timing, launch: list[PairedOrder], closings: list[float]
) -> None:
    launch = sorted(launch, key=lambda one: one.placed_at)
    tally = Tally(timing)
    for one in launch:
        for closing in (time for time in closings if time <= one.placed_at):
            tally.close(closing)
        tally.add_all([one])
    tally.close(_END)
    assert tally == _tally(launch, timing=timing)


@_TIMINGS
@settings(deadline=None)
@given(st.lists(orders(), max_size=40), st.floats(0, 40))
def test_blocks_and_evidence_are_the_same_after_a_stay_in_the_database(
    timing: Timing, launch: list[PairedOrder], close: float
) -> None:
    tally = _tally(launch, close=close, timing=timing)
    settled = EvidenceTotals.from_json(json.loads(json.dumps(tally.settled.to_json())))
    blocks = {
        number: BlockSums.from_json(json.loads(json.dumps(sums.to_json())))
        for number, sums in tally.blocks.items()
    }
    assert dataclasses.replace(tally, settled=settled, blocks=blocks) == tally


@_TIMINGS
@settings(deadline=None)
@given(st.lists(orders(), max_size=40))
def test_closed_blocks_count_alike_whether_they_have_settled_or_not(
    timing: Timing, launch: list[PairedOrder]
) -> None:
    patient = Tally(dataclasses.replace(timing, kept_blocks=1000))
    for one in launch:
        patient.add_all([one])
    patient.close(_END)
    assert patient.settled.empty
    assert patient.evidence() == _tally(launch, timing=timing).settled


def test_a_block_closes_when_its_last_order_has_run_out_of_time() -> None:
    tally = _tally([order(0.5)], close=2.9)
    assert tally.evidence() == EvidenceTotals()
    tally.close(3.0)
    assert tally.evidence().warm_up.orders == 1


def test_time_does_not_run_backwards() -> None:
    tally = _tally([order(0.5)], close=50)
    tally.close(0)
    assert tally == _tally([order(0.5)], close=50)


def test_what_comes_after_its_block_has_settled_is_lost_and_counted() -> None:
    tally = _tally([order(float(i)) for i in range(10)], close=11)
    before = tally.settled.to_json()
    assert not tally.add_all([order(0.5)])
    assert tally.add_all([order(1.0), order(1.5)]) == 0
    assert (tally.lost, tally.evidence().lost) == (3, 3)
    assert tally.evidence().unknown_share == 3 / (3 + 9)
    assert tally.settled.to_json() == before
    assert tally.add_all([order(9.5)])


@pytest.mark.parametrize("ms", [math.nan, math.inf, -1.0, None])
def test_a_time_that_is_none_is_refused_and_counted(ms: float | None) -> None:
    tally = Tally(TIMING)
    assert not tally.add_all([order(1, candidate=Result(OrderStatus.OK, ms))])
    assert not tally.add_all([order(1, baseline=Result(OrderStatus.OK, ms))])
    assert not tally.add_all([order(math.nan)])
    assert (tally.bad, tally.blocks) == (3, {})


def test_however_wrong_the_clocks_are_the_blocks_are_bounded() -> None:
    tally = Tally(TIMING)
    for number in range(MOST_BLOCKS + 5):
        tally.add_all([order(float(number))])
    assert (len(tally.blocks), tally.lost) == (MOST_BLOCKS, 5)


@pytest.mark.parametrize(
    ("control", "candidate", "expected"),
    [
        (OK_10, OK_10, {"timed": 1, "pairs": 1, "handled": 1, "answered": 1}),
        (
            OK_10,
            Result(OrderStatus.OK, 5.0),
            {"timed": 1, "pairs": 1, "handled": 1, "answered": 1, "faster": 1},
        ),
        (OK_10, FAILED, {"timed": 1, "answered": 1, "errors_pos": 1, "candidate_failed": 1}),
        (FAILED, OK_10, {"answered": 1, "errors_neg": 1, "control_failed": 1}),
        (FAILED, FAILED, {"answered": 1, "control_failed": 1, "candidate_failed": 1}),
        (
            OK_10,
            Result(OrderStatus.TIMEOUT),
            {
                "timed": 1,
                "pairs": 1,
                "slower": 1,
                "errors_pos": 1,
                "slow_pos": 1,
                "candidate_failed": 1,
            },
        ),
        (OK_10, MISSING, {"timed": 1, "errors_pos": 1, "missing_pos": 1}),
        (MISSING, FAILED, {"missing_neg": 1, "candidate_failed": 1}),
        (MISSING, MISSING, {"missing_both": 1}),
    ],
)
def test_what_an_order_counts_for(
    control: Result, candidate: Result, expected: dict[str, int]
) -> None:
    one = order(1, control=control, candidate=candidate, baseline=None)
    sums = sums_of([one], 30_000, 12_500_000)
    found = {name: getattr(sums, name) for name in BlockSums.__dataclass_fields__}
    for name in (
        "orders",
        "changes",
        "log_ratio",
        "timed_ns",
        "control_ns",
        "candidate_ns",
        "slow_of",
    ):
        found.pop(name)
    assert {name: number for name, number in found.items() if number} == expected


def test_a_log_ratio_is_clipped_and_a_timeout_is_as_slow_as_the_deadline() -> None:
    assert log_ratio(OK_10, Result(OrderStatus.OK, 1e6), 30_000) == math.log(4)
    assert log_ratio(
        Result(OrderStatus.TIMEOUT), Result(OrderStatus.OK, 20_000.0), 30_000
    ) == pytest.approx(math.log(2 / 3))
    assert log_ratio(OK_10, FAILED, 30_000) is None


def test_outcomes_are_counted_from_the_first_order_on_and_the_newest_apart() -> None:
    dead = [order(i / 10, control=FAILED, baseline=None if i % 2 else MISSING) for i in range(600)]
    well = [order(60 + i / 10, baseline=FAILED) for i in range(450)]
    evidence = _tally([*dead, *well], close=200).evidence()
    assert evidence.outcomes == Outcomes(
        orders=1050, control_failed=600, baseline_sent=750, baseline_failed=450
    )
    assert evidence.outcomes.baseline_missing == 300
    assert evidence.newest == Outcomes(orders=250, baseline_sent=250, baseline_failed=250)
    alone = _tally(dead, close=200).evidence()
    assert (alone.warm_up.timed, alone.outcomes.control_failed, alone.outcomes.orders) == (
        0, 600, 600,
    )  # fmt: skip


def test_nothing_is_tested_while_it_warms_up() -> None:
    first = [order(i / 4) for i in range(8)]
    evidence = _tally(first).evidence()
    assert (evidence.pairs, evidence.warm_up.timed, evidence.threshold) == (0, 8, None)
    evidence = _tally([*first, order(2.1)]).evidence()
    assert (evidence.pairs, evidence.threshold) == (1, 12_500_000)


def test_the_warm_up_lasts_until_there_are_orders_enough_and_begins_with_the_first_answer() -> None:
    silent = [order(i / 4, candidate=MISSING) for i in range(40)]
    assert _tally(silent).evidence().warm_up.first is None
    few = [order(10.0 + i) for i in range(6)]
    evidence = _tally([*silent, *few]).evidence()
    assert evidence.warm_up.first == 10
    assert (evidence.warm_up.timed, evidence.pairs) == (42, 4)
    few_alone = _tally(few).evidence()
    assert (few_alone.warm_up.timed, few_alone.pairs) == (5, 1)
    assert evidence.incomplete == 0


@pytest.mark.parametrize(
    ("a_second", "block_s", "why"),
    [
        (100, 10, "100 orders a second"),
        (2.5, 10, "2.5 orders a second"),
        (1, 30, "1 order a second"),
        (0.2, 130, "12 orders a minute"),
        (5 / 60, 300, "5 orders a minute"),
        (1 / 60, 300, "1 order a minute"),
    ],
)
def test_a_block_is_as_long_as_25_orders_take_at_the_rate_of_the_warm_up(
    a_second: float, block_s: float, why: str
) -> None:
    timing = Timing(longest_s=300)
    tally = Tally(timing)
    begun = 1_800_000_000
    tally.add_all(
        [order(begun + number / a_second) for number in range(round(200 + 70 * a_second))]
    )
    ends = begun + 200 / a_second + 70
    tally.close(ends + 1000)
    evidence = tally.evidence()
    assert evidence.block_s(timing) == block_s
    assert evidence.why_block_s(timing) == why


def test_a_block_keeps_its_length_whatever_comes_later_and_counts_as_one() -> None:
    timing = Timing(longest_s=300)
    tally = Tally(timing)
    slow = [order(number * 12.0) for number in range(600)]
    fast = [order(7200 + number / 10) for number in range(3000)]
    for one in (*slow, *fast):
        tally.add_all([one])
        tally.close(one.placed_at)
    assert len(tally.blocks) <= 300 / 10 + 6 + 32 / 10 + 2
    tally.close(10_000)
    evidence = tally.evidence()
    assert evidence.block_s(timing) == 300
    assert evidence.seen == 3600
    # From 2,400 s on in blocks of 300 s.
    assert (evidence.warm_up.orders, evidence.effect.k) == (200, (7200 - 2400) // 300 + 1)


def test_a_length_that_was_asked_for_is_kept_at_any_rate() -> None:
    launch = [order(number * 12.0) for number in range(300)]
    tally = Tally(Timing())
    tally.add_all(launch)
    tally.close(10_000)
    evidence = tally.evidence()
    assert (evidence.block_s(tally.timing), evidence.why_block_s(tally.timing)) == (10, "as set")


_NS = st.integers(100_000, 30_000_000_000)


@settings(deadline=None)
@given(st.lists(st.tuples(_NS, _NS), min_size=1, max_size=40), st.data())
def test_slow_orders_are_counted_exactly_before_the_threshold_is_known(
    times: list[tuple[int, int]], data: st.DataObject
) -> None:
    threshold = data.draw(
        st.sampled_from([ns + by for pair in times for ns in pair for by in (0, -1)])
    )
    controls, candidates = zip(*times, strict=True)
    found = slow_in(times_of(controls, candidates, [threshold]), threshold)
    slow = [(control > threshold, candidate > threshold) for control, candidate in times]
    assert found == (slow.count((False, True)), slow.count((True, False)), len(times))


def test_the_threshold_is_exactly_a_quarter_over_the_p95_of_the_control() -> None:
    times = {1_000_000 + number: 1 for number in range(100)}
    assert threshold_of(times, 10**9) == 1_000_094 * 5 // 4
    assert threshold_of({7: 90, 8: 5, 9: 5}, 10**9) == 10
    with pytest.raises(ValueError, match="no times"):
        threshold_of({}, 10**9)


def test_an_order_that_timed_out_is_slow_however_slow_the_control_is() -> None:
    slow = Result(OrderStatus.OK, 1900.0)
    launch = [order(i / 4, control=slow, candidate=slow) for i in range(8)]
    tally = _tally([*launch, order(2.1, control=slow, candidate=Result(OrderStatus.TIMEOUT))])
    assert tally.evidence().slow.counts == PairedRate(pos=1)


@pytest.mark.parametrize("slower", [1.0025, 1.249])
def test_no_order_of_constant_times_is_slow_below_the_least_effect(slower: float) -> None:
    """At 40.45 ms the edge of a bucket of a histogram lay in between."""
    control = Result(OrderStatus.OK, 40.45)
    candidate = Result(OrderStatus.OK, 40.45 * slower)
    launch = [order(i / 4, control=control, candidate=candidate) for i in range(40)]
    assert _tally(launch).evidence().slow.counts.pos == 0
    beyond = [
        msgspec.structs.replace(one, candidate=Result(OrderStatus.OK, 50.5626)) for one in launch
    ]
    found = _tally(beyond).evidence()
    assert (found.threshold, found.slow.counts.pos) == (50_562_500, found.pairs)


@settings(deadline=None, max_examples=30)
@given(st.data(), st.lists(orders(seconds=4), min_size=1, max_size=60))
def test_with_more_times_than_a_block_keeps_any_split_still_gives_the_same(
    data: st.DataObject, launch: list[PairedOrder]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dashboard.verdict.blocks.MOST_TIMES", 5)
        tally = Tally(TIMING)
        for batch in _split(data, launch):
            tally.add_all(batch)
        assert all(len(block.times) <= 5 for block in tally.blocks.values())
        assert tally == _tally(launch, close=None)
        tally.close(_END)
        assert tally == _tally(launch)


_CLASSES = st.tuples(st.frozensets(st.integers(1, 4)), st.frozensets(st.integers(1, 4)))
_LAUNCHES = st.lists(st.lists(_CLASSES, min_size=1, max_size=8), min_size=1, max_size=40)
_Launch = list[list[tuple[frozenset[int], frozenset[int]]]]


def _recounted(launch: _Launch, accepted: Collection[int]) -> RobustRate:
    """What a reader of every order would count."""
    rate = RobustRate()
    for block in launch:
        sides = [[any(id_ not in accepted for id_ in side) for side in one] for one in block]
        pos, neg = sides.count([True, False]), sides.count([False, True])
        rate.add(pos, neg, len(block) - pos - neg)
    return rate


def _kept(launch: _Launch) -> Differences:
    kept = Differences()
    for block in launch:
        names = [class_of(*one) for one in block if any(one)]
        kept.add(len(block), {name: names.count(name) for name in names})
    return kept


@settings(deadline=None)
@given(st.data(), _LAUNCHES)
def test_a_review_takes_effect_as_if_it_had_been_there_from_the_first_order_on(
    data: st.DataObject, launch: _Launch
) -> None:
    kinds = sorted({class_of(*one) for block in launch for one in block})
    told = data.draw(st.permutations(kinds))[:MOST_CLASSES]
    launch = [[one for one in block if class_of(*one) in told] for block in launch]
    accepted = data.draw(st.frozensets(st.integers(1, 4)))
    rate = _kept(launch).rate(accepted)
    assert rate == BoundedRate.exactly(_recounted(launch, accepted))


@settings(deadline=None, max_examples=50)
@given(_LAUNCHES, st.frozensets(st.integers(1, 4)), st.integers(0, 4))
def test_with_more_classes_than_are_told_apart_a_recount_lies_between_the_least_and_the_most(
    launch: _Launch, accepted: frozenset[int], told_apart: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dashboard.verdict.classes.MOST_CLASSES", told_apart)
        kept = _kept(launch)
    recounted = _recounted(launch, accepted)
    found = kept.rate(accepted)
    for least, true, most in zip(
        found.least.blocks.levels, recounted.blocks.levels, found.most.blocks.levels, strict=True
    ):
        assert least.blocks.y <= true.blocks.y <= most.blocks.y
    assert kept.rate() == BoundedRate.exactly(_recounted(launch, ()))
    assert Differences.from_json(json.loads(json.dumps(kept.to_json()))) == kept


@pytest.mark.parametrize(
    ("name", "nothing_accepted", "one_accepted", "many_accepted"),
    [
        ("1|", (1, 1), (0, 0), (0, 0)),
        ("1,2|1", (0, 0), (1, 1), (1, 1)),
        ("*|", (1, 1), (0, 1), (0, 1)),
        ("|*", (-1, -1), (-1, 0), (-1, 0)),
        ("*|*", (0, 0), (-1, 1), (-1, 1)),
        ("0|", (1, 1), (1, 1), (0, 1)),
        ("0|0", (0, 0), (0, 0), (-1, 1)),
        ("0|1", (0, 0), (1, 1), (0, 1)),
    ],
)
def test_what_is_not_told_apart_weighs_what_it_could(
    name: str,
    nothing_accepted: tuple[int, int],
    one_accepted: tuple[int, int],
    many_accepted: tuple[int, int],
) -> None:
    assert weights(name, ()) == nothing_accepted
    assert weights(name, (1,)) == one_accepted
    assert weights(name, (1, *range(100, 100 + MOST_IDS))) == many_accepted


def test_classes_that_are_not_told_apart_count_or_not_once_something_is_accepted() -> None:
    kept = Differences()
    kept.add(1000, {class_of({number}, ()): 1 for number in range(1, 101)})
    assert kept.rate().unknown == 0
    assert kept.rate().most.counts.pos == 100
    found = kept.rate(range(1, 101))
    assert (found.least.counts.pos, found.most.counts.pos) == (0, 100 - MOST_CLASSES)
    assert found.unknown == 100 - MOST_CLASSES


def test_a_discrepancy_is_counted_by_itself_whatever_else_an_order_shows() -> None:
    both, alone = frozenset({1, 2, *range(10, 30)}), frozenset({1})
    launch = [order(4 + i / 10, shown=both if i % 2 else alone, noise=alone) for i in range(60)]
    evidence = _tally([*(order(i / 4) for i in range(16)), *launch]).evidence()
    assert (evidence.only_shown["2"], evidence.only_noise["2"]) == (30, 0)
    assert "1" not in evidence.only_shown
    assert evidence.beyond_noise() == [2, *range(10, 30)]
    assert evidence.beyond_noise(range(10, 40)) == [2]


def test_discrepancies_are_kept_up_to_a_number_each_with_both_its_sides() -> None:
    rng = random.Random(5)
    launch = [
        order(
            rng.uniform(0, 12),
            shown=frozenset(rng.sample(range(1, 400), 5)),
            noise=frozenset(rng.sample(range(1, 400), 5)),
        )
        for _ in range(1500)
    ]
    tally = _tally(launch[700:], close=None)
    tally.add_all(launch[:700])
    tally.close(_END)
    assert tally == _tally(launch)
    evidence = tally.evidence()
    assert len(evidence.only_shown) == MOST_FIELDS
    assert evidence.only_shown.keys() == evidence.only_noise.keys()


def test_more_signatures_than_a_block_keeps_are_still_counted() -> None:
    rng = random.Random(2)
    news = [
        order(1, shown=frozenset(rng.sample(range(1, 40), 4)), noise=frozenset({50}))
        for _ in range(400)
    ] + [order(1, shown=frozenset(rng.sample(range(1, 40), 4))) for _ in range(400)]
    tally = _tally(news[300:], close=None)
    tally.add_all(news[:300])
    whole = _tally(rng.sample(news, len(news)), close=None)
    assert tally == whole
    assert sum(whole.blocks[1].signatures.values()) == 800
    assert len(whole.blocks[1].classes) <= 130


def test_the_state_of_a_long_launch_is_no_larger_than_that_of_a_short_one() -> None:
    def size(blocks: int) -> int:
        tally = simulated(1, blocks=blocks, each=4, shows=0.1)
        blocks_kept = [one.to_json() for one in tally.blocks.values()]
        return len(json.dumps([tally.settled.to_json(), blocks_kept]))

    short, long = size(300), size(1500)
    assert long < 1.3 * short
