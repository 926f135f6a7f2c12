"""Whatever comes from elsewhere is shown so that a person sees it, on every page."""

from __future__ import annotations

import html
import re
from typing import Any

import msgspec
import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from dashboard.ingest.stream import read_roster
from dashboard.models import (
    DeadLetter,
    DeadLetterTally,
    Discrepancy,
    LaunchRequirements,
    ObservedOrder,
    Replay,
    Review,
    Rule,
)
from dashboard.tests.factories import START, a_launch, an_event, an_order, observed
from dashboard.tests.making import NOW, a_draft, a_replay, a_rule, record_events
from kitchen_worker.contract.messages import EventKind, Failure, decode_order, encode_order
from restaurant.models import Launch

pytestmark = pytest.mark.django_db

#: Hidden, turning round, and of another script than the word that it is in.
HOSTILE = "ab\u202ecd\u200b\u2066e n\u0430me \u05d0"
#: What of it no page may hold.
HIDDEN = re.compile("[\u200b\u202e\u2066\u0430]")


@pytest.fixture(autouse=True)
def public(settings: Settings) -> None:
    settings.BOARD_PUBLIC = True


@pytest.fixture
def launch() -> Launch:
    """A launch in which everything that comes from elsewhere is hostile."""
    made = a_launch()
    order = an_order(made, title=HOSTILE)
    wire = decode_order(bytes(ObservedOrder.objects.get().body))
    wire = msgspec.structs.replace(wire, note=HOSTILE)
    ObservedOrder.objects.update(body=encode_order(wire))
    said = {HOSTILE: 1, "a": HOSTILE, "list": [HOSTILE]}
    failure = Failure(type=HOSTILE, message=HOSTILE)
    other = an_order(made, title=HOSTILE)
    foreign = observed(made.id, f"../{HOSTILE}?#")
    foreign.body, foreign.label = f"no JSON: {HOSTILE}".encode(), HOSTILE
    foreign.save()
    names: dict[str, Any] = {"build": HOSTILE, "worker": HOSTILE}
    record_events(
        read_roster(made),
        [
            an_event(made, order.uuid, "vlatest", result={"a": "abcde", HOSTILE: 2}, **names),
            an_event(made, order.uuid, "vnext", result=said, **names),
            an_event(made, other.uuid, "vlatest", result={"a": 1}, **names),
            an_event(made, other.uuid, "vnext", EventKind.FAILED, error=failure, **names),
        ],
        NOW,
    )
    a_rule(a_draft("cook"))
    Rule.objects.update(reason=HOSTILE, author=HOSTILE, key=HOSTILE, path=f'["{HOSTILE}"]')
    for row in Discrepancy.objects.all():
        Review.objects.create(
            discrepancy=row,
            decision="bug",
            note=HOSTILE,
            author=HOSTILE,
            decided_at=NOW,
            revision=1,
        )
        a_replay(row, requested_by=HOSTILE).replayed_orders.update(
            build=HOSTILE, error_type=HOSTILE, error_message=HOSTILE
        )
    DeadLetter.objects.create(
        queue=HOSTILE, reason=HOSTILE, seen_at=START, size=3, excerpt=HOSTILE, order=HOSTILE
    )
    DeadLetterTally.objects.create(queue="dead.x", count=1)
    LaunchRequirements.objects.create(
        launch=made.id,
        author=HOSTILE,
        reason=HOSTILE,
        set_at=NOW,
        speed_margin=0.02,
        failures_margin=0.005,
        slow_margin=0.01,
        differences_margin=0.005,
        most_missing=0.01,
        most_behind_s=10,
    )
    return made


