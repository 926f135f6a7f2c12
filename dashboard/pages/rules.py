"""The pages of rules: list, preview, save, end, and re-evaluation of past orders."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.access import RULE, access_by, board_access, may
from dashboard.board import wording
from dashboard.comparison.rules import RuleError, Treatment
from dashboard.ingest.rulebook import end_rule, make_rule, stored_rules
from dashboard.models import Rejudging, Rule
from dashboard.pages.board import asked_launch
from dashboard.pages.rule_forms import GIVEN, RuleForm, as_question, query_of
from dashboard.review.preview import MAX_PAIRS, Progress, Sample, preview_step
from dashboard.review.proposals import PRESETS, proposals, rejudged_share, request_rejudging
from restaurant.launches import find_launch, newest_launch
from restaurant.models import Launch

#: Ended rules on the list.
_PAST = 100
#: Templates by htmx's target: the form, or its preview.
_PARTS = {
    "rule-form": "dashboard/_rule_form.html",
    "rule-preview": "dashboard/_preview.html",
}
_SALT = "dashboard.preview"
#: Launches to choose from.
_LAUNCHES = 30


@require_safe
@never_cache
@board_access
def rules(request: HttpRequest) -> HttpResponse:
    """The rules in force, and those that ended or expired."""
    in_force = stored_rules(timezone.now())[::-1]
    past = Rule.objects.exclude(pk__in=[rule.pk for rule in in_force])[:_PAST]
    context = {"in_force": in_force, "past": past, "may_rule": may(request.user, RULE)}
    return render(request, "dashboard/rules.html", context)


@require_safe
@never_cache
@board_access
def rule_proposals(request: HttpRequest) -> HttpResponse:
    """Proposed rules for the baseline's noise: part of other pages, or a page of its own."""
    launch = asked_launch(request)
    found = proposals(launch.id, timezone.now()) if launch is not None else []
    asked = str(launch.id) if launch is not None and launch.ended_at else ""
    context = {
        "launch": launch,
        "may_rule": may(request.user, RULE),
        "proposals": [
            (
                one.draft,
                one.row,
                as_question(one.draft),
                query_of(
                    one.draft,
                    launch=asked,
                    preview="1",
                    reason=f"Noise: {wording.part(one.row.noise_rate)} of control pairs differ.",
                ),
            )
            for one in found
        ],
    }
    part = "HX-Request" in request.headers
    template = "dashboard/_proposals.html" if part else "dashboard/proposals.html"
    return render(request, template, context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@access_by(RULE)
def rule_new(request: HttpRequest) -> HttpResponse:
    """The form of a new rule, its preview, and saving it."""
    if request.method != "POST":
        given = _given(request.GET)
        # A proposal opens with its preview.
        form = RuleForm(given) if request.GET.get("preview") else RuleForm(initial=given)
        form.is_valid()
        return _rule_page(request, form, asked_launch(request))
    launch = _launch(request.POST["launch"]) if request.POST.get("launch") else newest_launch()
    form = RuleForm(request.POST)
    saving = request.POST.get("action") == "save"
    if form.is_valid() and saving and form.was_previewed:
        made = _make(form, request)
        if made is not None:
            return _to(request, made, launch)
    return _rule_page(request, form, launch, saving=saving)


@require_safe
@never_cache
@board_access
def rule(request: HttpRequest, pk: int) -> HttpResponse:
    """One rule, and the re-evaluation of past orders."""
    found = get_object_or_404(Rule, pk=pk)
    launch = asked_launch(request)
    latest = Rejudging.objects.filter(launch=launch.id).first() if launch else None
    since = max(filter(None, (found.created_at, found.ended_at)))
    covers = latest is not None and latest.requested_at >= since
    context = {
        "rule": found,
        "in_force": found in stored_rules(timezone.now()),
        "launch": launch,
        "launches": _launches(),
        "rejudging": latest if covers else None,
        "progress": rejudged_share(latest) if latest is not None and covers else 0,
        "may_rule": may(request.user, RULE),
    }
    return render(request, "dashboard/rule.html", context)


@require_POST
@access_by(RULE)
def rule_end(request: HttpRequest, pk: int) -> HttpResponse:
    """End a rule: new orders are compared without it."""
    found = get_object_or_404(Rule, pk=pk)
    end_rule(found, author=request.user.get_username(), now=timezone.now())
    return redirect("rule", pk=pk)


@require_POST
@access_by(RULE)
def rejudge(request: HttpRequest) -> HttpResponse:
    """Re-evaluate a launch's stored pairs by the rules in force."""
    asked = _launch(request.POST.get("launch", ""))
    author = request.user.get_username()
    found = request_rejudging(asked.id, author=author, now=timezone.now())
    if "HX-Request" in request.headers:
        return _progress(request, found)
    return redirect("rejudging", pk=found.pk)


@require_safe
@never_cache
@board_access
def rejudging_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The progress of a re-evaluation: a page of its own, or the part that polls."""
    found = get_object_or_404(Rejudging, pk=pk)
    return _progress(request, found)


def _progress(request: HttpRequest, found: Rejudging) -> HttpResponse:
    part = "HX-Request" in request.headers
    template = "dashboard/_rejudging.html" if part else "dashboard/rejudging.html"
    context = {
        "rejudging": found,
        "progress": rejudged_share(found),
        "launch": find_launch(found.launch),
    }
    return render(request, template, context)


def _given(query: QueryDict) -> dict[str, str]:
    """The form's fields from a link or a preset."""
    given = {"treatment": Treatment.IGNORE.value}
    preset = next((one for one in PRESETS if one.name == query.get("preset")), None)
    if preset is not None:
        given |= {
            "treatment": Treatment.REPLACE.value,
            "path": preset.path,
            "pattern": preset.pattern,
            "replacement": preset.replacement,
        }
    return given | {name: str(query[name]) for name in GIVEN if query.get(name)}


def _make(form: RuleForm, request: HttpRequest) -> Rule | None:
    """Store the draft; None if it is refused, with the error in the form."""
    if form.draft is None or not form.says_why():
        return None
    try:
        return make_rule(
            form.draft,
            reason=form.cleaned_data["reason"],
            author=request.user.get_username(),
            expires_at=form.expires,
            now=timezone.now(),
        )
    except RuleError as error:
        form.refuse(error)
        return None


def _rule_page(
    request: HttpRequest, form: RuleForm, launch: Launch | None, *, saving: bool = False
) -> HttpResponse:
    context: dict[str, Any] = {
        "form": form,
        "launch": launch,
        "launches": _launches(),
        "saving": saving,
        "presets": PRESETS,
        "versions": _versions(launch, form["version"].value()),
        "most": MAX_PAIRS,
    }
    if form.draft is not None and launch is not None:
        progress = _progress_of(request, form, launch)
        context["sample"] = Sample(progress.until, progress.at)
        found = preview_step(launch.id, form.draft, timezone.now(), progress)
        # Without JavaScript nothing requests the next step.
        while found is None and request.method == "POST" and "HX-Request" not in request.headers:
            found = preview_step(launch.id, form.draft, timezone.now(), progress)
        if found is None:
            context["progress"] = progress
            context["token"] = _token(form, launch, progress)
        else:
            context |= {
                "preview": found,
                "hidden_of": sorted(found.hidden_of.items()),
                "control": launch.control,
            }
    part = _PARTS.get(request.headers.get("HX-Target", ""), "dashboard/rule_new.html")
    return render(request, part, context, status=422 if form.errors else 200)


def _progress_of(request: HttpRequest, form: RuleForm, launch: Launch) -> Progress:
    """The progress of this draft's preview, else the start of the page's sample or of a new one."""
    try:
        key, stored = signing.loads(request.POST.get("progress", ""), salt=_SALT)
        if key == [str(launch.id), form.fingerprint]:
            return msgspec.convert(stored, Progress, str_keys=True)
    except signing.BadSignature:
        pass
    shown = Sample.read(request.POST.get("sample", ""))
    return Progress.of(
        Sample.now(launch.id) if shown is None or request.POST.get("action") == "newest" else shown
    )


def _token(form: RuleForm, launch: Launch, progress: Progress) -> str:
    """The progress so far, signed, for the next step."""
    stored = msgspec.to_builtins(progress, str_keys=True)
    return signing.dumps(([str(launch.id), form.fingerprint], stored), salt=_SALT, compress=True)


def _to(request: HttpRequest, made: Rule, launch: Launch | None) -> HttpResponse:
    """Redirect to the rule, with the launch on which it was previewed."""
    page = reverse("rule", args=[made.pk])
    if launch is not None and launch != newest_launch():
        page += f"?launch={launch.id}"
    if "HX-Request" in request.headers:
        return HttpResponse(headers={"HX-Redirect": page})
    return redirect(page)


def _launches() -> list[Launch]:
    """Launches to preview a rule on, newest first."""
    return list(Launch.objects.order_by("-started_at")[:_LAUNCHES])


def _versions(launch: Launch | None, asked: str | None) -> list[str]:
    """The versions that a rule can be for: the launch's, and the one in the form."""
    known = [dark.version for dark in launch.dark_versions.all()] if launch else []
    return known if not asked or asked in known else [*known, asked]


def _launch(text: str) -> Launch:
    try:
        found = find_launch(UUID(text))
    except ValueError:
        found = None
    if found is None:
        raise Http404("there is no such launch")
    return found
