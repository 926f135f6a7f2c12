"""What was not seen is counted, whatever comes twice or late."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dashboard.fold import records
from dashboard.fold.records import SeenNumbers


@given(st.lists(st.lists(st.integers(1, 60), max_size=20), max_size=6))
def test_the_unseen_are_those_below_the_highest_that_never_came(batches: list[list[int]]) -> None:
    seen = SeenNumbers()
    for batch in batches:
        seen.add(batch)
    came = {number for batch in batches for number in batch}
    assert seen.unseen == max(came, default=0) - len(came)
    covered = [one for first, last in seen.ranges for one in range(first, last + 1)]
    assert covered == sorted(came)


def test_the_oldest_gaps_become_final_where_there_are_too_many() -> None:
    seen = SeenNumbers()
    seen.add(range(1, 2 * records.MAX_RANGES + 20, 2))
    assert len(seen.ranges) == records.MAX_RANGES
    assert seen.unseen == records.MAX_RANGES + 9
    assert seen.lost == 10