def addresses(launch: Launch) -> list[str]:
    orders = ObservedOrder.objects.values_list("order_id", flat=True)
    rows = Discrepancy.objects.values_list("pk", flat=True)
    models = (
        "discrepancy", "deadletter", "review", "rule", "replay", "participant",
        "launchrequirements",
    )  # fmt: skip
    lists = [reverse(f"admin:dashboard_{name}_changelist") for name in models]
    details = [
        reverse(
            f"admin:dashboard_{name}_change", args=[model.objects.values_list("pk", flat=True)[0]]
        )
        for name, model in (
            ("discrepancy", Discrepancy),
            ("deadletter", DeadLetter),
            ("review", Review),
            ("rule", Rule),
            ("launchrequirements", LaunchRequirements),
        )
    ]
    return [
        reverse("board"),
        reverse("discrepancies"),
        reverse("rules"),
        reverse("coverage"),
        reverse("requirements", args=[launch.id]),
        *(reverse("board_order", args=[order]) for order in orders),
        *(reverse("discrepancy", args=[pk]) for pk in rows),
        *(reverse("discrepancy_orders", args=[pk]) for pk in rows),
        *(reverse("discrepancy_replays", args=[pk]) for pk in rows),
        *(reverse("replay", args=[replay.pk]) for replay in Replay.objects.all()),
        reverse("rule", args=[Rule.objects.get().pk]),
        *lists,
        *details,
    ]


def seen_by_a_person(page: str) -> str:
    """A page without what a form gives back as it was, and without ids for scripts."""
    page = re.sub(
        r"<textarea.*?</textarea>|<input[^>]*>|(href|data-order)=\"[^\"]*\"",
        "",
        page,
        flags=re.DOTALL,
    )
    return html.unescape(page.replace("&nbsp;", ""))


def test_no_page_holds_what_nobody_can_see(admin_client: Client, launch: Launch) -> None:
    found = {}
    for address in addresses(launch):
        response = admin_client.get(address)
        assert response.status_code == 200, address
        page = seen_by_a_person(response.content.decode())
        places = [page[max(0, at.start() - 60) : at.end() + 20] for at in HIDDEN.finditer(page)]
        if places:
            found[address] = places
    assert not found, "\n".join(f"{a}\n  " + "\n  ".join(map(ascii, p)) for a, p in found.items())


def test_what_is_foreign_and_not_plain_stands_in_a_direction_of_its_own(
    client: Client, launch: Launch
) -> None:
    row = Discrepancy.objects.filter(kind="failed").get()
    page = client.get(reverse("discrepancy", args=[row.pk])).content.decode()
    heading = re.search(r"<h1>.*?</h1>", page, re.DOTALL)
    assert heading is not None
    assert re.search(r"<bdi>[^<]*<span class=\"escaped\">\\u202e</span>", heading[0])


def test_values_that_look_alike_are_told_apart(client: Client) -> None:
    made = a_launch()
    order = an_order(made)
    record_events(
        read_roster(made),
        [
            an_event(made, order.uuid, "vlatest", result={"a": "caf\u00e9", "n": "1"}),
            an_event(made, order.uuid, "vnext", result={"a": "cafe\u0301", "n": "\uff11"}),
        ],
        NOW,
    )
    row = Discrepancy.objects.get(path="a")
    for address in (
        reverse("discrepancy", args=[row.pk]),
        reverse("discrepancies"),
        reverse("board_order", args=[order.uuid]),
        reverse("board"),
    ):
        page = re.sub(r"<[^>]*>", "", html.unescape(client.get(address).content.decode()))
        assert r'"caf\u00e9"' in page, address
        assert r'"cafe\u0301"' in page, address


def test_values_that_differ_late_are_cut_around_the_difference(client: Client) -> None:
    made = a_launch()
    order = an_order(made)
    record_events(
        read_roster(made),
        [
            an_event(made, order.uuid, "vlatest", result={"a": "x" * 900 + "old"}),
            an_event(made, order.uuid, "vnext", result={"a": "x" * 900 + "new"}),
        ],
        NOW,
    )
    row = Discrepancy.objects.get(path="a")
    assert (row.control_value[-4:], row.version_value[-4:]) == ('old"', 'new"')
    page = html.unescape(client.get(reverse("discrepancy", args=[row.pk])).content.decode())
    assert 'xold"' in page
    assert 'xnew"' in page
