"""The timeline of a launch: every act and event, newest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from dashboard.comparison.foreign_text import visible
from dashboard.launches.guards import acknowledged
from dashboard.models import (
    DecisionStep,
    FinalVerdict,
    LaunchDecision,
    Participant,
    RampChange,
    Review,
    Rule,
)
from dashboard.review.thresholds import changes
from restaurant.models import Launch

#: Events on a page.
ON_A_PAGE = 50


@dataclass(frozen=True, kw_only=True)
class TimelineEvent:
    """One act or event."""

    at: datetime
    #: What kind it is, in a word.
    kind: str
    what: str
    #: Empty for what nobody did.
    author: str = ""
    reason: str = ""
    #: A decision against the verdict.
    opposed: bool = False
    #: A page of the dashboard: its URL name, and the id that it takes.
    page: str = ""
    pk: int = 0


class Page(NamedTuple):
    """Events, newest first, and the time before which there are older ones."""

    events: list[TimelineEvent]
    older: datetime | None


def timeline(launch: Launch, before: datetime | None = None, *, at_most: int = ON_A_PAGE) -> Page:
    """The newest events of a launch before a time; events of one moment are not split."""
    found = sorted(_events(launch, before, at_most + 1), key=lambda one: one.at, reverse=True)
    shown = found[:at_most]
    shown += [one for one in found[at_most:] if one.at == shown[-1].at]
    return Page(shown, shown[-1].at if len(found) > len(shown) else None)


def _events(launch: Launch, before: datetime | None, at_most: int) -> Iterator[TimelineEvent]:
    """The newest events of each source."""

    def newest(rows: QuerySet[Any], field: str) -> Iterable[Any]:
        earlier = rows.filter(**{f"{field}__lt": before}) if before is not None else rows
        return earlier.order_by(f"-{field}", "-pk")[:at_most]

    for one in newest(launch.changes.all(), "at"):
        yield TimelineEvent(
            at=one.at, kind="change", what=str(one), author=one.author, reason=one.reason
        )
    yield from _thresholds(launch, before, at_most)
    reviews = Review.objects.filter(discrepancy__launch=launch.pk).select_related("discrepancy")
    for one in newest(reviews, "decided_at"):
        yield TimelineEvent(
            at=one.decided_at,
            kind="review",
            what=f"{visible(one.discrepancy.path)}: {one.decision.replace('_', ' ')}",
            author=one.author,
            reason=one.note,
            page="discrepancy",
            pk=one.discrepancy.pk,
        )
    ramps = RampChange.objects.filter(plan__launch=launch.pk).select_related("plan")
    for one in newest(ramps, "at"):
        yield TimelineEvent(
            at=one.at,
            kind="ramp plan",
            what=f"{one.plan.version}: {one.kind}",
            author=one.author,
            reason=one.reason,
        )
    for one in newest(acknowledged(launch.pk), "acknowledged_at"):
        yield TimelineEvent(
            at=one.acknowledged_at,
            kind="guard",
            what=f"{one.version}: acknowledged that the guard \N{LEFT DOUBLE QUOTATION MARK}"
            f"{one.guard}\N{RIGHT DOUBLE QUOTATION MARK} stopped it",
            author=one.acknowledged_by,
            reason=one.acknowledged_reason,
        )
    yield from _rules(launch, before, at_most)
    yield from _builds(launch, before)
    for one in newest(FinalVerdict.objects.filter(launch=launch.pk), "at"):
        yield TimelineEvent(
            at=one.at, kind="verdict", what=f"final on {one.version}: {one.word.upper()}"
        )
    for one in newest(LaunchDecision.objects.filter(launch=launch.pk), "at"):
        yield TimelineEvent(
            at=one.at,
            kind="decision",
            what=f"{one.version}: {DecisionStep(one.step).on(one.choice)}",
            author=one.author,
            reason=one.reason,
            opposed=one.opposed,
        )


def _thresholds(launch: Launch, before: datetime | None, at_most: int) -> Iterator[TimelineEvent]:
    for one in changes(launch.pk, at_most, until=before):
        names = ", ".join(name.replace("_", " ") for name, *_ in one.lines)
        yield TimelineEvent(
            at=one.set_at,
            kind="thresholds",
            what=f"changed: {names}" if names else "none changed",
            author=one.author,
            reason=one.reason,
        )


def _rules(launch: Launch, before: datetime | None, at_most: int) -> Iterator[TimelineEvent]:
    """The rules made and ended while the launch ran."""
    until = launch.ended_at or datetime.now(UTC)
    during = Q(created_at__range=(launch.started_at, until))
    during |= Q(ended_at__range=(launch.started_at, until))
    for one in Rule.objects.filter(during)[: 2 * at_most]:
        moments = [(one.created_at, "made", one.author, one.reason)]
        if one.ended_at is not None:
            moments.append((one.ended_at, "ended", one.ended_by, ""))
        for at, what, author, reason in moments:
            if launch.started_at <= at <= until and (before is None or at < before):
                yield TimelineEvent(
                    at=at,
                    kind="rule",
                    what=f"{what}: {one}",
                    author=author,
                    reason=reason,
                    page="rule",
                    pk=one.pk,
                )


def _builds(launch: Launch, before: datetime | None) -> Iterator[TimelineEvent]:
    """The first report of each build; a version keeps a bounded number of them."""
    for one in Participant.objects.filter(launch=launch.pk).values_list("version", "builds"):
        version, builds = one
        for build, first, _ in builds:
            at = datetime.fromtimestamp(first, UTC)
            if before is None or at < before:
                named = visible(build) or "without a name"
                yield TimelineEvent(at=at, kind="build", what=f"{version}: first report of {named}")
