"""The list of discrepancies, its exports, and the page of one with its examples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.paginator import Paginator
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard.access import RULE, board_access, may, may_review
from dashboard.comparison.judgement import GroupKind, values_at
from dashboard.comparison.outcome import Decision, State
from dashboard.models import Discrepancy, Observation, ObservedOrder, Review
from dashboard.pages.discrepancy_forms import ListForm, ReviewForm
from dashboard.pages.orders import Groups, Rulebook, marks_of
from dashboard.pages.rule_forms import query_of
from dashboard.pages.side_by_side import Mark
from dashboard.review.listing import (
    MAX_ROWS,
    Format,
    ListedDiscrepancy,
    export,
    is_carried,
    listed,
    orders_of,
    row_of,
)
from dashboard.review.proposals import UNRULED, draft_for
from dashboard.review.replaying import ending_of
from kitchen_worker.contract.messages import Role
from restaurant.launches import find_launch, newest_launch
from restaurant.models import Launch

#: Examples that a page shows.
EXAMPLES = 12
_FAILURES = (GroupKind.FAILED, GroupKind.CONTROL_FAILED)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An order that shows a discrepancy, with the control's and the version's values."""

    order_id: str
    #: None if the order is not stored anymore.
    order: ObservedOrder | None
    build: str = ""
    #: The errors of a failure; empty for the one that did not fail.
    control_error: str = ""
    version_error: str = ""
    #: The discrepancy's differences, and the order's others.
    marks: tuple[Mark, ...] = ()
    others: tuple[Mark, ...] = ()


def examples(discrepancy: Discrepancy, control: str, now: datetime) -> list[Shown]:
    """The examples that a discrepancy keeps, sampled evenly from all its orders."""
    ids = [order_id for _, order_id in discrepancy.examples[:EXAMPLES]]
    orders = observed(ids)
    seen = _seen(orders.values(), discrepancy, control)
    comparer = _Comparer(discrepancy, Rulebook.of(now))
    return [
        comparer.fill(
            Shown(order_id=order_id, order=orders.get(order_id)),
            seen[order_id].get(control),
            seen[order_id].get(discrepancy.version),
        )
        for order_id in ids
    ]


def observed(order_ids: Collection[str]) -> dict[str, ObservedOrder]:
    """The stored orders among these, by id; without their bodies."""
    rows = ObservedOrder.objects.filter(order_id__in=order_ids).defer("body")
    return {one.order_id: one for one in rows}


def _seen(
    orders: Collection[ObservedOrder], discrepancy: Discrepancy, control: str
) -> Mapping[str, dict[str, Observation]]:
    """The observations of the control and a discrepancy's version, by order and version."""
    found: defaultdict[str, dict[str, Observation]] = defaultdict(dict)
    names = {one.pk: one.order_id for one in orders}
    rows = Observation.objects.filter(
        order__in=list(names),
        participant__launch=discrepancy.launch,
        participant__version__in=(control, discrepancy.version),
    )
    for one in rows.select_related("participant"):
        found[names[one.order_id]][one.participant.version] = one
    return found


@dataclass(frozen=True)
class _Comparer:
    """Fills in the examples of a discrepancy by the rules in force."""

    discrepancy: Discrepancy
    rulebook: Rulebook

    def fill(self, bare: Shown, ours: Observation | None, theirs: Observation | None) -> Shown:
        """Add both versions' values."""
        if ours is None or theirs is None or State.RECEIVED in (ours.state, theirs.state):
            return bare
        version = self.discrepancy.version
        ends = ending_of(ours), ending_of(theirs)
        wanted = self.discrepancy.group
        if wanted.kind in _FAILURES:
            control_error, version_error = values_at(*ends, wanted, self.rulebook.rules(version))
            return replace(
                bare, build=theirs.build, control_error=control_error, version_error=version_error
            )
        marks = marks_of(*ends, self.rulebook, version, Groups({wanted: self.discrepancy}))
        if wanted.kind in (GroupKind.MANY, GroupKind.OTHER):
            return replace(bare, build=theirs.build, others=tuple(marks))
        of_it = [mark.discrepancy == self.discrepancy.pk for mark in marks]
        return replace(
            bare,
            build=theirs.build,
            marks=tuple(mark for mark, wanted in zip(marks, of_it, strict=True) if wanted),
            others=tuple(mark for mark, wanted in zip(marks, of_it, strict=True) if not wanted),
        )


