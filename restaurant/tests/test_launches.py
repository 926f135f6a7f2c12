"""One launch is open at a time, and the same orders are sampled for every version."""

from __future__ import annotations

from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command

from kitchen_worker.contract.messages import Role
from restaurant.launches import (
    LaunchRefused,
    Share,
    current_control,
    dark_versions,
    open_launch,
    routing,
    sample,
    sample_point,
)
from restaurant.models import DarkVersion, Launch, Order
from restaurant.tests.making import a_launch, end_launch, some_orders, start_launch

#: Orders by their number as a uuid, and their points: worked out once, by hand, from SHA-256.
POINTS = {
    0: 731,
    1: 4795,
    2: 5657,
    833: 0,
    15350: 499,
    20837: 500,
    10761: 2499,
    6210: 2500,
    31048: 9999,
}


@pytest.mark.parametrize(("number", "point"), POINTS.items())
def test_the_point_of_an_order_never_changes(number: int, point: int) -> None:
    assert sample_point(UUID(int=number)) == point


@pytest.mark.parametrize(("number", "point"), POINTS.items())
@pytest.mark.parametrize("percent", ["0", "0.01", "5", "25", "99.99", "100"])
def test_an_order_is_sampled_exactly_when_its_point_is_below_the_percent(
    number: int, point: int, percent: str
) -> None:
    below = Decimal(point) / 100 < Decimal(percent)
    share = Share("vnext", Decimal(percent))
    assert sample(UUID(int=number), [share]) == (["vnext"] if below else [])


def test_points_are_spread_evenly() -> None:
    points = [sample_point(UUID(int=number)) for number in range(20_000)]
    for tenth in range(10):
        share = sum(1 for point in points if point // 1000 == tenth) / len(points)
        assert 0.09 < share < 0.11


def test_a_smaller_percent_lies_inside_a_larger_one_for_every_version() -> None:
    orders = [uuid4() for _ in range(2_000)]
    five, ten = Share("a", Decimal(5)), Share("b", Decimal(10))
    for order in orders:
        chosen = sample(order, [five, ten])
        assert chosen in ([], ["b"], ["a", "b"])


@pytest.mark.django_db
def test_25_percent_of_placed_orders_are_those_with_a_point_below_25() -> None:
    a_launch(candidate="25", baseline="5")
    orders = some_orders(400)
    samples = dict(Order.objects.values_list("uuid", "sample"))
    for order in orders:
        point = sample_point(order.uuid)
        assert ("vnext" in samples[order.uuid]) is (point < 2500)
        assert ("vlatest-b" in samples[order.uuid]) is (point < 500)


@pytest.mark.django_db
def test_a_changed_percent_holds_from_the_next_order_on() -> None:
    a_launch(candidate="100", baseline="0")
    [before] = some_orders()
    DarkVersion.objects.filter(version="vnext").update(percent=0)
    [after] = some_orders()
    assert (before.sample, after.sample) == (["vnext"], [])


@pytest.mark.django_db
def test_orders_go_nowhere_in_the_dark_once_a_launch_has_ended() -> None:
    launch = a_launch()
    end_launch(launch)
    [order] = some_orders()
    assert (order.launch_id, order.sample) == (None, [])
    assert open_launch() is None
    assert routing() == ("vlatest", None, (), 0)
    ended_at = launch.ended_at
    end_launch(launch)
    assert launch.ended_at == ended_at


@pytest.mark.django_db
def test_the_control_stays_the_same_between_launches() -> None:
    assert current_control() == "vlatest"
    end_launch(start_launch("second", "vnext", []))
    assert current_control() == "vnext"
    start_launch("third", "vnext2", [("vnext3", Role.CANDIDATE, Decimal(1))])
    assert current_control() == "vnext2"
    assert dark_versions() == ["vnext3"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("control", "dark"),
    [
        ("Not A Name", []),
        ("vlatest", [("x" * 41, "100")]),
        ("vlatest", [("vnext", "100.01")]),
        ("vlatest", [("vnext", "-1")]),
        ("vlatest", [("vnext", "0.001")]),
        ("vlatest", [("vlatest", "10")]),
        ("vlatest", [("vnext", "10"), ("vnext", "20")]),
    ],
)
def test_a_wrong_launch_is_refused_whole(control: str, dark: list[tuple[str, str]]) -> None:
    with pytest.raises(LaunchRefused):
        start_launch(
            "wrong",
            control,
            [(version, Role.CANDIDATE, Decimal(percent)) for version, percent in dark],
        )
    assert not Launch.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("control", "dark", "reason"),
    [
        ("vnext", "vlatest-c", "vnext was a dark version"),
        ("vlatest", "vlatest-c", ""),
        ("events", "vlatest-c", "cannot be called events"),
        ("vlatest", "events", "cannot be called events"),
        ("vlatest-2", "vlatest", "vlatest was a control"),
    ],
)
def test_no_version_changes_from_dark_to_live_or_back(control: str, dark: str, reason: str) -> None:
    end_launch(start_launch("first", "vlatest", [("vnext", Role.CANDIDATE, Decimal(100))]))
    second = [(dark, Role.CANDIDATE, Decimal(5))]
    if not reason:
        assert start_launch("second", control, second).control == control
        return
    with pytest.raises(LaunchRefused, match=reason):
        start_launch("second", control, second)
    assert Launch.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("control", "dark"), [("vlatest\n", "vnext"), ("vlatest", "vnext\n")])
def test_a_version_with_a_newline_at_its_end_is_refused(control: str, dark: str) -> None:
    with pytest.raises(LaunchRefused, match="Lower-case letters"):
        start_launch("first", control, [(dark, Role.CANDIDATE, Decimal(5))])
    assert not Launch.objects.exists()


@pytest.mark.django_db
def test_a_second_launch_waits_for_the_end_of_the_first() -> None:
    a_launch()
    with pytest.raises(LaunchRefused, match="is running"):
        a_launch()


def _start(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command("start_launch", *arguments, stdout=out, **options)
    return out.getvalue()


@pytest.mark.django_db
def test_the_command_opens_the_first_launch_once() -> None:
    assert "vnext (candidate, 100 %)" in _start("--if-none")
    assert "open already" in _start("--if-none")
    [launch] = Launch.objects.all()
    parts = [(one.version, one.role, one.percent) for one in launch.dark_versions.all()]
    assert parts == [
        ("vnext", "candidate", Decimal(100)),
        ("vlatest-b", "baseline", Decimal(20)),
    ]
    with pytest.raises(CommandError, match="end it first"):
        _start()


@pytest.mark.django_db
def test_the_command_takes_versions_with_their_percent() -> None:
    _start("--name", "mine", "--control", "v1", "--candidate", "v2=2.5", "--candidate", "v3")
    launch = open_launch()
    assert launch is not None
    assert (launch.name, launch.control) == ("mine", "v1")
    parts = {one.version: one.percent for one in launch.dark_versions.all()}
    assert parts == {"v2": Decimal("2.5"), "v3": Decimal(100)}


@pytest.mark.django_db
def test_the_command_prints_what_is_wrong() -> None:
    with pytest.raises(CommandError, match="not a percent"):
        _start("--candidate", "v2=lots")
    with pytest.raises(CommandError):
        _start("--candidate", "v2=101")
    assert not Launch.objects.exists()
