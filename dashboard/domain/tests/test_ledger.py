"""A batch of news in, states, counts and pairs out: whatever the order and the repeats."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from dashboard.domain.ledger import Counts, Key, Ledger, Pair, Standing
from dashboard.domain.outcome import Change, State

ORDER = UUID(int=1)
CONTROL, CANDIDATE, BASELINE = "vlatest", "vnext", "vlatest-b"
OTHERS = (CANDIDATE, BASELINE)


def handled(milliseconds: float) -> Standing:
    return Standing(State.HANDLED, milliseconds)


def test_both_ends_in_one_batch_make_one_pair() -> None:
    ledger = Ledger({})
    ledger.take(ORDER, CONTROL, handled(200))
    ledger.take(ORDER, CANDIDATE, handled(150))
    assert list(ledger.pairs(CONTROL, OTHERS)) == [
        Pair(ORDER, CANDIDATE, handled(200), handled(150), None)
    ]
    assert ledger.counts[CANDIDATE] == Counts(orders=1, handled=1, pairs=1)


def test_the_second_end_pairs_with_one_that_is_stored() -> None:
    ledger = Ledger({(ORDER, CONTROL): handled(200)})
    ledger.take(ORDER, CANDIDATE, Standing(State.FAILED, 5))
    (pair,) = ledger.pairs(CONTROL, OTHERS)
    assert pair.version.state is State.FAILED
    assert pair.slower is None


def test_a_repeat_keeps_the_first_answer_and_is_counted() -> None:
    ledger = Ledger({(ORDER, CONTROL): handled(200), (ORDER, CANDIDATE): handled(150)})
    ledger.take(ORDER, CANDIDATE, handled(9))
    assert list(ledger.pairs(CONTROL, OTHERS)) == []
    assert ledger.counts[CANDIDATE] == Counts(repeats=1)
    assert ledger.after[ORDER, CANDIDATE] == handled(150)


def test_an_event_that_is_delivered_again_is_no_repeat() -> None:
    first = Ledger({})
    first.take(ORDER, CANDIDATE, handled(150), event_id="a")
    first.take(ORDER, CANDIDATE, handled(9), event_id="b")
    first.take(ORDER, CANDIDATE, handled(150), event_id="a")
    assert first.counts[CANDIDATE] == Counts(orders=1, handled=1, repeats=1)
    again = Ledger(first.after, first.event_ids)
    for event_id in "abab":
        assert again.take(ORDER, CANDIDATE, handled(9), event_id=event_id) is Change.STALE
    assert again.counts[CANDIDATE] == Counts()
    again.take(ORDER, CANDIDATE, handled(9), event_id="c")
    assert again.counts[CANDIDATE] == Counts(repeats=1)


def test_of_one_order_a_bounded_number_of_events_is_remembered() -> None:
    ledger = Ledger({})
    for number in range(1000):
        ledger.take(ORDER, CANDIDATE, handled(9), event_id=str(number))
    assert ledger.counts[CANDIDATE].repeats == 999
    assert ledger.event_ids[ORDER, CANDIDATE] == ("0", *map(str, range(991, 1000)))


def test_a_late_answer_mends_a_missing_pair_and_counts_once() -> None:
    missing = Ledger({(ORDER, CONTROL): handled(200)})
    missing.take(ORDER, CANDIDATE, Standing(State.MISSING))
    assert [pair.version.state for pair in missing.pairs(CONTROL, OTHERS)] == [State.MISSING]
    assert missing.counts[CANDIDATE] == Counts(orders=1, missing=1)
    late = Ledger(missing.after)
    late.take(ORDER, CANDIDATE, handled(900))
    (pair,) = late.pairs(CONTROL, OTHERS)
    assert pair.version.state is State.HANDLED
    assert pair.was == (State.HANDLED, State.MISSING)
    assert late.counts[CANDIDATE] == Counts(handled=1, missing=-1, late=1, pairs=1)


def test_slower_is_by_the_handling_time() -> None:
    assert Pair(ORDER, CANDIDATE, handled(100), handled(101), None).slower is True
    assert Pair(ORDER, CANDIDATE, handled(100), handled(100), None).slower is False


_news = st.lists(
    st.tuples(
        st.integers(1, 4).map(lambda number: UUID(int=number)),
        st.sampled_from((CONTROL, *OTHERS)),
        st.sampled_from(list(State)),
    ),
    max_size=60,
)


@given(_news, st.lists(st.integers(0, 60), max_size=5))
def test_any_split_into_batches_gives_the_same_counts(
    news: list[tuple[UUID, str, State]], cuts: list[int]
) -> None:
    def run(bounds: list[int]) -> tuple[dict[Key, Standing], dict[str, Counter[str]]]:
        stored: dict[Key, Standing] = {}
        counts: dict[str, Counter[str]] = {name: Counter() for name in (CONTROL, *OTHERS)}
        for start, end in pairwise(bounds):
            ledger = Ledger(stored)
            for order, version, state in news[start:end]:
                ledger.take(order, version, Standing(state, 1.0))
            list(ledger.pairs(CONTROL, OTHERS))
            stored = ledger.after
            for version, added in ledger.counts.items():
                counts[version].update(asdict(added))
        return stored, counts

    whole_stored, whole = run([0, len(news)])
    split_stored, split = run([0, *sorted(cuts), len(news)])
    assert whole_stored == split_stored
    assert {name: +counter for name, counter in whole.items()} == {
        name: +counter for name, counter in split.items()
    }


_events = st.lists(
    st.tuples(
        st.integers(1, 3).map(lambda number: UUID(int=number)),
        st.sampled_from((CONTROL, CANDIDATE)),
        st.sampled_from([State.RECEIVED, State.HANDLED, State.FAILED]),
        st.integers(1, 6).map(str),
    ),
    max_size=40,
    unique_by=lambda event: event[3],
)


@given(_events, st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=6))
def test_batches_that_are_delivered_again_count_nothing_twice(
    events: list[tuple[UUID, str, State, str]], again: list[tuple[int, int]]
) -> None:
    def run(batches: list[list[tuple[UUID, str, State, str]]]) -> dict[str, Counter[str]]:
        stored, known = dict[Key, Standing](), dict[Key, tuple[str, ...]]()
        counts: dict[str, Counter[str]] = {name: Counter() for name in (CONTROL, CANDIDATE)}
        for batch in batches:
            ledger = Ledger(stored, known)
            for order, version, state, event_id in batch:
                ledger.take(order, version, Standing(state, 1.0), event_id=event_id)
            list(ledger.pairs(CONTROL, (CANDIDATE,)))
            stored, known = ledger.after, ledger.event_ids
            for version, added in ledger.counts.items():
                counts[version].update(asdict(added))
        return {name: +counter for name, counter in counts.items()}

    assert run([events, *(events[start:end] for start, end in again), events]) == run([events])


@given(_news)
def test_counts_are_those_of_the_states_at_the_end(news: list[tuple[UUID, str, State]]) -> None:
    ledger = Ledger({})
    for order, version, state in news:
        ledger.take(order, version, Standing(state, 1.0))
    list(ledger.pairs(CONTROL, OTHERS))
    for version in (CONTROL, *OTHERS):
        states = Counter(
            standing.state for (_, name), standing in ledger.after.items() if name == version
        )
        counts = ledger.counts[version]
        assert counts.orders == sum(states.values())
        assert counts.handled == states[State.HANDLED]
        assert counts.failed == states[State.FAILED]
        assert counts.missing == states[State.MISSING]