#: Formats of the export.
FORMATS = ((Format.CSV, "CSV"), (Format.JSONL, "JSON Lines"), (Format.MARKDOWN, "Markdown"))
#: Rows of one page of the list.
_PER_PAGE = 50
#: Orders of a discrepancy that its page links to.
_ORDERS = 60
_LAUNCHES = 30
#: Decisions that need no evidence besides the page, with their keys.
DECISIONS = (
    (Decision.BUG, "b", "Bug"),
    (Decision.BY_DESIGN, "d", "By design"),
    (Decision.NOISE, "n", "Noise"),
    (Decision.OPEN, "o", "Reopen"),
)

User = AbstractBaseUser | AnonymousUser


@dataclass(frozen=True, kw_only=True)
class ListedRow:
    """A row of the list: a discrepancy with its last review."""

    row: ListedDiscrepancy
    #: The review that set its state; None if there is none.
    review: Review | None
    selected: bool = False
    #: Whether somebody else decided while the reader was reading.
    changed: bool = False

    @property
    def discrepancy(self) -> Discrepancy:
        """The row's discrepancy."""
        return self.row.discrepancy


def list_rows(form: ListForm, launch: Launch, at_most: int = MAX_ROWS) -> list[ListedDiscrepancy]:
    """The rows that match the filters, most frequent first."""
    return listed(
        launch.id,
        form.chosen("version"),
        states=form.states,
        kind=form.chosen("kind"),
        text=form.chosen("text"),
        at_most=at_most,
    )


def launch_of(form: ListForm) -> Launch | None:
    """The launch that is asked for, else the newest; raises Http404."""
    if form.launch_id is None:
        return newest_launch()
    launch = find_launch(form.launch_id)
    if launch is None:
        raise Http404(f"there is no launch {form.launch_id}")
    return launch


def list_context(
    query: QueryDict,
    user: User,
    review: ReviewForm | None = None,
    changed: Sequence[Discrepancy] = (),
) -> dict[str, Any]:
    """The context of the list; ``review``: a refused decision; ``changed``: its conflicts."""
    form = ListForm(query)
    launch = launch_of(form)
    review = review or ReviewForm()
    page = Paginator(list_rows(form, launch) if launch else [], _PER_PAGE).get_page(
        form.page_number
    )
    rows = list(page)
    last = last_reviews(row.discrepancy for row in rows)
    versions = launch.dark_versions.all() if launch else []
    changed_ids = {one.pk for one in changed}
    asked = form.query_of(page.number)
    here = reverse("discrepancies") + (f"?{asked}" if asked else "")
    return {
        "launch": launch,
        "launches": list(Launch.objects.order_by("-started_at")[:_LAUNCHES]),
        "versions": versions,
        "many_versions": sum(dark.role == Role.CANDIDATE for dark in versions) > 1,
        "form": form,
        "rows": [
            ListedRow(
                row=row,
                review=last.get(row.discrepancy.pk),
                selected=row.discrepancy.pk in review.selected - changed_ids,
                changed=row.discrepancy.pk in changed_ids,
            )
            for row in rows
        ],
        "page": page,
        "before": form.query_of(page.number - 1) if page.has_previous() else None,
        "after": form.query_of(page.number + 1) if page.has_next() else None,
        "here": here,
        "formats": FORMATS,
        "review": review,
        "conflicts": conflicts(changed),
        "decisions": DECISIONS,
        "may_review": may_review(user),
    }


def page_context(
    discrepancy: Discrepancy,
    user: User,
    review: ReviewForm | None = None,
    changed: Sequence[Discrepancy] = (),
) -> dict[str, Any]:
    """The context of a discrepancy's page."""
    now = timezone.now()
    launch = Launch.objects.filter(pk=discrepancy.launch).first()
    reviewing = review_context(discrepancy, user, review, changed)
    row = reviewing["row"]
    kind = GroupKind(discrepancy.kind)
    control = launch.control if launch else ""
    draft = draft_for(discrepancy)
    # A rule for the version alone would not remove the noise that the baseline shows.
    version = "" if row.noise_count else discrepancy.version
    ended = str(launch.id) if launch and launch.ended_at else ""
    return {
        "launch": launch,
        "control": control,
        "role": Role.CANDIDATE if row.of_candidate else Role.BASELINE,
        "examples": examples(discrepancy, control, now),
        "may_rule": may(user, RULE) and kind not in UNRULED,
        "rule_query": query_of(draft, version=version, launch=ended)
        if draft
        else urlencode({"path": discrepancy.path, "launch": ended}),
        **reviewing,
    }


