"""Reports and silences in, observations, counts and pairs out: in any order, and come again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count, pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from dashboard.comparison.outcome import State
from dashboard.fold.observations import Observations
from dashboard.fold.records import Key, NextIds, ObservationRecord, OrderRecord, Report

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CONTROL, CANDIDATE, BASELINE = "vlatest", "vnext", "vlatest-b"
OTHERS = (CANDIDATE, BASELINE)
ORDERS = {
    name: OrderRecord(
        id=int(name), order_id=name, launch=UUID(int=1), arrived_at=NOW, sent_at=NOW, placed_at=NOW
    )
    for name in "1234"
}
_event_ids = map(str, count())


def report(
    version: str,
    state: State = State.HANDLED,
    ms: float = 1.0,
    *,
    order: str = "1",
    event_id: str = "",
) -> Report:
    has_ended = state is not State.RECEIVED
    return Report(
        event_id=event_id or next(_event_ids),
        order_id=order,
        version=version,
        state=state,
        received_at=NOW,
        finished_at=NOW if has_ended else None,
        handling_ms=ms if has_ended else None,
    )


def seen(*reports: Report, before: Mapping[Key, ObservationRecord] | None = None) -> Observations:
    """What reports make of what was stored before."""
    observations = Observations(ORDERS, before or {}, NextIds())
    observations.take(reports)
    return observations


def counted(observations: Observations, version: str) -> dict[str, int]:
    return {name: number for name, number in observations.counts[version].items() if number}


def test_both_ends_in_one_batch_make_one_pair() -> None:
    found = seen(report(CONTROL, ms=200), report(CANDIDATE, ms=150))
    (pair,) = found.pairs(CONTROL, OTHERS)
    assert (pair.control.version, pair.version.version, pair.was) == (CONTROL, CANDIDATE, None)
    assert counted(found, CANDIDATE) == {"orders": 1, "handled": 1, "pairs": 1}


def test_the_second_end_pairs_with_one_that_is_stored() -> None:
    stored = seen(report(CONTROL, ms=200)).after
    (pair,) = seen(report(CANDIDATE, State.FAILED), before=stored).pairs(CONTROL, OTHERS)
    assert pair.version.state is State.FAILED
    assert pair.slower is None


def test_a_repeat_keeps_the_first_answer_and_is_counted() -> None:
    stored = seen(report(CONTROL, ms=200), report(CANDIDATE, ms=150)).after
    found = seen(report(CANDIDATE, ms=9), before=stored)
    assert found.pairs(CONTROL, OTHERS) == []
    assert counted(found, CANDIDATE) == {"repeats": 1}
    kept = found.after["1", CANDIDATE].report
    assert kept is not None
    assert kept.handling_ms == 150


def test_an_event_that_is_delivered_again_is_no_repeat() -> None:
    first = seen(*(report(CANDIDATE, event_id=one) for one in "aba"))
    assert counted(first, CANDIDATE) == {"orders": 1, "handled": 1, "repeats": 1}
    again = seen(*(report(CANDIDATE, event_id=one) for one in "abab"), before=first.after)
    assert counted(again, CANDIDATE) == {}
    assert list(again.changed()) == []
    again.take([report(CANDIDATE, event_id="c")])
    assert counted(again, CANDIDATE) == {"repeats": 1}


def test_of_one_order_a_bounded_number_of_events_is_remembered() -> None:
    found = seen(*(report(CANDIDATE, event_id=str(number)) for number in range(1000)))
    assert counted(found, CANDIDATE)["repeats"] == 999
    assert found.after["1", CANDIDATE].event_ids == ("0", *map(str, range(991, 1000)))


def test_a_late_answer_mends_a_missing_pair_and_counts_once() -> None:
    missing = seen(before=seen(report(CONTROL)).after)
    assert missing.mark_missing(ORDERS["1"], CANDIDATE)
    assert not missing.mark_missing(ORDERS["1"], CANDIDATE)
    assert [pair.version.state for pair in missing.pairs(CONTROL, OTHERS)] == [State.MISSING]
    assert counted(missing, CANDIDATE) == {"orders": 1, "missing": 1}
    late = seen(report(CANDIDATE), before=missing.after)
    (pair,) = late.pairs(CONTROL, OTHERS)
    assert (pair.version.state, pair.version.late) == (State.HANDLED, True)
    assert pair.was == (State.HANDLED, State.MISSING)
    assert counted(late, CANDIDATE) == {"handled": 1, "missing": -1, "late": 1, "pairs": 1}


def test_slower_is_by_the_handling_time() -> None:
    for ms, slower in ((101, True), (100, False)):
        (pair,) = seen(report(CONTROL, ms=100), report(CANDIDATE, ms=ms)).pairs(CONTROL, OTHERS)
        assert pair.slower is slower


#: Order, version, state and the id of an event.
_News = tuple[str, str, State, str]


def _news(states: Iterable[State]) -> st.SearchStrategy[list[_News]]:
    one = st.tuples(
        st.sampled_from(list(ORDERS)),
        st.sampled_from((CONTROL, *OTHERS)),
        st.sampled_from(list(states)),
        st.integers(1, 60).map(str),
    )
    return st.lists(one, max_size=60, unique_by=lambda news: news[3])


def _run(
    batches: Sequence[Sequence[_News]],
) -> tuple[dict[Key, ObservationRecord], dict[str, dict[str, int]]]:
    """What is known after some batches, and what they count in all."""
    stored: dict[Key, ObservationRecord] = {}
    counts: dict[str, Counter[str]] = {name: Counter() for name in (CONTROL, *OTHERS)}
    ids = NextIds()
    for batch in batches:
        found = Observations(ORDERS, stored, ids)
        for order, version, state, event_id in batch:
            if state is State.MISSING:
                found.mark_missing(ORDERS[order], version)
            else:
                found.take([report(version, state, order=order, event_id=event_id)])
        found.pairs(CONTROL, OTHERS)
        stored = found.after
        for version, added in found.counts.items():
            counts[version].update(added)
    return stored, {name: dict(+counter) for name, counter in counts.items()}


@given(_news(State), st.lists(st.integers(0, 60), max_size=5))
def test_any_split_into_batches_gives_the_same_counts(news: list[_News], cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), len(news)]
    assert _run([news]) == _run([news[start:end] for start, end in pairwise(bounds)])


@given(
    _news([State.RECEIVED, State.HANDLED, State.FAILED]),
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=6),
)
def test_batches_that_are_delivered_again_count_nothing_twice(
    news: list[_News], again: list[tuple[int, int]]
) -> None:
    # Of one order and version so many events are remembered.
    news = news[:10]
    assert _run([news, *(news[start:end] for start, end in again), news]) == _run([news])


@given(_news(State))
def test_counts_are_those_of_the_states_at_the_end(news: list[_News]) -> None:
    stored, counts = _run([news])
    for version in (CONTROL, *OTHERS):
        states = Counter(one.state for (_, name), one in stored.items() if name == version)
        known = counts[version]
        assert known.get("orders", 0) == sum(states.values())
        assert known.get("handled", 0) == states[State.HANDLED]
        assert known.get("failed", 0) == states[State.FAILED]
        assert known.get("missing", 0) == states[State.MISSING]
