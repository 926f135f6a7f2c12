"""Reviews: decides on discrepancies, for the board and for the admin alike.

A decision is made on what the reviewer saw: if a discrepancy was decided on since, nothing is
written at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from dashboard.domain.comparing.folding import holds_anything
from dashboard.domain.comparing.judgement import Group, GroupKind
from dashboard.domain.decision import Decision
from dashboard.models import Discrepancy, Replay, Review, Tally
from dashboard.reviewing.proof import missing_proof
from kitchen_worker.contract.messages import utc_now

#: Discrepancies that are decided on at once.
AT_ONCE = 500
#: Longest note, in characters.
MAX_NOTE = 4000
#: What is accepted by a person's word; fixed is, on evidence.
_ACCEPTING = (Decision.BY_DESIGN, Decision.NOISE)
_LARGEST_ID = 2**63 - 1
_LARGEST_REVISION = 2**31 - 1


class ReviewRefused(ValueError):
    """Raised when a decision cannot be; the reason is for a person."""


class ReviewConflict(Exception):
    """Raised when somebody else was quicker: nothing was written; ``changed`` is as it is now."""

    def __init__(self, changed: Sequence[Discrepancy]) -> None:
        super().__init__(f"decided on since: {', '.join(str(one) for one in changed)}")
        self.changed = list(changed)


@dataclass(frozen=True, slots=True)
class Seen:
    """A discrepancy as a reviewer saw it: its id, and the revision that it then had."""

    discrepancy: int
    revision: int

    @classmethod
    def read(cls, text: str) -> Seen:
        """Read what a form sends, as in ``12:3``; raises ValueError."""
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
    seen: Sequence[Seen],
    decision: Decision,
    *,
    note: str,
    author: str,
    replay: Replay | None = None,
) -> list[Discrepancy]:
    """Decide on discrepancies, all or none of them, and give them as they then are.

    Raises ReviewRefused and ReviewConflict. The same decision once more, without a note, changes
    nothing; with one, the note is added. ``fixed``, and nothing else, needs the replay that proves
    it; it closes the bug wherever else it was known.
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
    with transaction.atomic():
        if replay is not None:
            # Before the tallies, as the observer does it.
            replay = Replay.objects.select_for_update().get(pk=replay.pk)
        rows = _locked(revisions)
        if replay is not None and (reason := missing_proof(rows[0], replay)):
            raise ReviewRefused(reason)
        changing = [row for row in rows if note or row.state != decision]
        _check_seen(changing, decision)
        _decide(changing, decision, note=note, author=author, replay=replay, now=now)
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
    """The discrepancies by id, at these revisions, with nobody else writing to them."""
    chosen = Discrepancy.objects.filter(pk__in=revisions)
    # The observer writes counts to the same rows in any order, with the tallies locked: whoever
    # locks those first cannot meet it half way.
    launches = set(chosen.values_list("launch", flat=True))
    list(Tally.objects.select_for_update().filter(launch__in=launches).order_by("id"))
    rows = list(chosen.select_for_update().order_by("pk"))
    if missing := revisions.keys() - {row.pk for row in rows}:
        raise ReviewRefused(f"there is no discrepancy {min(missing)}")
    if changed := [row for row in rows if row.revision != revisions[row.pk]]:
        raise ReviewConflict(changed)
    return rows


def _check_seen(rows: Iterable[Discrepancy], decision: Decision) -> None:
    """Refuse to accept what nobody can have seen: whatever else may come to differ."""
    if decision not in _ACCEPTING:
        return
    for row in rows:
        if holds_anything(Group(GroupKind(row.kind), row.path)):
            raise ReviewRefused(
                f"“{row.path}” stands for whatever else differs, also for what nobody has seen "
                "yet: look at its examples, and make a rule for what is known"
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
    """Write a decision on each, unless one was decided on meanwhile."""
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
    """The same bug in other launches, as far as it was known when the replay was asked for."""
    same = Discrepancy.objects.filter(
        version=fixed.version, kind=fixed.kind, path=fixed.path, state=Decision.BUG
    )
    return list(same.filter(first_seen_at__lte=replay.requested_at).exclude(pk=fixed.pk))
