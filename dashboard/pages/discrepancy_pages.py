"""What the pages of discrepancies show: the list, and one discrepancy with its evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.paginator import Paginator
from django.db.models import F
from django.http import Http404, QueryDict
from django.urls import reverse
from django.utils import timezone

from dashboard.access import RULE, may, may_review
from dashboard.domain.comparing.judgement import GroupKind
from dashboard.domain.decision import Decision
from dashboard.models import Discrepancy, Review
from dashboard.pages.discrepancy_forms import ListForm, ReviewForm
from dashboard.pages.examples import described, examples
from dashboard.pages.rule_forms import query_of
from dashboard.reviewing.discrepancies import Row, is_carried, listed, orders_of, row_of
from dashboard.reviewing.exports import MAX_ROWS, Format
from dashboard.reviewing.proposals import UNRULED, draft_for
from kitchen_worker.contract.messages import Role
from restaurant.launches import find_launch, newest_launch
from restaurant.models import Launch

#: What the list can be had as.
FORMATS = ((Format.CSV, "CSV"), (Format.JSONL, "JSON Lines"), (Format.MARKDOWN, "Markdown"))
#: Rows of one page of the list.
_PER_PAGE = 50
#: Orders of a discrepancy that its page links to.
_ORDERS = 60
_LAUNCHES = 30
#: What a person can decide without more evidence than the page shows, with its key.
DECISIONS = (
    (Decision.BUG, "b", "Bug"),
    (Decision.BY_DESIGN, "d", "By design"),
    (Decision.NOISE, "n", "Noise"),
    (Decision.OPEN, "o", "Open again"),
)

User = AbstractBaseUser | AnonymousUser


@dataclass(frozen=True, kw_only=True)
class ListedRow:
    """A row of the list: a discrepancy, and who decided what on it."""

    row: Row
    #: The decision in which its state was set; None while nobody has decided.
    review: Review | None
    selected: bool = False
    #: True when somebody decided while this page's reader was reading.
    changed: bool = False

    @property
    def discrepancy(self) -> Discrepancy:
        """The row's discrepancy."""
        return self.row.discrepancy


def list_rows(form: ListForm, launch: Launch, at_most: int = MAX_ROWS) -> list[Row]:
    """The rows that the filters leave, the heaviest first."""
    return listed(
        launch.id,
        form.chosen("version"),
        states=form.states,
        kind=form.chosen("kind"),
        text=form.chosen("text"),
        at_most=at_most,
    )


def launch_of(form: ListForm) -> Launch | None:
    """The launch that was asked for, else the present one; raises Http404."""
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
    """All that the list shows; ``review`` is a decision that was not taken, and ``changed`` why."""
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
    """All that the page of one discrepancy shows."""
    now = timezone.now()
    launch = Launch.objects.filter(pk=discrepancy.launch).first()
    reviewing = review_context(discrepancy, user, review, changed)
    row = reviewing["row"]
    kind = GroupKind(discrepancy.kind)
    control = launch.control if launch else ""
    draft = draft_for(discrepancy)
    # Where the baseline shows the same, a rule for the version alone would leave the noise.
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


def newest_orders(discrepancy: Discrepancy) -> list[tuple[UUID, int, str]]:
    """Id, number and items of the newest orders that show it."""
    orders = orders_of(discrepancy, _ORDERS)
    named = described(orders)
    return [(uuid, *named[uuid]) for uuid in orders if uuid in named]


def review_context(
    discrepancy: Discrepancy,
    user: User,
    review: ReviewForm | None = None,
    changed: Sequence[Discrepancy] = (),
) -> dict[str, Any]:
    """The part of that page on which it is decided."""
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
    """The present launch, if that has still to show this bug of an earlier one."""
    newest = newest_launch() if discrepancy.state == Decision.BUG else None
    return newest if newest and is_carried(newest.id, discrepancy) else None


def last_reviews(discrepancies: Iterable[Discrepancy]) -> dict[int, Review]:
    """The decision that set each discrepancy's state, in one query."""
    reviews = Review.objects.filter(
        discrepancy__in=[one.pk for one in discrepancies], revision=F("discrepancy__revision")
    )
    return {review.discrepancy_id: review for review in reviews}


def conflicts(changed: Sequence[Discrepancy]) -> list[tuple[Discrepancy, Review | None]]:
    """What others decided while somebody was reading."""
    last = last_reviews(changed)
    return [(one, last.get(one.pk)) for one in changed]
