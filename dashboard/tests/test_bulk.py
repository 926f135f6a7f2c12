"""Rows written in bulk are the rows that Django writes, on either database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.domain.decision import Decision
from dashboard.models import Discrepancy, Observation, Tally
from dashboard.models.bulk import update, upsert

pytestmark = pytest.mark.django_db

FIELDS = (
    "launch", "order", "version", "role", "state", "late", "build", "worker", "delivery",
    "placed_at", "queue_ms", "result", "error_type", "error_message",
)  # fmt: skip
KEY = ("order", "version")
AT = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=timezone(timedelta(hours=2)))

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
moments = st.floats(946684800, 7258118399).map(lambda at: datetime.fromtimestamp(at, UTC))
rows = st.tuples(
    st.uuids(),
    st.uuids(),
    st.sampled_from(["vnext", "vlatest"]),
    st.just("candidate"),
    st.sampled_from(["received", "handled"]),
    st.booleans(),
    texts.map(lambda text: text[:200]),
    st.just(""),
    st.integers(0, 2**31 - 1),
    st.none() | moments,
    st.none() | st.floats(0, 1e12),
    texts,
    st.just(""),
    texts,
)


def row(**changed: Any) -> list[Any]:
    """An observation's values."""
    plain = {
        "launch": UUID(int=1), "order": UUID(int=2), "version": "vnext", "role": "candidate",
        "state": "received", "late": False, "build": "", "worker": "", "delivery": 1,
        "placed_at": None, "queue_ms": None, "result": "", "error_type": "", "error_message": "",
    }  # fmt: skip
    return [(plain | changed)[name] for name in FIELDS]


def write(*written: Any, updated: tuple[str, ...] = ("state",)) -> None:
    upsert(Observation, FIELDS, written, key=KEY, updated=updated)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(rows, max_size=8, unique_by=lambda one: (one[1], one[2])))
def test_what_is_read_is_what_was_written(written: list[tuple[Any, ...]]) -> None:
    with transaction.atomic():
        write(*written)
        assert sorted(Observation.objects.values_list(*FIELDS), key=str) == sorted(written, key=str)
        Observation.objects.all().delete()


def test_more_rows_than_one_document_holds_are_all_written() -> None:
    write(*(row(order=uuid4()) for _ in range(1201)))
    assert Observation.objects.count() == 1201


def test_no_rows_are_no_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        write()
        update(Tally, ("orders",), [])


def test_of_a_row_that_is_stored_the_updated_fields_alone_are_written() -> None:
    write(row(state="received", build="one"))
    write(row(state="handled", build="two", placed_at=AT), row(order=UUID(int=3)))
    stored = Observation.objects.get(order=UUID(int=2))
    assert (stored.state, stored.build, stored.placed_at) == ("handled", "one", None)
    write(row(state="failed", build="two", placed_at=AT), updated=("build", "placed_at"))
    stored.refresh_from_db()
    assert (stored.state, stored.build, stored.placed_at) == ("handled", "two", AT)


def test_a_moment_is_found_by_a_filter_as_django_writes_it() -> None:
    write(row(placed_at=AT))
    assert Observation.objects.filter(placed_at=AT, launch=UUID(int=1)).exists()
    assert Observation.objects.filter(placed_at__lt=AT + timedelta(microseconds=1)).exists()


def test_an_update_writes_its_fields_of_its_rows_alone() -> None:
    one, other = (
        Tally.objects.create(launch=uuid4(), version="vnext", role="candidate", build="a")
        for _ in range(2)
    )
    update(Tally, ("orders", "matrix", "newest_at"), [(7, {"agree": 7, "é": None}, AT, one.pk)])
    one.refresh_from_db()
    other.refresh_from_db()
    assert (one.orders, one.matrix, one.newest_at, one.build) == (
        7, {"agree": 7, "é": None}, AT, "a",
    )  # fmt: skip
    assert (other.orders, other.matrix, other.newest_at) == (0, {}, None)


def test_a_choice_is_stored_as_its_value() -> None:
    found = Discrepancy.objects.create(
        launch=uuid4(), version="vnext", kind="value", path="a", first_seen_at=AT, last_seen_at=AT
    )
    update(Discrepancy, ("state",), [(Decision.BY_DESIGN, found.pk)])
    assert Discrepancy.objects.filter(state="by_design").count() == 1


@pytest.mark.parametrize("unfit", [{"delivery": 2**70}, {"version": None}], ids=str)
def test_a_value_that_does_not_fit_is_refused_and_nothing_is_written(unfit: Any) -> None:
    with pytest.raises((DatabaseError, OverflowError)), transaction.atomic():
        write(row(order=UUID(int=9)), row(**unfit))
    assert not Observation.objects.exists()
