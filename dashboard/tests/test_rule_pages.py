"""The pages of rules: a preview before saving, ending one, and applying them to the past."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from dashboard.ingest.recorder import Recorder
from dashboard.models import Discrepancy, Observation, Rejudging, Rule
from dashboard.pages.rule_forms import RuleForm
from dashboard.review.listing import pairs_against
from dashboard.tests.factories import START, a_launch
from dashboard.tests.test_discrepancy_pages import differ, page_of, shown, text
from restaurant.models import Launch
from restaurant.tests.making import end_launch

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

RULES = "/dashboard/rules/"
NEW = "/dashboard/rules/new/"
REJUDGE = "/dashboard/rejudge/"
IGNORE_COOK = {"path": "cook", "treatment": "ignore", "version": "", "reason": "chance"}
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def public(settings: Settings) -> None:
    settings.BOARD_PUBLIC = True


@pytest.fixture
def ada(client: Client) -> User:
    """Who may make rules, and is logged in."""
    user = User.objects.create_user("ada")
    user.user_permissions.add(Permission.objects.get(codename="add_rule"))
    client.force_login(user)
    return user


def a_rule(**fields: Any) -> Rule:
    return Rule.objects.create(
        **{
            "path": "cook",
            "treatment": "ignore",
            "reason": "chance",
            "author": "bo",
            "created_at": START,
            **fields,
        }
    )


def fields_of(response: Any) -> dict[str, str]:
    """What the form's inputs hold."""
    page = response.content.decode()
    return dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', page))


def previewed(client: Client, fields: dict[str, str]) -> Any:
    return client.post(NEW, {**fields, "action": "preview"})


def save(client: Client, fields: dict[str, str]) -> Any:
    """Preview a rule, then save what was previewed."""
    seen = fields_of(previewed(client, fields))["previewed"]
    return client.post(NEW, {**fields, "previewed": seen, "action": "save"})


def hidden(response: Any) -> int:
    found = re.search(r'data-hidden="(\d+)"', response.content.decode())
    assert found is not None
    return int(found[1])


def problems(response: Any) -> dict[str, str]:
    """What is said at which field."""
    page = response.content.decode()
    return dict(re.findall(r'<p class="problem" id="problem-(\w+)">([^<]+)</p>', page))


def rejudge() -> None:
    """Judge all stored pairs again, as was asked for."""
    recorder = Recorder.take_over()
    while recorder.rejudge(timezone.now(), 100) is not None:
        pass


def test_without_rules_the_page_says_what_they_are_for(client: Client) -> None:
    page = shown(client, RULES)

    assert "every difference counts" in page
    assert "New rule" not in page


@pytest.mark.usefixtures("ada")
def test_rules_in_force_come_first_and_those_that_are_over_below(client: Client) -> None:
    now = timezone.now()
    a_rule(path="ended", ended_at=now, ended_by="bo")
    a_rule(path="expired", expires_at=now - timedelta(days=1))
    a_rule(path="running", treatment="tolerance", absolute=0.01, version="vnext")
    a_rule(path="list", treatment="keyed", key="name", expires_at=now + timedelta(days=1))

    page = shown(client, RULES)

    order = [page.index(f"<code>{path}</code>") for path in ("list", "running", "expired", "ended")]
    assert order[:2] < [page.index("Ended or expired")] < order[2:]
    assert "numbers within 0.01 are equal, for" in page
    assert "members are matched by “name”" in page
    assert page.count("End the rule") == 2


@pytest.mark.usefixtures("ada")
def test_a_discrepancy_fills_in_the_form(client: Client) -> None:
    a_launch()

    response = client.get(f"{NEW}?path=lines&version=vnext&treatment=unordered")

    assert fields_of(response)["path"] == "lines"
    page = response.content.decode()
    assert 'value="unordered" checked' in page
    assert '<option value="vnext" selected>' in page


