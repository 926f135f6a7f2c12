"""Rows read by a condition are the rows that Django reads, on either database."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from dashboard.models import Evidence, Observation, Rule, Signature, Tally
from dashboard.models.reading import among, read, read_objects

pytestmark = pytest.mark.django_db

AT = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
READ = ("order", "version", "late", "received_at", "handling_ms", "result")


@pytest.fixture
def launch() -> UUID:
    return uuid4()


def _observe(launch: UUID, order: UUID, version: str = "vnext") -> Observation:
    return Observation.objects.create(
        launch=launch,
        order=order,
        version=version,
        role="candidate",
        state="handled",
        late=True,
        received_at=AT,
        handling_ms=1.5,
        result='{"a":1}',
    )


def test_fields_are_what_django_makes_of_them(launch: UUID) -> None:
    orders = [uuid4(), uuid4(), uuid4()]
    for order in orders:
        _observe(launch, order)
    wanted = [order.hex for order in orders[:2]]

    rows = read(Observation, READ, among("order", wanted), wanted)

    expected = Observation.objects.filter(order__in=orders[:2]).values_list(*READ)
    assert sorted(map(tuple, rows)) == sorted(expected)


def test_objects_are_what_django_makes_of_them(launch: UUID) -> None:
    signature = Signature.objects.create(
        launch=launch, version="vnext", key="k", counted=[1, 2], ignored=[]
    )
    tally = Tally.objects.create(
        launch=launch, version="vnext", role="candidate", matrix={"agree": 3}, newest_at=AT
    )

    for one in (signature, tally):
        (found,) = read_objects(type(one), "launch = %s", [launch.hex])
        again = type(one).objects.get()
        assert vars(found).keys() == vars(again).keys()
        names = [field.attname for field in one._meta.concrete_fields]
        assert [getattr(found, name) for name in names] == [getattr(again, name) for name in names]
        assert not found._state.adding


def test_an_object_that_was_read_can_be_saved(launch: UUID) -> None:
    Tally.objects.create(launch=launch, version="vnext", role="candidate")
    with transaction.atomic():
        (found,) = read_objects(Tally, "launch = %s ORDER BY id", [launch.hex], lock=True)
        found.handled = 7
        found.save()

    assert Tally.objects.get().handled == 7


@pytest.mark.parametrize("model", [Rule, Evidence, Observation])
def test_nothing_is_read_where_nothing_is(model: type[Rule]) -> None:
    assert read_objects(model, "id = %s", [1]) == []
