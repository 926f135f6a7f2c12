"""What people decide on the versions of a launch: promote or abandon, each with its reason.

The verdict advises. A decision keeps what the verdict said at that time, and whether it opposed it;
where the settings demand it, such a decision is proposed by one person and confirmed by another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError

from dashboard.database import atomic
from dashboard.launches.words import Spoken, candidates_of, words_now
from dashboard.models import DecisionStep, LaunchChoice, LaunchDecision
from dashboard.verdict.wording import Word
from restaurant.management.launch_command import BY_COMMAND
from restaurant.models import Launch


class DecisionRefused(ValueError):
    """Raised when a decision can't be taken, confirmed or withdrawn."""


def opposes(choice: LaunchChoice, word: str) -> bool:
    """Whether a decision goes against the verdict: a promotion unless it is ready, or giving up a
    version that is."""
    return (choice is LaunchChoice.PROMOTE) != (word == Word.READY)


def decide(
    launch: Launch, version: str, choice: LaunchChoice, *, author: str, reason: str, now: datetime
) -> LaunchDecision:
    """Decide on a candidate; proposes if it needs a second person. Raises DecisionRefused."""
    if version not in candidates_of(launch):
        raise DecisionRefused(f"{launch.name} has no candidate {version!r}")
    last = _last(launch.pk, version)
    if last is not None and last.step == DecisionStep.PROPOSED:
        raise DecisionRefused(
            f"{last.author} has proposed to {last.choice} {version}: confirm or withdraw that first"
        )
    spoken = words_now(launch)[version]
    opposed = opposes(choice, spoken.word)
    made = LaunchDecision(choice=choice, author=author, reason=reason, at=now, opposed=opposed)
    waits = opposed and needs_second_person()
    made.step = DecisionStep.PROPOSED if waits else DecisionStep.DECIDED
    made.launch, made.version = launch.pk, version
    return _add(made, spoken, last)


def confirm(
    launch: Launch, version: str, *, author: str, reason: str, now: datetime
) -> LaunchDecision:
    """Confirm a proposed decision, as another person; raises DecisionRefused."""
    last = _proposal(launch.pk, version)
    if last.author.removesuffix(BY_COMMAND) == author.removesuffix(BY_COMMAND):
        raise DecisionRefused("a second person must confirm it")
    spoken = words_now(launch)[version]
    made = _after(last, DecisionStep.DECIDED, author, reason, now)
    made.opposed |= opposes(LaunchChoice(last.choice), spoken.word)
    return _add(made, spoken, last)


def withdraw(
    launch: Launch, version: str, *, author: str, reason: str, now: datetime
) -> LaunchDecision:
    """Withdraw a proposed decision; raises DecisionRefused."""
    last = _proposal(launch.pk, version)
    made = _after(last, DecisionStep.WITHDRAWN, author, reason, now)
    return _add(made, Spoken(last.word, last.sentence), last)


def needs_second_person() -> bool:
    """Whether a decision against the verdict needs a second person."""
    return bool(settings.ENVIRONMENT.decision_needs_second_person)


def newest_steps(launches: Collection[UUID]) -> Mapping[tuple[UUID, str], LaunchDecision]:
    """The newest step of each decision, by launch and version; not those withdrawn."""
    rows = LaunchDecision.objects.filter(launch__in=launches).order_by("id")
    newest = {(one.launch, one.version): one for one in rows}
    return {key: one for key, one in newest.items() if one.step != DecisionStep.WITHDRAWN}


def _last(launch: UUID, version: str) -> LaunchDecision | None:
    return LaunchDecision.objects.filter(launch=launch, version=version).first()


def _proposal(launch: UUID, version: str) -> LaunchDecision:
    last = _last(launch, version)
    if last is None or last.step != DecisionStep.PROPOSED:
        raise DecisionRefused(f"no decision on {version} is proposed")
    return last


def _after(
    last: LaunchDecision, step: DecisionStep, author: str, reason: str, now: datetime
) -> LaunchDecision:
    """The next step of a proposed decision."""
    return LaunchDecision(
        launch=last.launch,
        version=last.version,
        choice=last.choice,
        step=step,
        author=author,
        reason=reason,
        at=now,
        opposed=last.opposed,
    )


def _add(made: LaunchDecision, spoken: Spoken, last: LaunchDecision | None) -> LaunchDecision:
    made.reason = made.reason.strip()
    if not made.reason:
        raise DecisionRefused("a decision needs a reason")
    if last is not None and last.step == DecisionStep.DECIDED:
        raise DecisionRefused(
            f"{last.author} has decided to {last.choice} {made.version}, and a decision is final"
        )
    made.word, made.sentence = spoken.word, spoken.sentence
    made.follows = last.pk if last is not None else 0
    try:
        with atomic():
            made.save()
    except IntegrityError as others:
        raise DecisionRefused("somebody else decided at the same moment") from others
    return made