@pytest.mark.usefixtures("ada")
def test_a_link_leads_to_the_preview_of_a_rule(client: Client) -> None:
    launch = a_launch()
    differ(launch, {"cook": "Ana"}, {"cook": "Bo"})

    response = client.get(f"{NEW}?path=cook&treatment=ignore&reason=noise&preview=1")

    assert hidden(response) == 1
    assert fields_of(response)["reason"] == "noise"
    assert not Rule.objects.exists()


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    ("preset", "ours", "theirs", "equal"),
    [
        (
            "uuid",
            "order 3F2504E0-4F89-41D3-9A0C-0305E82C3301",
            "order 6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            True,
        ),
        ("uuid", "3f2504e0-4f89", "6ba7b810-9dad", False),
        ("time", "at 2026-01-05T10:00:00Z", "at 2026-01-05 11:00:01.5+01:00", True),
        ("time", "2026-01-05", "2026-01-06", False),
        ("host", "kitchen-7d9f-x2x4z:8080", "10.1.2.3", True),
        ("host", "a.kitchens.internal", "b.kitchens.internal", True),
        ("host", "grill", "fryer", False),
    ],
)
def test_a_preset_fills_in_the_form_and_makes_what_it_is_for_equal(
    client: Client, preset: str, ours: str, theirs: str, *, equal: bool
) -> None:
    launch = a_launch()
    differ(launch, {"meta": {"host": ours}}, {"meta": {"host": theirs}})

    filled = RuleForm(client.get(f"{NEW}?preset={preset}").context["form"].initial)
    response = client.get(f"{NEW}?preset={preset}&preview=1&path=meta.host")

    assert filled.is_valid()
    assert 'value="replace" checked' in response.content.decode()
    assert hidden(response) == equal


@pytest.mark.usefixtures("ada")
def test_the_preview_says_what_would_vanish_and_what_would_shrink(client: Client) -> None:
    launch = a_launch()
    differ(launch, {"cook": "Ana"}, {"cook": "Bo"})
    differ(launch, {"cook": "Ana", "total": 1.0}, {"cook": "Bo", "total": 1.001})
    differ(launch, {"total": 1.0}, {"total": 5.0})

    cook = previewed(client, IGNORE_COOK)
    total = previewed(
        client, {"path": "total", "treatment": "tolerance", "absolute": "0.01", "reason": ""}
    )

    assert hidden(cook) == 1
    assert "cook vnext vanishes 2 → 0" in text(cook)
    assert '"Ana"' in text(cook)
    assert "total vnext shrinks by 1" in text(total)
    assert not Rule.objects.exists()


@pytest.mark.usefixtures("ada")
def test_the_examples_of_a_preview_name_both_versions(client: Client) -> None:
    launch = a_launch()
    differ(launch, {"cook": "Ana"}, {"cook": "Bo"})
    differ(launch, {"cook": "Ana"}, {"cook": "Eve"}, name="vlatest-b")

    page = text(previewed(client, IGNORE_COOK))

    assert 'vlatest: "Ana" → vnext: "Bo"' in page
    assert 'vlatest: "Ana" → vlatest-b: "Eve"' in page


@pytest.mark.usefixtures("ada")
def test_what_the_preview_counts_is_what_then_vanishes(client: Client) -> None:
    launch = a_launch()
    for number in range(7):
        differ(launch, {"cook": "Ana", "n": 1}, {"cook": "Bo", "n": 1 + number % 2})
    assert pairs_against(launch.id, "vnext") == 7

    would_hide = hidden(previewed(client, IGNORE_COOK))
    response = save(client, IGNORE_COOK)
    assert pairs_against(launch.id, "vnext") == 7, "the past stays as it was counted"
    client.post(REJUDGE, {"launch": str(launch.id)})
    rejudge()

    assert response.headers["Location"] == f"{RULES}{Rule.objects.get().pk}/"
    assert 7 - pairs_against(launch.id, "vnext") == would_hide == 4
    judged = Observation.objects.exclude(judged_at=None)
    assert judged.filter(exception=None).count() == would_hide
    cook = Discrepancy.objects.get(path="cook")
    assert (cook.count, cook.ignored) == (0, 7)
    assert "7 pairs" in text(client.get(page_of(cook)))


