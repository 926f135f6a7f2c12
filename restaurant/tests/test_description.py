"""The description of an order, and the setting that names another function."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from kitchen_worker.amqp.tests.making import an_item, an_order
from kitchen_worker.contract.messages import encode_order
from restaurant.checks import check_description
from restaurant.description import Description, DescriptionFunction, describe
from restaurant.environment import DEFAULT_DESCRIPTION, Environment

HERE = "restaurant.tests.test_description"


def by_size(body: bytes) -> Description:
    return Description(label=str(len(body)))


def by_size_again(body: bytes) -> Description:
    return by_size(body)


by_size_again.version = "2"  # type: ignore[attr-defined]


def test_an_order_is_called_by_its_items() -> None:
    order = an_order(an_item("burger", 2), an_item("soup"), an_item("burger"), note="hot")
    assert describe(encode_order(order)) == Description(
        label="2 burger, soup, burger",
        number=order.number,
        placed_at=order.placed_at,
        size=4,
        categories=("note:yes", "item:burger", "item:soup"),
    )


def test_what_is_no_order_is_not_described() -> None:
    with pytest.raises(msgspec.MsgspecError):
        describe(b"{}")


def test_evidence_is_named_by_the_function_and_its_version_but_for_the_restaurants_own() -> None:
    assert DescriptionFunction(DEFAULT_DESCRIPTION).name == ""
    assert DescriptionFunction(f"{HERE}:by_size").name == f"{HERE}:by_size"
    assert DescriptionFunction(f"{HERE}:by_size_again").name == f"{HERE}:by_size_again 2"
    assert DescriptionFunction(f"{HERE}:by_size")(b"123").label == "3"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("no.such.module:describe", "ModuleNotFoundError"),
        (f"{HERE}:nothing", "AttributeError"),
        (f"{HERE}:HERE", "is not callable"),
    ],
)
def test_the_observer_does_not_start_without_its_function(
    monkeypatch: pytest.MonkeyPatch, path: str, reason: str
) -> None:
    monkeypatch.setattr(settings, "ENVIRONMENT", an_environment(ORDER_DESCRIPTION=path))
    [error] = check_description(None)
    assert reason in error.msg
    assert error.id == "restaurant.E032"
    with pytest.raises(CommandError, match=r"restaurant\.E032.*ORDER_DESCRIPTION"):
        call_command("observe")


def test_the_shipped_function_can_be_had() -> None:
    assert check_description(None) == []


def an_environment(**given: Any) -> Environment:
    return Environment.from_environ({"DEBUG": "1", **given})
