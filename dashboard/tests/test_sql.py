"""Rows written in bulk are the rows that Django writes, on either database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.comparison.outcome import Decision
from dashboard.database import atomic
from dashboard.models import (
    Discrepancy,
    Evidence,
    Observation,
    ObservedOrder,
    Participant,
    Rule,
    Signature,
)
from dashboard.models.sql import among, read, read_objects, update, upsert

pytestmark = pytest.mark.django_db

FIELDS = (
    "id", "order_id", "participant_id", "state", "late", "build", "worker", "delivery",
    "received_at", "queue_ms", "result", "error_type", "error_message", "event_ids", "signature",
    "members",
)  # fmt: skip
ORDER = (
    "id", "order_id", "launch", "number", "placed_at", "sent_at", "arrived_at", "body", "label",
    "size", "categories", "sample",
)  # fmt: skip
KEY = ("order_id", "participant_id")
AT = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=timezone(timedelta(hours=2)))

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
moments = st.floats(946684800, 7258118399).map(lambda at: datetime.fromtimestamp(at, UTC))
numbers = st.integers(1, 2**63 - 1)
rows = st.tuples(
    numbers,
    numbers,
    st.integers(1, 2**31 - 1),
    st.sampled_from(["received", "handled"]),
    st.booleans(),
    texts.map(lambda text: text[:200]),
    st.just(""),
    st.integers(0, 2**31 - 1),
    st.none() | moments,
    st.none() | st.floats(0, 1e12),
    st.binary(),
    st.just(""),
    texts,
    st.none() | texts,
    st.none() | numbers,
    texts,
)


def row(**changed: Any) -> list[Any]:
    """An observation's values."""
    plain = {
        "order_id": 2, "participant_id": 1, "state": "received", "late": False, "build": "",
        "worker": "", "delivery": 1, "received_at": None, "queue_ms": None, "result": b"",
        "error_type": "", "error_message": "", "event_ids": None, "signature": None,
        "members": "",
    }  # fmt: skip
    values = plain | changed
    return [{"id": values["order_id"], **values}[name] for name in FIELDS]


def write(*written: Any, updated: tuple[str, ...] = ("state",)) -> None:
    upsert(Observation, FIELDS, written, key=KEY, updated=updated)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(rows, max_size=8, unique_by=(lambda one: one[0], lambda one: one[1:3])))
def test_what_is_read_is_what_was_written(written: list[tuple[Any, ...]]) -> None:
    with atomic():
        write(*written)
        stored = [
            tuple(bytes(value) if isinstance(value, memoryview) else value for value in one)
            for one in Observation.objects.values_list(*FIELDS)
        ]
        assert sorted(stored) == sorted(written)
        Observation.objects.all().delete()


def test_an_order_is_read_as_it_was_written() -> None:
    order = ObservedOrder(
        id=7, order_id="Shop/é-1", launch=uuid4(), placed_at=AT, sent_at=AT, arrived_at=AT,
        body=b"\x00\xff", label="2 burgers", size=2, categories=["item:é"], sample=[],
    )  # fmt: skip
    written = [getattr(order, name) for name in ORDER]
    upsert(ObservedOrder, ORDER, [written], key=("id",), updated=("label",))
    (stored,) = ObservedOrder.objects.all()
    assert [getattr(stored, name) for name in ORDER[:7]] == written[:7]
    assert bytes(stored.body) == order.body
    assert [getattr(stored, name) for name in ORDER[8:]] == written[8:]


def test_more_rows_than_one_document_holds_are_all_written() -> None:
    write(*(row(order_id=number) for number in range(1, 1202)))
    assert Observation.objects.count() == 1201


def test_no_rows_are_no_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        write()
        update(Participant, ("orders",), [])


def test_of_a_row_that_is_stored_the_updated_fields_alone_are_written() -> None:
    write(row(state="received", build="one"))
    write(row(state="handled", build="two", received_at=AT), row(order_id=3))
    stored = Observation.objects.get(order=2)
    assert (stored.state, stored.build, stored.received_at) == ("handled", "one", None)
    write(row(state="failed", build="two", received_at=AT), updated=("build", "received_at"))
    stored.refresh_from_db()
    assert (stored.state, stored.build, stored.received_at) == ("handled", "two", AT)


def test_a_moment_is_found_by_a_filter_as_django_writes_it() -> None:
    write(row(received_at=AT))
    assert Observation.objects.filter(received_at=AT, order=2).exists()
    assert Observation.objects.filter(received_at__lt=AT + timedelta(microseconds=1)).exists()


def test_an_update_writes_its_fields_of_its_rows_alone() -> None:
    one, other = (
        Participant.objects.create(launch=uuid4(), version="vnext", role="candidate", build="a")
        for _ in range(2)
    )
    changed = (7, {"agree": 7, "é": None}, AT, one.pk)
    update(Participant, ("orders", "matrix", "newest_at"), [changed])
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


@pytest.mark.parametrize("unfit", [{"delivery": 2**70}, {"state": None}], ids=str)
def test_a_value_that_does_not_fit_is_refused_and_nothing_is_written(unfit: Any) -> None:
    with pytest.raises((DatabaseError, OverflowError)), atomic():
        write(row(order_id=9), row(**unfit))
    assert not Observation.objects.exists()


READ = ("order_id", "participant_id", "late", "received_at", "handling_ms", "result")


@pytest.fixture
def launch() -> UUID:
    return uuid4()


def _observe(order: int) -> Observation:
    return Observation.objects.create(
        id=order + 100,
        order_id=order,
        participant_id=1,
        state="handled",
        late=True,
        received_at=AT,
        handling_ms=1.5,
        result=b'{"a":1}',
    )


def test_fields_are_what_django_makes_of_them() -> None:
    for order in (1, 2, 3):
        _observe(order)

    rows = read(Observation, READ, among("order_id", (1, 2)), (1, 2))

    expected = Observation.objects.filter(order__in=(1, 2)).values_list(*READ)
    assert sorted(map(tuple, rows)) == sorted(expected)


def test_objects_are_what_django_makes_of_them(launch: UUID) -> None:
    signature = Signature.objects.create(
        launch=launch, version="vnext", key="k", counted=[1, 2], ignored=[]
    )
    participant = Participant.objects.create(
        launch=launch, version="vnext", role="candidate", matrix={"agree": 3}, newest_at=AT
    )

    for one in (signature, participant):
        (found,) = read_objects(type(one), "launch = %s", [launch.hex])
        again = type(one).objects.get()
        assert vars(found).keys() == vars(again).keys()
        names = [field.attname for field in one._meta.concrete_fields]
        assert [getattr(found, name) for name in names] == [getattr(again, name) for name in names]
        assert not found._state.adding


def test_an_object_that_was_read_can_be_saved(launch: UUID) -> None:
    Participant.objects.create(launch=launch, version="vnext", role="candidate")
    (found,) = read_objects(Participant, "launch = %s ORDER BY id", [launch.hex])
    found.handled = 7
    found.save()

    assert Participant.objects.get().handled == 7


@pytest.mark.parametrize("model", [Rule, Evidence, Observation])
def test_nothing_is_read_where_nothing_is(model: type[Rule]) -> None:
    assert read_objects(model, "id = %s", [1]) == []