def newest_orders(discrepancy: Discrepancy) -> list[ObservedOrder]:
    """The newest orders that show it."""
    shown = ObservedOrder.objects.filter(pk__in=orders_of(discrepancy, _ORDERS))
    return list(shown.order_by("-pk").defer("body"))


def review_context(
    discrepancy: Discrepancy,
    user: User,
    review: ReviewForm | None = None,
    changed: Sequence[Discrepancy] = (),
) -> dict[str, Any]:
    """The context of the page's part for reviews."""
    carried_to = _carried_to(discrepancy)
    return {
        "discrepancy": discrepancy,
        "carried_to": carried_to,
        "found_in": find_launch(discrepancy.launch) if carried_to else None,
        "row": row_of(discrepancy),
        "history": list(discrepancy.reviews.select_related("replay")),
        "here": reverse("discrepancy", args=[discrepancy.pk]),
        "review": review or ReviewForm(),
        "conflicts": conflicts(changed),
        "decisions": DECISIONS,
        "may_review": may_review(user),
    }


def _carried_to(discrepancy: Discrepancy) -> Launch | None:
    """The newest launch, if this is a bug of an earlier one that it has not shown yet."""
    newest = newest_launch() if discrepancy.state == Decision.BUG else None
    return newest if newest and is_carried(newest.id, discrepancy) else None


def last_reviews(discrepancies: Iterable[Discrepancy]) -> dict[int, Review]:
    """The review that set each discrepancy's state, in one query."""
    reviews = Review.objects.filter(
        discrepancy__in=[one.pk for one in discrepancies], revision=F("discrepancy__revision")
    )
    return {review.discrepancy_id: review for review in reviews}


def conflicts(changed: Sequence[Discrepancy]) -> list[tuple[Discrepancy, Review | None]]:
    """Discrepancies that others decided on meanwhile, with their reviews."""
    last = last_reviews(changed)
    return [(one, last.get(one.pk)) for one in changed]


@require_safe
@never_cache
@board_access
def discrepancies(request: HttpRequest) -> HttpResponse:
    """The list of discrepancies, most frequent first; only the table when htmx asks for it."""
    part = request.headers.get("HX-Target") == "discrepancies"
    template = "dashboard/_listed.html" if part else "dashboard/discrepancies.html"
    context = {**list_context(request.GET, request.user), "part": part}
    response = render(request, template, context)
    response.headers["Vary"] = "HX-Target, Cookie"
    if part:
        response.headers["HX-Replace-Url"] = context["here"]
    return response


@require_safe
@never_cache
@board_access
def discrepancies_export(request: HttpRequest, kind: str) -> HttpResponseBase:
    """What the list shows, as a file."""
    form = ListForm(request.GET)
    launch = launch_of(form)
    if launch is None:
        raise Http404("there is no launch yet")
    try:
        wanted = Format(kind)
    except ValueError:
        raise Http404(f"there is no export as {kind}") from None
    return export(list_rows(form, launch), wanted)


@require_safe
@never_cache
@board_access
def discrepancy(request: HttpRequest, pk: int) -> HttpResponse:
    """One discrepancy: its rate, examples and reviews."""
    found = get_object_or_404(Discrepancy, pk=pk)
    return render(request, "dashboard/discrepancy.html", page_context(found, request.user))


@require_safe
@never_cache
@board_access
def discrepancy_orders(request: HttpRequest, pk: int) -> HttpResponse:
    """The newest orders that show a discrepancy: part of its page, or a page of its own."""
    found = get_object_or_404(Discrepancy, pk=pk)
    context = {"discrepancy": found, "orders": newest_orders(found)}
    return _part(request, "dashboard/_newest_orders.html", context)


@require_safe
@never_cache
@board_access
def discrepancy_replays(request: HttpRequest, pk: int) -> HttpResponse:
    """A discrepancy's replays: part of its page, or a page of their own."""
    found = get_object_or_404(Discrepancy, pk=pk)
    return _part(request, "dashboard/_replays.html", {"discrepancy": found})


def _part(request: HttpRequest, part: str, context: dict[str, Any]) -> HttpResponse:
    if "HX-Request" in request.headers:
        return render(request, part, context)
    return render(request, "dashboard/discrepancy_part.html", {**context, "part": part})
