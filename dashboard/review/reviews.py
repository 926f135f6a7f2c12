"""Reviews: decisions on discrepancies, and the proof that one is fixed.

A decision is made on what the reviewer saw: if a discrepancy was decided in the meantime, nothing
is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.comparison.folding import is_catch_all
from dashboard.comparison.outcome import Decision, Outcome
from dashboard.database import atomic
from dashboard.ingest.stored import changing
from dashboard.models import Discrepancy, Replay, ReplayState, Review
from kitchen_worker.contract.messages import utc_now

#: Discrepancies per decision.
AT_ONCE = 500
#: Longest note, in characters.
MAX_NOTE = 4000
#: Decisions that accept a discrepancy without proof.
_ACCEPTING = (Decision.BY_DESIGN, Decision.NOISE)
_ANSWERED = (ReplayState.HANDLED, ReplayState.FAILED)
_LARGEST_ID = 2**63 - 1
_LARGEST_REVISION = 2**31 - 1


def missing_proof(discrepancy: Discrepancy, replay: Replay) -> str:
    """Why a replay does not prove that a discrepancy is fixed, for display; empty if it does."""
    if replay.discrepancy_id != discrepancy.pk:
        return "this replay is of another discrepancy"
    if replay.finished_at is None:
        return "this replay is not finished"
    reopened = discrepancy.reviews.filter(decision=Decision.OPEN).first()
    if reopened is not None and reopened.decided_at > replay.requested_at:
        return "the discrepancy was reopened after this replay was requested; send again"
    return _missing_in_orders(replay) or _seen_again(discrepancy, replay)


def _missing_in_orders(replay: Replay) -> str:
    orders = replay.replayed_orders
    answered = orders.filter(state__in=_ANSWERED).count()
    if unanswered := orders.exclude(state__in=_ANSWERED).count():
        return f"{unanswered} of {unanswered + answered} orders were not answered"
    if not answered:
        return "no order was answered"
    if showing := orders.exclude(shows=False).count():
        return f"{showing} of {answered} orders still show it"
    if failed := orders.filter(outcome=Outcome.CANDIDATE_FAILED).count():
        return f"{failed} of {answered} orders failed, where the control handled them"
    return ""


def _seen_again(discrepancy: Discrepancy, replay: Replay) -> str:
    if discrepancy.last_seen_at <= replay.requested_at:
        return ""
    if not replay.replayed_orders.filter(build=discrepancy.last_build).exists():
        return ""
    return "a live order showed it in the same build after this replay was requested"


class ReviewRefused(ValueError):
    """Raised when a decision is not possible; the message is for the user."""


class ReviewConflict(Exception):
    """Raised when somebody else decided first. Nothing was written; ``changed`` is up to date."""

    def __init__(self, changed: Sequence[Discrepancy]) -> None:
        super().__init__(f"decided on since: {', '.join(str(one) for one in changed)}")
        self.changed = list(changed)


@dataclass(frozen=True, slots=True)
class SeenRevision:
    """The revision of a discrepancy that a reviewer saw."""

    discrepancy: int
    revision: int

    @classmethod
    def read(cls, text: str) -> SeenRevision:
        """Parse the text in a form, as in ``12:3``; raises ValueError."""
        pk, _, revision = text.partition(":")
        if not (_is_number(pk) and _is_number(revision)):
            raise ValueError(f"not an id and a revision: {text[:60]!r}")
        seen = cls(int(pk), int(revision))
        if seen.discrepancy > _LARGEST_ID or seen.revision > _LARGEST_REVISION:
            raise ValueError(f"no discrepancy has such numbers: {text[:60]!r}")
        return seen

    def __str__(self) -> str:
        return f"{self.discrepancy}:{self.revision}"


def review(
    seen: Sequence[SeenRevision],
    decision: Decision,
    *,
    note: str,
    author: str,
    replay: Replay | None = None,
) -> list[Discrepancy]:
    """Decide on all these discrepancies or none; returns them updated.

    Raises ReviewRefused and ReviewConflict. Repeating a decision only adds its note. ``fixed``, and
    no other decision, needs the replay that proves it; it closes the same bug in all launches.
    """
    revisions = {one.discrepancy: one.revision for one in seen}
    note = _checked(note)
    if not revisions:
        raise ReviewRefused("choose at least one discrepancy")
    if len(revisions) != len(set(seen)):
        raise ReviewRefused("a discrepancy was given with two revisions")
    if len(revisions) > AT_ONCE:
        raise ReviewRefused(f"at most {AT_ONCE} discrepancies at once")
    if decision is not Decision.FIXED:
        replay = None
    elif replay is None or len(revisions) > 1:
        raise ReviewRefused("one discrepancy at a time is closed as fixed, by its replay")
    now = utc_now()
    with atomic():
        if replay is not None:
            # Lock it first, as `replaying.record_answers` does.
            replay = Replay.objects.select_for_update().get(pk=replay.pk)
        with changing():
            rows = _locked(revisions)
            if replay is not None and (reason := missing_proof(rows[0], replay)):
                raise ReviewRefused(reason)
            decided = [row for row in rows if note or row.state != decision]
            _check_seen(decided, decision)
            _decide(decided, decision, note=note, author=author, replay=replay, now=now)
            if replay is not None:
                others = _same_bug(rows[0], replay)
                _decide(others, decision, note="", author=author, replay=replay, now=now)
    return rows


def _checked(note: str) -> str:
    note = note.replace("\r\n", "\n").strip()
    if "\0" in note:
        raise ReviewRefused("a note is text, without NUL characters")
    if len(note) > MAX_NOTE:
        raise ReviewRefused(f"a note has at most {MAX_NOTE:,} characters")
    return note


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def _locked(revisions: dict[int, int]) -> list[Discrepancy]:
    """Lock the discrepancies; raises unless all have these revisions."""
    chosen = Discrepancy.objects.filter(pk__in=revisions)
    rows = list(chosen.select_for_update().order_by("pk"))
    if missing := revisions.keys() - {row.pk for row in rows}:
        raise ReviewRefused(f"there is no discrepancy {min(missing)}")
    if changed := [row for row in rows if row.revision != revisions[row.pk]]:
        raise ReviewConflict(changed)
    return rows


def _check_seen(rows: Iterable[Discrepancy], decision: Decision) -> None:
    """Refuse to accept a catch-all discrepancy, which includes differences nobody has seen yet."""
    if decision not in _ACCEPTING:
        return
    for row in rows:
        if is_catch_all(row.group):
            raise ReviewRefused(
                f"“{row.path}” includes any other difference, even those nobody has seen yet: "
                "look at its examples, and make a rule for what is known"
            )


def _decide(
    rows: Iterable[Discrepancy],
    decision: Decision,
    *,
    note: str,
    author: str,
    replay: Replay | None,
    now: datetime,
) -> None:
    rows = list(rows)
    for row in rows:
        decided = Discrepancy.objects.filter(pk=row.pk, revision=row.revision).update(
            state=decision, revision=row.revision + 1, decided_at=now
        )
        if not decided:
            row.refresh_from_db()
            raise ReviewConflict([row])
        row.state, row.revision, row.decided_at = decision, row.revision + 1, now
    Review.objects.bulk_create(
        Review(
            discrepancy=row,
            decision=decision,
            note=note,
            author=author,
            decided_at=now,
            revision=row.revision,
            replay=replay,
        )
        for row in rows
    )


def _same_bug(fixed: Discrepancy, replay: Replay) -> list[Discrepancy]:
    """The same bug in other launches, if it was known when the replay was requested."""
    same = Discrepancy.objects.filter(
        version=fixed.version, kind=fixed.kind, path=fixed.path, state=Decision.BUG
    )
    return list(same.filter(first_seen_at__lte=replay.requested_at).exclude(pk=fixed.pk))
