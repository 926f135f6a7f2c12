"""The rules: listed, made after a preview, ended, and applied to the past."""

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
from dashboard.domain.comparing.rules import RuleError, Treatment
from dashboard.models import Rejudging, Rule
from dashboard.observing.rulebook import end_rule, make_rule, stored_rules
from dashboard.pages.examples import described
from dashboard.pages.launches import asked_launch
from dashboard.pages.rule_forms import GIVEN, RuleForm, query_of
from dashboard.pages.rule_words import as_question
from dashboard.reviewing import rejudging
from dashboard.reviewing.preview import MAX_LOOKED_AT, Progress, Sample, look
from dashboard.reviewing.proposals import PRESETS, proposals
from restaurant.launches import find_launch, newest_launch
from restaurant.models import Launch

#: Rules that are over, on the list.
_PAST = 100
#: By what htmx asks for: the form alone, or its preview.
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
    """The rules in force, and below them those that are over."""
    in_force = stored_rules(timezone.now())[::-1]
    past = Rule.objects.exclude(pk__in=[rule.pk for rule in in_force])[:_PAST]
    context = {"in_force": in_force, "past": past, "may_rule": may(request.user, RULE)}
    return render(request, "dashboard/rules.html", context)


@require_safe
@never_cache
@board_access
def rule_proposals(request: HttpRequest) -> HttpResponse:
    """Rules for what the baseline differs in as well: a part of other pages, or a page."""
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
    """A new rule: first what it would hide, then its place in force."""
    if request.method != "POST":
        given = _given(request.GET)
        # With what a proposal gives, a preview is one click away.
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
    """One rule: what it does, why, on whose word, and how to apply it to the past."""
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
        "progress": rejudging.progress(latest) if latest is not None and covers else 0,
        "may_rule": may(request.user, RULE),
    }
    return render(request, "dashboard/rule.html", context)


@require_POST
@access_by(RULE)
def rule_end(request: HttpRequest, pk: int) -> HttpResponse:
    """End a rule: what comes next is judged without it."""
    found = get_object_or_404(Rule, pk=pk)
    end_rule(found, author=request.user.get_username(), now=timezone.now())
    return redirect("rule", pk=pk)


@require_POST
@access_by(RULE)
def rejudge(request: HttpRequest) -> HttpResponse:
    """Have a launch's stored pairs judged anew by the rules in force."""
    asked = _launch(request.POST.get("launch", ""))
    author = request.user.get_username()
    found = rejudging.request(asked.id, author=author, now=timezone.now())
    if "HX-Request" in request.headers:
        return _progress(request, found)
    return redirect("rejudging", pk=found.pk)


@require_safe
@never_cache
@board_access
def rejudging_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """How far it has come, as a page of its own or as the part that asks again."""
    found = get_object_or_404(Rejudging, pk=pk)
    return _progress(request, found)


def _progress(request: HttpRequest, found: Rejudging) -> HttpResponse:
    part = "HX-Request" in request.headers
    template = "dashboard/_rejudging.html" if part else "dashboard/rejudging.html"
    context = {
        "rejudging": found,
        "progress": rejudging.progress(found),
        "launch": find_launch(found.launch),
    }
    return render(request, template, context)


def _given(query: QueryDict) -> dict[str, str]:
    """The form's fields as a link gives them, those of a preset among them."""
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
    """Store the draft; None when that was refused, which is then said in the form."""
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
        "most": MAX_LOOKED_AT,
    }
    if form.draft is not None and launch is not None:
        progress = _progress_of(request, form, launch)
        context["sample"] = Sample(progress.until, progress.at)
        found = look(launch.id, form.draft, timezone.now(), progress)
        # Without a script nobody asks for the next step.
        while found is None and request.method == "POST" and "HX-Request" not in request.headers:
            found = look(launch.id, form.draft, timezone.now(), progress)
        if found is None:
            context["progress"] = progress
            context["token"] = _token(form, launch, progress)
        else:
            named = described(one.order for one in found.examples)
            context |= {
                "preview": found,
                "hidden_of": sorted(found.hidden_of.items()),
                "examples": [(*named.get(one.order, (None, "")), one) for one in found.examples],
                "control": launch.control,
            }
    part = _PARTS.get(request.headers.get("HX-Target", ""), "dashboard/rule_new.html")
    return render(request, part, context, status=422 if form.errors else 200)


def _progress_of(request: HttpRequest, form: RuleForm, launch: Launch) -> Progress:
    """How far a preview has come: of just this draft, else at the beginning of the sample that the
    page was shown, unless a newer one is asked for."""
    try:
        key, stored = signing.loads(request.POST.get("progress", ""), salt=_SALT)
        if key == [str(launch.id), form.fingerprint]:
            return msgspec.convert(stored, Progress, str_keys=True)
    except signing.BadSignature:
        pass
    shown = Sample.read(request.POST.get("sample", ""))
    return Progress.of(
        Sample.now() if shown is None or request.POST.get("action") == "newest" else shown
    )


def _token(form: RuleForm, launch: Launch, progress: Progress) -> str:
    """What has been found so far, for the next step to go on with."""
    stored = msgspec.to_builtins(progress, str_keys=True)
    return signing.dumps(([str(launch.id), form.fingerprint], stored), salt=_SALT, compress=True)


def _to(request: HttpRequest, made: Rule, launch: Launch | None) -> HttpResponse:
    """To the rule, and there to the launch over whose past it was previewed."""
    page = reverse("rule", args=[made.pk])
    if launch is not None and launch != newest_launch():
        page += f"?launch={launch.id}"
    if "HX-Request" in request.headers:
        return HttpResponse(headers={"HX-Redirect": page})
    return redirect(page)


def _launches() -> list[Launch]:
    """Those over whose past a rule can be previewed and applied, the newest first."""
    return list(Launch.objects.order_by("-started_at")[:_LAUNCHES])


def _versions(launch: Launch | None, asked: str | None) -> list[str]:
    """The versions that a rule can be for: the launch's, and the one that was asked for."""
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
