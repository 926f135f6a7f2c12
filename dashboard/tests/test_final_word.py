"""The end of a launch is a state: the word becomes final once its last orders were counted."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client, override_settings

from dashboard.board.filters import Filter
from dashboard.board.frame import board_state
from dashboard.board.wording import Json
from dashboard.management.commands import verdict as verdict_command
from dashboard.models import (
    Evidence,
    FinalVerdict,
    LaunchRequirements,
    ObservedOrder,
    ObserverState,
    Participant,
)
from dashboard.tests.factories import START, an_order, observed
from dashboard.tests.test_verdict_command import faster, twice_as_slow, weigh
from dashboard.verdict.assessment import keep_final_verdicts
from dashboard.verdict.closing import close_blocks
from dashboard.verdict.paired_order import Result
from kitchen_worker.contract.messages import Role
from restaurant import launches
from restaurant.launches import find_launch
from restaurant.models import Launch, LaunchChange, OutboxMessage
from restaurant.tests.making import end_launch

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]
#: The end of the orders that ``weigh`` adds, and when the last block of them is over.
END = START + timedelta(seconds=400)
OVER = END + timedelta(seconds=60)


@pytest.fixture
def launch() -> Launch:
    dark = [("vnext", Role.CANDIDATE, Decimal(100))]
    return launches.start_launch("first", "vlatest", dark, author="ada", reason="a test")


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict_command, "ask_for_depths", lambda url, versions: None)


def _frame(launch: Launch) -> Json:
    found = find_launch(launch.pk)
    assert found is not None
    return board_state(found, Filter.ALL)


def finish(launch: Launch, at: datetime = OVER) -> None:
    close_blocks(at)
    keep_final_verdicts(at)


def swept(order: ObservedOrder) -> None:
    """The deadline of this order and of all before it is over."""
    ObserverState.objects.update_or_create(pk=1, defaults={"swept_until": order.pk})


def _ended(launch: Launch, candidate: Callable[..., Result]) -> Launch:
    weigh(launch, candidate)
    end_launch(launch, at=END)
    return launch


def _verdict(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("verdict", *arguments, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_a_running_launch_has_no_final_word(launch: Launch) -> None:
    weigh(launch, faster)
    finish(launch)
    assert not FinalVerdict.objects.exists()
    assert _frame(launch)["run"] == {"state": "running", "at": None, "final_at": None}


def test_the_word_is_kept_once_with_its_time_and_its_orders(launch: Launch) -> None:
    _ended(launch, faster)
    finish(launch)
    finish(launch, OVER + timedelta(hours=1))
    [kept] = FinalVerdict.objects.all()
    assert (kept.version, kept.word, kept.at, kept.orders) == ("vnext", "ready", OVER, 3400)
    run = _frame(launch)["run"]
    assert run == {"state": "ended", "at": END.timestamp(), "final_at": OVER.timestamp()}


def test_what_comes_after_does_not_change_it(launch: Launch) -> None:
    _ended(launch, faster)
    finish(launch)
    before = _frame(launch)["verdict"]
    strict = {"failures_margin": 1e-9, "slow_margin": 1e-9, "differences_margin": 1e-9}
    LaunchRequirements.objects.create(
        launch=launch.pk, speed_margin=1e-9, most_missing=0, most_behind_s=0, author="ada",
        reason="stricter", set_at=OVER, **strict,
    )  # fmt: skip
    weigh(launch, twice_as_slow)
    assert _frame(launch)["verdict"] == before
    assert _verdict()[0] == 0


@pytest.mark.parametrize(
    ("minutes", "is_kept"), [(0.5, False), (1.0, True)], ids=["the block is open", "it is over"]
)
def test_it_waits_for_the_block_of_the_end(launch: Launch, minutes: float, is_kept: bool) -> None:
    _ended(launch, faster)
    finish(launch, END + timedelta(minutes=minutes))
    assert FinalVerdict.objects.exists() is is_kept


def test_it_waits_for_orders_that_were_not_sent_or_not_looked_at(launch: Launch) -> None:
    placed = an_order(launch, sent_at=None, placed_at=END)
    _ended(launch, faster)
    finish(launch)
    assert not FinalVerdict.objects.exists()
    assert _frame(launch)["run"]["state"] == "ended"
    OutboxMessage.objects.all().delete()
    order = observed(launch.pk, str(placed.uuid), sent_at=END)
    finish(launch)
    assert not FinalVerdict.objects.exists()
    swept(order)
    finish(launch)
    assert FinalVerdict.objects.exists()


def test_a_candidate_that_left_its_last_orders_unanswered_did_not_keep_up(launch: Launch) -> None:
    order = observed(launch.pk, "the last", sent_at=END)
    Participant.objects.create(
        launch=launch.pk, version="vnext", role="candidate", ended_until=END - timedelta(seconds=90)
    )
    swept(order)
    _ended(launch, faster)
    finish(launch)
    kept = FinalVerdict.objects.get()
    behind = next(one for one in kept.verdict["requirements"] if one["key"] == "keeping up")
    assert (kept.word, behind["standing"], behind["estimate"]) == ("not yet", "failed", 90)


def test_a_launch_without_evidence_has_no_word(launch: Launch) -> None:
    end_launch(launch, at=END)
    finish(launch)
    assert not FinalVerdict.objects.exists()
    assert _frame(launch)["verdict"] is None


# Nothing asks to be stopped, and nothing predicts more orders


def _asks(text: str) -> list[str]:
    return [one for one in ("Stop it", "Roll back", "more orders") if one in text]


@pytest.mark.parametrize("candidate", [faster, twice_as_slow])
@override_settings(BOARD_PUBLIC=True)
def test_stopped_or_ended_nothing_is_asked_for(
    launch: Launch, candidate: Callable[..., Result], client: Client, admin_client: Client
) -> None:
    weigh(launch, candidate)
    launches.set_percent(launch, "vnext", Decimal(0), author="ada", reason="stop")
    stopped = _frame(launch)
    at = LaunchChange.objects.latest("pk").at.timestamp()
    assert stopped["run"] == {"state": "stopped", "at": at, "final_at": None}
    _check(client, admin_client)
    end_launch(launch, at=END)
    _check(client, admin_client)
    finish(launch)
    _check(client, admin_client)


def _check(client: Client, admin_client: Client) -> None:
    for one in (client, admin_client):
        page = one.get("/dashboard/").content.decode()
        shown = page[page.index('<section id="standing"') : page.index('<div id="indicators"')]
        assert "Stop vnext" not in page
        assert _asks(shown) == []
        assert 'class="more"></span>' in shown
    _, said = _verdict()
    assert _asks(said) == []


def test_the_gate_says_that_the_word_is_final_and_needs_no_broker(launch: Launch) -> None:
    _ended(launch, faster)
    finish(launch)
    code, said = _verdict()
    assert code == 0
    assert said.startswith("vnext is READY: ")
    assert (
        f"final: the launch ended {END:%Y-%m-%d %H:%M} UTC, on 3,400 orders after the warm-up"
        in said
    )
    found: dict[str, Any] = json.loads(_verdict("--json")[1])
    assert found["run"]["final_at"] == OVER.timestamp()


def test_final_words_are_listed_in_the_admin(launch: Launch, admin_client: Client) -> None:
    _ended(launch, faster)
    finish(launch)
    page = admin_client.get("/admin/dashboard/finalverdict/").content.decode()
    assert "vnext" in page
    assert "ready" in page
    row = FinalVerdict.objects.get()
    assert admin_client.get(f"/admin/dashboard/finalverdict/{row.pk}/change/").status_code == 200
    assert Evidence.objects.exists()
