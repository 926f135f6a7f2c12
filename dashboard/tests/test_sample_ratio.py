"""What the board and the verdict make of a version that was not sent what was asked for."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from django.test import Client, override_settings
from django.utils import timezone

from dashboard.board.frame import build_frame
from dashboard.board.frames import Json
from dashboard.board.lenses import Lens
from dashboard.models import Tally
from dashboard.tests.test_verdict_command import faster, weigh
from kitchen_worker.contract.messages import Role
from restaurant import launches
from restaurant.launches import find_launch
from restaurant.models import Launch, Letter
from restaurant.outbox import mark_sent
from restaurant.tests.making import some_orders

pytestmark = pytest.mark.django_db
_MISMATCH = "vnext was sent 0 of 20 orders; 100 % was asked"


@pytest.fixture
def launch() -> Launch:
    dark = [("vnext", Role.CANDIDATE, Decimal(100)), ("vother", Role.CANDIDATE, Decimal(100))]
    launch = launches.start_launch("first", "vlatest", dark, author="ada", reason="a test")
    Tally.objects.create(
        launch=launch.id, version="vlatest", role="control", newest_at=timezone.now()
    )
    return launch


def _send(launch: Launch, sample: list[str]) -> None:
    orders = some_orders(20)
    Letter.objects.filter(order__in=orders).update(sample=sample)
    mark_sent([order.letter.pk for order in orders])


def _frame(launch: Launch, version: str = "vnext") -> Json:
    found = find_launch(launch.pk)
    assert found is not None
    return build_frame(found, Lens.ALL, version=version, with_series=False)


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
    page = client.get("/dashboard/").content.decode()
    shown = re.findall(r'data-fact="sample"[^>]*?( data-alarm)?>([^<]*)<', page)
    assert shown == [("", ""), (" data-alarm", "sent 0 of 20"), ("", "sent 20 of 20")]
