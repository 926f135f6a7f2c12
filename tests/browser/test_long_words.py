"""No page is wider than the screen, whatever words people and kitchens write without a break."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import URLPattern, reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from dashboard import models
from dashboard import urls as dashboard_urls
from dashboard.comparison.outcome import Decision
from dashboard.comparison.rules import Treatment
from dashboard.ingest.rulebook import make_rule
from dashboard.ingest.stream import read_roster
from dashboard.launches.ramp import PRESET
from dashboard.launches.record import read_facts
from dashboard.launches.record_body import record_body
from dashboard.review.reviews import SeenRevision, review
from dashboard.tests.factories import START, a_launch, an_event, an_order
from dashboard.tests.making import NOW, a_draft, a_replay, record_events
from kitchen_worker.contract.messages import EventKind, Failure
from restaurant import urls as restaurant_urls
from restaurant.models import (
    DarkVersion,
    Launch,
    LaunchChange,
    LaunchChangeKind,
    Order,
    OrderState,
)
from tests.browser.using import WIDTHS, in_view, log_in, overflow

pytestmark = pytest.mark.browser

#: What no page shows itself: acts, files, machines' answers, and parts of pages.
NOT_PAGES = {
    "quote", "ticket_state", "api_orders", "api_items", "api_health", "api_ready", "logout",
    "review", "discrepancies_export", "discrepancy_orders", "discrepancy_replays",
    "replay_new", "rule_end", "rejudge", "launch_series", "launch_percent", "launch_record_file",
}  # fmt: skip


def word(length: int) -> str:
    """So many characters without a break."""
    return "W" * length


def pages(order: Order, launch: Launch) -> dict[str, list[str]]:
    """The addresses of every page of the site, by its name."""
    rules = models.Rule.objects.values_list("pk", flat=True)
    found = models.Discrepancy.objects.filter(version="vnext").values_list("pk", flat=True)
    judgings = models.Rejudging.objects.values_list("pk", flat=True)
    whole = f"?launch={launch.pk}"
    return {
        "menu": ["/"],
        "login": ["/login/"],
        "ticket": [reverse("ticket", args=[one.uuid]) for one in Order.objects.all()],
        "board": ["/dashboard/", f"/dashboard/?q={word(60)}", f"/dashboard/?version={'w' * 40}"],
        "board_order": [reverse("board_order", args=[one.uuid]) for one in Order.objects.all()],
        "discrepancies": ["/dashboard/discrepancies/", "/dashboard/discrepancies/?state=bug"],
        "discrepancy": [reverse("discrepancy", args=[pk]) for pk in found],
        "replay": [reverse("replay", args=[one.pk]) for one in models.Replay.objects.all()],
        "launch_changes": [reverse("launch_changes", args=[launch.pk])],
        "requirements": [reverse("requirements", args=[launch.pk])],
        "launches": ["/dashboard/launches/"],
        "launch_new": ["/dashboard/launches/new/"],
        "launches_compare": [f"/dashboard/launches/compare/?a={launch.pk}&b={launch.pk}"],
        **{
            name: [reverse(name, args=[launch.pk])]
            for name in ("launch", "launch_end", "launch_record", "evidence")
        },
        **{
            name: [reverse(name, args=[launch.pk, "w" * 40])]
            for name in ("launch_stop", "launch_decide")
        },
        "ramp": [reverse("ramp", args=[launch.pk])],
        "guards": [reverse("guards", args=[launch.pk])],
        "coverage": [reverse("coverage") + whole],
        "how": ["/dashboard/how/"],
        "rules": ["/dashboard/rules/"],
        "rule_proposals": ["/dashboard/rules/proposals/"],
        "rule_new": [f"/dashboard/rules/new/?path={word(250)}&version=vnext"],
        "rule": [reverse("rule", args=[pk]) for pk in rules],
        "rejudging": [reverse("rejudging", args=[pk]) for pk in judgings],
    }


@pytest.fixture
def long_words(site: Page) -> dict[str, list[str]]:
    """A launch with a word of full length in every field that somebody else fills."""
    ada = User.objects.create_superuser("ada", password="dark")
    launch = a_launch(name=word(100))
    DarkVersion.objects.create(launch=launch, version="w" * 40, role="candidate", percent=100)
    handled, failed = (
        an_order(launch, sample=("vnext", "vlatest-b", "w" * 40), title=word(100)) for _ in range(2)
    )
    Order.objects.update(note=word(500))
    _record(launch, handled, failed)
    _review(launch)
    _operate(launch)
    LaunchChange.objects.create(
        launch=launch,
        kind=LaunchChangeKind.RENAMED,
        old=word(100),
        new=word(100),
        author=word(200),
        reason=word(500),
        at=NOW,
    )
    _freeze(launch)
    ada.username = word(150)
    ada.save()
    return pages(handled, launch)


def _record(launch: Launch, handled: Order, failed: Order) -> None:
    """What the versions answered, each with another word wherever there can be one."""
    results = {
        name: {
            letter * 200: letter * 3000,
            "cook": letter * 150,
            "note": letter * 480,
            "total_price": letter * 100,
            "lines": [{"name": letter * 100, "station": letter * 100, "minutes": letter * 100}],
            "deep": {"W" * 100: {letter * 100: [letter * 500]}},
        }
        for name, letter in (("vlatest", "A"), ("vnext", "B"), ("vlatest-b", "C"), ("w" * 40, "D"))
    }
    words: dict[str, Any] = {"build": word(200), "worker": word(200)}
    events = [
        an_event(launch, handled.uuid, version, result=result, **words)
        for version, result in results.items()
    ]
    events += [
        an_event(
            launch, failed.uuid, version, EventKind.FAILED,
            error=Failure(type=f"{version[:1]}{word(199)}", message=f"{version[:1]}{word(3999)}"),
            **words,
        )
        for version in results
    ]  # fmt: skip
    record_events(read_roster(launch), events, NOW)
    answer = {"error": {"type": word(200), "message": word(4000)}}
    ends = ((handled, OrderState.READY, results["vlatest"]), (failed, OrderState.FAILED, answer))
    for order, state, given in ends:
        Order.objects.filter(pk=order.pk).update(
            state=state, answer=given, answered_at=timezone.now()
        )
    models.DeadLetter.objects.create(
        queue=word(200), reason=word(1000), excerpt=word(2000), seen_at=timezone.now()
    )


def _review(launch: Launch) -> None:
    """What people wrote."""
    for found in models.Discrepancy.objects.filter(version="vnext")[:2]:
        review([SeenRevision(found.pk, 0)], Decision.BUG, note=word(4000), author=word(150))
        replay = a_replay(found, requested_by=word(150))
        replay.replayed_orders.update(
            build=word(200), error_type=word(200), error_message=word(4000), state="failed"
        )
    drafts = [
        a_draft(word(250)),
        a_draft("cook", Treatment.REPLACE, pattern=word(300), replacement=word(200)),
        a_draft("lines", Treatment.KEYED, key=word(100)),
    ]
    for draft in drafts:
        make_rule(draft, reason=word(500), author=word(150), expires_at=None, now=NOW)
    models.Rejudging.objects.create(
        launch=launch.pk, requested_by=word(150), requested_at=NOW, until=9, rules=[]
    )
    models.LaunchRequirements.objects.create(
        launch=launch.pk, speed_margin=0.02, failures_margin=0.01, slow_margin=0.01,
        differences_margin=0.01, most_missing=0.01, most_behind_s=10, author=word(150),
        reason=word(500), set_at=START + timedelta(hours=1),
    )  # fmt: skip


def _freeze(launch: Launch) -> None:
    """A record, and what was decided on both sides of it."""
    decision = {"launch": launch.pk, "choice": "abandon", "author": word(150), "opposed": True}
    said = {"word": "worse", "sentence": word(500), "reason": word(500), "at": NOW}
    models.LaunchDecision.objects.create(version="w" * 40, step="proposed", **decision, **said)
    ended = Launch.objects.get(pk=launch.pk)
    ended.ended_at = NOW
    body = record_body(read_facts(ended, NOW))
    models.LaunchRecord.objects.create(launch=launch.pk, body=body, sha256="f" * 64, at=NOW)
    models.LaunchDecision.objects.create(version="vnext", step="decided", **decision, **said)


def _operate(launch: Launch) -> None:
    """Why a plan paused, and why guards stopped versions."""
    for name in ("vnext", "w" * 40):
        plan = models.RampPlan.objects.create(
            launch=launch.pk, version=name, state="paused", since=NOW, set_at=NOW,
            steps=[step.as_json() for step in PRESET], percent_before=0, applied=True,
            why=word(500), author=word(150), reason=word(500),
        )  # fmt: skip
        plan.changes.create(kind="paused", step=0, author=word(150), reason=word(500), at=NOW)
        models.GuardAction.objects.create(
            launch=launch.pk, version=name, guard="worse", why=word(500), at=NOW, percent=5
        )
        models.GuardAction.objects.create(
            launch=launch.pk, version=name, guard="queue full", why=word(500), at=NOW, percent=5,
            acknowledged_by=word(150), acknowledged_at=NOW, acknowledged_reason=word(500),
        )  # fmt: skip


def admin_pages() -> list[str]:
    """Every list of the admin, and the page of its first row."""
    found = []
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found.append(reverse(f"{name}_changelist"))
        found += [
            reverse(f"{name}_change", args=[one.pk]) for one in model._default_manager.all()[:1]
        ]
    return found


#: The innermost elements that reach beyond the page, as far as nothing around them cuts them off.
_BEYOND = """() => [...document.querySelectorAll("body *")].filter((one) =>
    one.getBoundingClientRect().right > document.documentElement.clientWidth + 1
  ).filter((one, _, all) => !all.some((other) => other !== one && one.contains(other))
  ).slice(0, 4).map((one) => `${one.parentElement.className} > ${one.tagName}.${one.className}`)"""


def wider(page: Page, addresses: list[str]) -> dict[str, Any]:
    """The pages that are wider than the screen, by how many pixels, and what reaches beyond."""
    found = {}
    for address in addresses:
        answer = page.goto(address)
        assert answer is not None
        assert answer.ok, address
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        for width in WIDTHS:
            if by := overflow(page, width):
                found[f"{address} at {width}"] = (by, page.evaluate(_BEYOND))
    return found


def test_every_page_is_walked(long_words: dict[str, list[str]]) -> None:
    named = {
        one.name
        for one in (*restaurant_urls.urlpatterns, *dashboard_urls.urlpatterns)
        if isinstance(one, URLPattern) and one.name
    }
    assert named - NOT_PAGES == set(long_words)
    assert all(long_words.values())


@pytest.mark.parametrize("name", [None, word(150)], ids=["guest", "reviewer"])
def test_no_page_of_the_site_is_wider_than_the_screen(
    site: Page, long_words: dict[str, list[str]], name: str | None
) -> None:
    if name:
        log_in(site, name, "/dashboard/how/")
    found = wider(site, [one for some in long_words.values() for one in some])
    assert found == {}, "\n".join(f"{at} {by}" for at, by in found.items())


def test_the_preview_of_a_rule_is_no_wider_than_the_screen(
    site: Page, long_words: dict[str, list[str]]
) -> None:
    log_in(site, word(150), "/dashboard/rules/new/?path=**")
    in_view(site.get_by_role("button", name="Preview")).click()
    expect(site.locator(".fates")).to_contain_text("AAAAAAAA")
    assert [overflow(site, width) for width in WIDTHS] == [0, 0]


def test_no_page_of_the_admin_is_wider_than_the_screen(
    site: Page, long_words: dict[str, list[str]]
) -> None:
    log_in(site, word(150), "/dashboard/how/")
    found = wider(site, admin_pages())
    assert found == {}, "\n".join(f"{at} {by}" for at, by in found.items())
