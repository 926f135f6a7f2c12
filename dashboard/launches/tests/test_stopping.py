"""How fast a stop took hold, found among any number of orders by reading a few of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from dashboard.database import ALIAS
from dashboard.launches.stopping import stop_effects
from dashboard.models import ObservedOrder
from dashboard.tests.factories import START
from kitchen_worker.contract.messages import Role
from restaurant.launches import end_launch, set_percent, start_launch, stop_version
from restaurant.models import Launch, LaunchChange

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


def begin() -> Launch:
    dark = [("vnext", Role.CANDIDATE, Decimal(50)), ("vlatest-b", Role.BASELINE, Decimal(20))]
    return start_launch("November", "vlatest", dark, author="ada", reason="a try")


def stop(launch: Launch) -> datetime:
    stop_version(launch, "vnext", author="ada", reason="it fails")
    at: datetime = LaunchChange.objects.filter(launch=launch, version="vnext").first().at  # type: ignore[union-attr]
    return at


def orders(launch: UUID, first: int, times: list[tuple[datetime, list[str]]]) -> None:
    """Orders with every third id, so that ids are missing between them."""
    ObservedOrder.objects.bulk_create(
        ObservedOrder(
            id=3 * (first + number),
            order_id=f"{launch}-{first + number}",
            number=first + number,
            launch=launch,
            placed_at=at,
            sent_at=at,
            arrived_at=at,
            body=b"",
            sample=sample,
        )
        for number, (at, sample) in enumerate(times)
    )


def every_ms(at: datetime, first: int, last: int) -> list[datetime]:
    return [at + timedelta(milliseconds=number) for number in range(first, last)]


def test_the_last_order_is_found_and_later_ones_are_counted() -> None:
    launch = begin()
    at = stop(launch)
    orders(launch.pk, 0, [(one, ["vnext"]) for one in every_ms(at, -3000, 20)])
    orders(launch.pk, 4000, [(one, ["vlatest-b"]) for one in every_ms(at, 20, 200)])
    orders(uuid4(), 9000, [(one, ["vnext"]) for one in every_ms(at, 200, 300)])
    effect = stop_effects(launch)["vnext"]
    assert (effect.order, round(effect.took_s, 3), effect.since) == ("#3019", 0.019, 180)
    assert effect.is_settled
    assert not effect.is_more


def test_it_reads_a_bounded_number_of_rows_however_many_orders_there_are() -> None:
    launch = begin()
    at = stop(launch)
    orders(launch.pk, 0, [(one, ["vnext"]) for one in every_ms(at, -6000, 1)])
    orders(launch.pk, 7000, [(one, []) for one in every_ms(at, 1, 6000)])
    with CaptureQueriesContext(connections[ALIAS]) as found:
        effect = stop_effects(launch)["vnext"]
    assert (effect.order, effect.took_s, effect.is_more) == ("#6000", 0.0, True)
    assert len(found) < 30
    assert all(" LIMIT " in one["sql"] for one in found if "observedorder" in one["sql"])


def test_a_stop_before_any_order_and_one_without_later_orders() -> None:
    launch = begin()
    at = stop(launch)
    nothing = stop_effects(launch)["vnext"]
    assert (nothing.order, nothing.since, nothing.is_settled) == ("", 0, False)
    orders(launch.pk, 0, [(one, ["vnext"]) for one in every_ms(at, -10, 0)])
    effect = stop_effects(launch)["vnext"]
    assert (effect.order, effect.took_s, effect.since) == ("#9", 0.0, 0)


def test_the_end_of_a_launch_stops_every_version_and_a_raised_one_is_not_stopped() -> None:
    launch = begin()
    stop(launch)
    set_percent(launch, "vnext", Decimal(5), author="ada", reason="mended")
    assert stop_effects(launch) == {}
    end_launch(launch, author="ada", reason="over", at=START)
    assert {name: one.at for name, one in stop_effects(launch).items()} == {
        "vnext": START,
        "vlatest-b": START,
    }