@pytest.mark.usefixtures("ada")
def test_nothing_is_saved_that_was_not_previewed(client: Client) -> None:
    launch = a_launch()
    differ(launch, {"cook": "Ana"}, {"cook": "Bo"})
    seen = fields_of(previewed(client, IGNORE_COOK))["previewed"]

    response = client.post(NEW, {**IGNORE_COOK, "path": "**", "previewed": seen, "action": "save"})

    assert not Rule.objects.exists()
    assert "has changed since the preview" in text(response)
    assert hidden(response) == 1


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"path": ""}, "path"),
        ({"path": "a..b"}, "path"),
        ({"path": "[["}, "path"),
        ({"treatment": "tolerance"}, "absolute"),
        ({"treatment": "tolerance", "absolute": "-1"}, "absolute"),
        ({"treatment": "tolerance", "absolute": "much"}, "absolute"),
        ({"treatment": "tolerance", "relative": "nan"}, "relative"),
        ({"treatment": "times"}, "absolute"),
        ({"treatment": "times", "absolute": "-1"}, "absolute"),
        ({"treatment": "keyed"}, "key"),
        ({"treatment": "replace", "pattern": "("}, "pattern"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"path": "x" * 251}, "path"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(
    client: Client, fields: dict[str, str], field: str
) -> None:
    a_launch()

    response = previewed(client, {**IGNORE_COOK, **fields})

    assert response.status_code == 422
    assert list(problems(response)) == [field]
    kept = fields_of(response)
    assert kept["reason"] == "chance"
    assert kept[field] == fields.get(field, "")
    assert not Rule.objects.exists()


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    ("fields", "field"),
    [({"reason": " "}, "reason"), ({"expires_at": "2020-01-01T10:00"}, "expires_at")],
)
def test_a_rule_needs_a_reason_and_an_end_that_is_to_come(
    client: Client, fields: dict[str, str], field: str
) -> None:
    launch = a_launch()
    differ(launch, {"cook": "Ana"}, {"cook": "Bo"})

    response = save(client, {**IGNORE_COOK, **fields})

    assert response.status_code == 422
    assert list(problems(response)) == [field]
    assert hidden(response) == 1, "the preview stays in sight"
    assert not Rule.objects.exists()


@pytest.mark.usefixtures("ada")
def test_a_saved_rule_holds_for_what_comes_next(client: Client) -> None:
    launch = a_launch()
    response = save(
        client,
        {
            "path": "items[].minutes",
            "treatment": "tolerance",
            "relative": "0.1",
            "version": "vnext",
            "reason": "clocks",
            "expires_at": "2090-12-31T18:00",
            "key": "left over from another treatment",
        },
    )
    rule = Rule.objects.get()

    differ(launch, {"items": [{"minutes": 100}]}, {"items": [{"minutes": 95}]})

    assert (rule.author, rule.relative, rule.key, rule.version) == ("ada", 0.1, "", "vnext")
    assert rule.expires_at is not None
    assert rule.expires_at.isoformat() == "2090-12-31T18:00:00+00:00"
    pair = Observation.objects.exclude(judged_at=None).get()
    assert pair.exception is None
    page = shown(client, response.headers["Location"])
    assert "Applies to new orders" in page
    assert "Re-evaluate past orders" in page
    assert "Numbers within 10 % of the larger are equal" in page


@pytest.mark.usefixtures("ada")
def test_htmx_gets_the_form_alone_and_then_the_rules_page(client: Client) -> None:
    a_launch()
    headers = {"HX-Request": "true", "HX-Target": "rule-form"}

    part = client.post(NEW, {**IGNORE_COOK, "action": "preview"}, headers=headers)
    seen = fields_of(part)["previewed"]
    saved = client.post(NEW, {**IGNORE_COOK, "previewed": seen, "action": "save"}, headers=headers)

    assert "<html" not in part.content.decode()
    assert saved.headers["HX-Redirect"] == f"{RULES}{Rule.objects.get().pk}/"


