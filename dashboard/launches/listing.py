"""The list of launches: each with its versions, its verdicts, its decisions and its counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.db.models import Count, QuerySet
from django.utils import timezone

from dashboard.board import wording
from dashboard.comparison.outcome import Decision
from dashboard.launches.decisions import newest_steps
from dashboard.launches.words import Spoken, candidates_of, final_words, words_now
from dashboard.models import (
    DecisionStep,
    Discrepancy,
    FinalVerdict,
    LaunchChoice,
    LaunchDecision,
    Participant,
)
from dashboard.verdict.wording import Word
from kitchen_worker.contract.messages import Role
from restaurant.launches import newest_launches
from restaurant.models import DarkVersion, Launch

#: Launches on a page of the list, and those that can be paged through.
ON_A_PAGE = 20
MOST = 1_000
#: How long after its end a launch may still be counted.
_COUNTING = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class ListedVersion:
    """A dark version in the list."""

    dark: DarkVersion
    #: Its place among the launch's versions; the control's is 0.
    place: int
    spoken: Spoken = field(default_factory=Spoken)
    decision: LaunchDecision | None = None

    @property
    def is_candidate(self) -> bool:
        return self.dark.role == Role.CANDIDATE


@dataclass(frozen=True, kw_only=True)
class ListedLaunch:
    """A launch in the list."""

    launch: Launch
    versions: Sequence[ListedVersion]
    #: Orders of the control.
    orders: int
    #: Undecided discrepancies of the candidates.
    open: int

    @property
    def ran(self) -> str:
        """For how long it ran, or has run so far."""
        end = self.launch.ended_at or timezone.now()
        return wording.age((end - self.launch.started_at).total_seconds())


def every_launch() -> QuerySet[Launch]:
    """The launches with their dark versions: the open one, then the newest first; bounded."""
    return newest_launches().prefetch_related("dark_versions")[:MOST]


def listed(launches: Sequence[Launch]) -> list[ListedLaunch]:
    """Launches with all that the list shows of them, by a fixed number of queries and those of
    the verdicts that are not final yet."""
    ids = [one.pk for one in launches]
    words: dict[UUID, Mapping[str, Spoken]] = {**final_words(ids)}
    words |= {one.pk: words_now(one) for one in launches if _is_counting(one, words)}
    decided, orders, waiting = newest_steps(ids), _orders(launches), _open(launches)
    return [
        ListedLaunch(
            launch=one,
            versions=[
                ListedVersion(
                    dark=dark,
                    place=place,
                    spoken=words.get(one.pk, {}).get(dark.version, Spoken()),
                    decision=decided.get((one.pk, dark.version)),
                )
                for place, dark in enumerate(one.dark_versions.all(), start=1)
            ],
            orders=orders[one.pk],
            open=waiting[one.pk],
        )
        for one in launches
    ]


def _is_counting(launch: Launch, final: Container[UUID]) -> bool:
    """Whether the verdict is not final, and its orders still come or have come just now."""
    recently = timezone.now() - _COUNTING
    return launch.ended_at is None or (launch.pk not in final and launch.ended_at > recently)


def _orders(launches: Collection[Launch]) -> Counter[UUID]:
    controls = {(one.pk, one.control) for one in launches}
    found: Counter[UUID] = Counter()
    rows = Participant.objects.filter(launch__in=[one.pk for one in launches])
    for launch, version, orders in rows.values_list("launch", "version", "orders"):
        found[launch] += orders if (launch, version) in controls else 0
    return found


def _open(launches: Collection[Launch]) -> Counter[UUID]:
    candidates: defaultdict[UUID, Collection[str]] = defaultdict(list)
    candidates |= {one.pk: candidates_of(one) for one in launches}
    waiting = Discrepancy.objects.filter(launch__in=[*candidates], state=Decision.OPEN, count__gt=0)
    found: Counter[UUID] = Counter()
    counted = waiting.order_by().values_list("launch", "version").annotate(Count("pk"))
    for launch, version, number in counted:
        found[launch] += number if version in candidates[launch] else 0
    return found


def bad_releases_stopped() -> int:
    """Candidates, each once a launch, that were WORSE and then abandoned, or had 0 % at the end.

    WORSE counts as the final verdict, or as that at the time of the decision.
    """
    worse = set(FinalVerdict.objects.filter(word=Word.WORSE).values_list("launch", "version"))
    decisions = LaunchDecision.objects.filter(step=DecisionStep.DECIDED)
    decided = decisions.values_list("launch", "version", "choice", "word")
    abandoned = {
        (launch, version)
        for launch, version, choice, word in decided
        if choice == LaunchChoice.ABANDON and (word == Word.WORSE or (launch, version) in worse)
    }
    promoted = {
        (launch, version)
        for launch, version, choice, _ in decided
        if choice == LaunchChoice.PROMOTE
    }
    stopped = DarkVersion.objects.filter(
        role=Role.CANDIDATE, percent=0, launch__in={launch for launch, _ in worse}
    )
    at_zero = set(stopped.values_list("launch", "version")) & worse
    return len(abandoned | (at_zero - promoted))
