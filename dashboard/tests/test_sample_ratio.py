"""What the board and the verdict make of a version that was not sent what was asked for."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client, override_settings
from django.utils import timezone

from dashboard.board.filters import Filter
from dashboard.board.frame import board_state
from dashboard.board.wording import Json
from dashboard.models import Participant
from dashboard.tests.test_verdict_command import faster, weigh
from kitchen_worker.contract.messages import Role
from restaurant import launches
from restaurant.launches import find_launch
from restaurant.models import Launch, Order
from restaurant.outbox import mark_sent, unsent
from restaurant.tests.making import some_orders

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]
_MISMATCH = "vnext was sent 0 of 20 orders; 100 % was requested"


@pytest.fixture
def launch() -> Launch:
    dark = [("vnext", Role.CANDIDATE, Decimal(100)), ("vother", Role.CANDIDATE, Decimal(100))]
    launch = launches.start_launch("first", "vlatest", dark, author="ada", reason="a test")
    Participant.objects.create(
        launch=launch.id, version="vlatest", role="control", newest_at=timezone.now()
    )
    return launch


def _send(launch: Launch, sample: list[str]) -> None:
    orders = some_orders(20)
    Order.objects.filter(pk__in=[order.pk for order in orders]).update(sample=sample)
    mark_sent(unsent())


def _frame(launch: Launch, version: str = "vnext") -> Json:
    found = find_launch(launch.pk)
    assert found is not None
    return board_state(found, Filter.ALL, version=version)


def test_a_version_that_was_not_sent_its_share_gets_no_verdict_and_it_is_said_why(
    launch: Launch,
) -> None:
    weigh(launch, faster)
    _send(launch, ["vother"])
    verdict = _frame(launch)["verdict"]
    assert (verdict["word"], verdict["reasons"]) == ("withheld", [_MISMATCH])
    launches.set_percent(launch, "vnext", Decimal(0), author="ada", reason="as it is")
    _send(launch, ["vother"])
    assert _frame(launch)["verdict"]["word"] != "withheld"


def test_what_another_candidate_was_sent_holds_no_verdict_back(launch: Launch) -> None:
    weigh(launch, faster)
    _send(launch, ["vnext"])
    assert _frame(launch)["verdict"]["word"] != "withheld"


@override_settings(BOARD_PUBLIC=True)
def test_the_board_shows_what_each_version_was_sent(launch: Launch, client: Client) -> None:
    _send(launch, ["vother"])
    samples = client.get("/dashboard/").context["frame"]["samples"]
    found = {one["version"]: (one["sent"], one["offered"], bool(one["wrong"])) for one in samples}
    assert found == {"vnext": (0, 20, True), "vother": (20, 20, False)}