@pytest.mark.usefixtures("ada")
def test_a_preview_shows_how_far_it_has_come_and_ends_as_if_in_one_step(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = a_launch()
    for _ in range(7):
        differ(launch, {"cook": "Ana"}, {"cook": "Bo"})
    monkeypatch.setattr("dashboard.review.preview.STEP", 3)
    headers = {"HX-Request": "true", "HX-Target": "rule-form"}
    asked = {**IGNORE_COOK, "action": "preview"}

    first = client.post(NEW, asked, headers=headers)
    sample = fields_of(first)["sample"]
    differ(launch, {"cook": "Ana"}, {"cook": "Bo"})
    said, part = [text(first)], first
    while token := fields_of(part).get("progress"):
        part = client.post(
            NEW,
            {**IGNORE_COOK, "sample": sample, "progress": token},
            headers={**headers, "HX-Target": "rule-preview"},
        )
        said.append(text(part))

    assert "Evaluated 3 of at most 1,000 pairs" in said[0]
    assert "Evaluated 6 of at most 1,000 pairs" in said[1]
    assert (len(said), hidden(part)) == (3, 7)
    assert "of all 7 with differences" in said[-1]
    assert 'id="rule-form"' not in part.content.decode()
    again = client.post(NEW, {**asked, "sample": sample})
    assert (hidden(again), fields_of(again)["sample"]) == (7, sample)
    newer = client.post(NEW, {**asked, "sample": sample, "action": "newest"})
    assert (hidden(newer), fields_of(newer)["sample"] != sample) == (8, True)


@pytest.mark.usefixtures("ada")
def test_what_was_found_for_another_draft_is_not_gone_on_with(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = a_launch()
    for _ in range(4):
        differ(launch, {"cook": "Ana"}, {"cook": "Bo"})
    monkeypatch.setattr("dashboard.review.preview.STEP", 3)
    headers = {"HX-Request": "true", "HX-Target": "rule-form"}
    first = client.post(NEW, {**IGNORE_COOK, "action": "preview"}, headers=headers)

    for token in (fields_of(first)["progress"], "forged", ""):
        other = client.post(NEW, {**IGNORE_COOK, "path": "**", "progress": token}, headers=headers)
        assert "Evaluated 3 of" in text(other)


@pytest.mark.usefixtures("ada")
def test_a_rule_can_be_made_before_there_is_a_launch(client: Client) -> None:
    response = previewed(client, IGNORE_COOK)

    assert "nothing to preview" in text(response)
    assert "Save the rule" in text(response)
    assert save(client, IGNORE_COOK).status_code == 302


@pytest.mark.usefixtures("ada")
def test_a_rule_is_ended_and_never_changed(client: Client) -> None:
    launch = a_launch()
    rule = a_rule()

    response = client.post(f"{RULES}{rule.pk}/end/")
    differ(launch, {"cook": "Ana"}, {"cook": "Bo"})

    rule.refresh_from_db()
    assert (response.headers["Location"], rule.ended_by) == (f"{RULES}{rule.pk}/", "ada")
    assert Observation.objects.exclude(judged_at=None).get().exception == "differ"
    page = shown(client, f"{RULES}{rule.pk}/")
    assert "No longer applies" in page
    assert "Re-evaluate past orders" in page


@pytest.mark.usefixtures("ada")
def test_the_past_is_judged_anew_with_its_progress_shown(client: Client) -> None:
    launch = a_launch()
    differ(launch, {"cook": "Ana"}, {"cook": "Bo"})
    rule = a_rule(created_at=timezone.now())

    asked = client.post(REJUDGE, {"launch": str(launch.id)}, headers=HTMX)
    found = Rejudging.objects.get()
    on_its_way = client.get(f"/dashboard/rejudgings/{found.pk}/", headers=HTMX)
    assert "Re-evaluating past orders" in shown(client, f"{RULES}{rule.pk}/")
    rejudge()
    done = client.get(f"/dashboard/rejudgings/{found.pk}/", headers=HTMX)

    for part in (asked, on_its_way):
        assert "<html" not in part.content.decode()
        assert 'hx-trigger="every 1s"' in part.content.decode()
    assert "hx-trigger" not in done.content.decode()
    assert "1 pair with differences evaluated, 1 changed." in text(done)
    assert "were re-evaluated" in shown(client, f"{RULES}{rule.pk}/")
    assert "were re-evaluated" in shown(client, f"/dashboard/rejudgings/{found.pk}/")


@pytest.mark.usefixtures("ada")
def test_an_old_judgement_does_not_stand_for_a_newer_rule(client: Client) -> None:
    launch = a_launch()
    differ(launch, {"cook": "Ana"}, {"cook": "Bo"})
    client.post(REJUDGE, {"launch": str(launch.id)})
    rejudge()

    rule = a_rule(created_at=timezone.now())

    assert "Re-evaluate past orders" in shown(client, f"{RULES}{rule.pk}/")


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("launch", ["", "odd", "00000000-0000-4000-8000-000000000000"])
def test_only_a_launchs_past_can_be_judged(client: Client, launch: str) -> None:
    assert client.post(REJUDGE, {"launch": launch}).status_code == 404


@pytest.mark.parametrize("logged_in", [True, False])
def test_who_may_only_watch_makes_and_ends_no_rule(client: Client, logged_in: bool) -> None:
    launch = a_launch()
    rule = a_rule()
    if logged_in:
        client.force_login(User.objects.create_user("watcher"))

    answers = [
        client.get(NEW),
        client.post(NEW, {**IGNORE_COOK, "action": "save"}),
        client.post(f"{RULES}{rule.pk}/end/"),
        client.post(REJUDGE, {"launch": str(launch.id)}),
    ]

    assert {answer.status_code for answer in answers} == {403 if logged_in else 302}
    assert Rule.objects.filter(ended_at=None).count() == 1
    assert not Rejudging.objects.exists()
    for path in (RULES, f"{RULES}{rule.pk}/"):
        assert "<form" not in re.sub(
            r'<form class="masthead-account".*?</form>', "", shown(client, path), flags=re.DOTALL
        )


def test_an_ignored_difference_is_tinted_in_its_order_with_the_reason(client: Client) -> None:
    launch = a_launch()
    a_rule(reason="who cooks is chance")
    order = differ(launch, {"cook": "Ana"}, {"cook": "Bo"})

    page = shown(client, f"/dashboard/orders/{order}/")

    assert 'class="differs" data-standing="ignored"' in page
    assert "who cooks is chance" in page
    assert "apart from 1 ignored difference" in page
    assert Launch.objects.count() == 1


@pytest.mark.usefixtures("ada")
def test_an_earlier_launch_is_previewed_and_judged_anew(client: Client) -> None:
    earlier = a_launch(name="October")
    differ(earlier, {"cook": "Ana"}, {"cook": "Bo"})
    end_launch(earlier)
    a_launch(name="December", started_at=START + timedelta(days=9))

    assert hidden(previewed(client, IGNORE_COOK)) == 0
    asked = {**IGNORE_COOK, "launch": str(earlier.id)}
    assert hidden(previewed(client, asked)) == 1
    page = save(client, asked).headers["Location"]
    assert page == f"{RULES}{Rule.objects.get().pk}/?launch={earlier.id}"
    assert fields_of(client.get(page))["launch"] == str(earlier.id)
    assert f'<option value="{earlier.id}" selected>' in shown(client, f"{NEW}?launch={earlier.id}")
    client.post(REJUDGE, {"launch": fields_of(client.get(page))["launch"]})
    assert Rejudging.objects.get().launch == earlier.id
    assert "Re-evaluating past orders of October" in text(client.get(page))
    assert client.get(page.replace(str(earlier.id), "x")).status_code == 404


@pytest.mark.usefixtures("ada")
def test_a_rule_for_a_version_that_no_launch_has_is_refused(client: Client) -> None:
    a_launch()

    response = previewed(client, {**IGNORE_COOK, "version": "vnxet"})

    assert problems(response) == {"version": "No launch has a dark version vnxet."}


@pytest.mark.usefixtures("ada")
def test_a_missing_reason_is_asked_for_once_at_its_field(client: Client) -> None:
    differ(a_launch(), {"cook": "Ana"}, {"cook": "Bo"})

    response = save(client, {**IGNORE_COOK, "reason": ""})

    assert text(response).count("Enter a reason") == 1
    assert "blank" not in text(response)
    assert not Rule.objects.exists()
