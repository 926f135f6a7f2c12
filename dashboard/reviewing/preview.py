"""What a rule would do to a launch's stored pairs, before anybody saves it.

It looks at a sample that stays the same while orders come: the newest pairs up to a moment. It
looks at so many of them in a step, and what it has found goes from step to step as data, so that a
page can show how far it has come.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice, zip_longest
from typing import NamedTuple, Self
from uuid import UUID

import msgspec

from dashboard.domain.comparing.comparison import Difference
from dashboard.domain.comparing.judgement import Group, GroupKind, differences, group_of
from dashboard.domain.comparing.rules import Rule, Rules
from dashboard.domain.outcome import Outcome, State, cell
from dashboard.models import Comparison, Discrepancy, Signature, Tally
from dashboard.observing import grouping
from dashboard.observing.placing import group_of_row, known_row, places_of
from dashboard.observing.rosters import read_roster
from dashboard.observing.rulebook import current_rules
from dashboard.observing.stored_pairs import StoredPair, judged_anew
from restaurant.models import Launch

#: Pairs that are looked at, the newest ones of the sample, and characters of their answers in all.
#: No clock decides, so that the same pairs give the same preview.
MAX_LOOKED_AT = 1_000
MAX_SIZE = 8_000_000
#: Pairs that are looked at in one step.
STEP = 200
EXAMPLES = 3
#: Pairs that are judged at once, with their answers, and comparisons that are read at once.
_CHUNK = 100
_READ = 500
#: Comparisons that are read at most for one that is looked at.
_READ_FOR_ONE = 5
#: No rule concerns these.
_FAILURES = (GroupKind.FAILED, GroupKind.CONTROL_FAILED)
_OUTCOMES = (Outcome.DIFFER, Outcome.BOTH_FAILED)
#: Where a matrix counts the pairs with these outcomes.
_CELLS = (
    cell(State.HANDLED, State.HANDLED, Outcome.DIFFER),
    cell(State.FAILED, State.FAILED, Outcome.BOTH_FAILED),
)


class Sample(NamedTuple):
    """Stored pairs that stay the same: those that were there, as they are, at a moment."""

    #: The newest comparison's id, and when it was made.
    until: int
    at: datetime

    @classmethod
    def now(cls) -> Sample:
        """Up to the newest pair."""
        newest = Comparison.objects.order_by("-id").values_list("id", "compared_at").first()
        return cls(*newest) if newest else cls(0, datetime.now(UTC))

    @classmethod
    def read(cls, text: str) -> Sample | None:
        """What ``text`` wrote; None if it did not."""
        until, _, at = text.partition("@")
        try:
            found = cls(int(until), datetime.fromisoformat(at))
        except ValueError:
            return None
        return found if 0 <= found.until < 2**63 and found.at.tzinfo else None

    @property
    def text(self) -> str:
        """The same as text."""
        return f"{self.until}@{self.at.isoformat()}"


class Shows(NamedTuple):
    """An order, a version, and a difference of the two."""

    order: UUID
    version: str
    difference: Difference


@dataclass
class Preview:
    """What a rule would change, as far as the pairs were looked at."""

    #: Pairs with differences that rules can concern: looked at, and stored by now.
    looked: int = 0
    of: int = field(default=0, compare=False)
    #: Pairs that count now and would count no more, all versions taken together and each alone.
    hidden: int = 0
    hidden_of: Counter[str] = field(default_factory=Counter)
    #: Discrepancies that would count no pair any more, and how many of the sample they count now;
    #: and those that would count fewer: how many fewer.
    vanishing: list[tuple[Discrepancy, int]] = field(default_factory=list)
    shrinking: list[tuple[Discrepancy, int]] = field(default_factory=list)
    #: Some of what the rule would ignore.
    examples: list[Shows] = field(default_factory=list)
    #: Whether all pairs of the sample were looked at.
    complete: bool = False


class Progress(msgspec.Struct):
    """How far a preview has come, and what it has found: all that the next step needs."""

    until: int
    at: datetime
    #: The id of the comparison that was read last, and how many were.
    cursor: int
    read: int = 0
    looked: int = 0
    size: int = 0
    hidden: int = 0
    hidden_of: dict[str, int] = {}
    #: By discrepancy, how many pairs it counts, and how many it would count.
    was: dict[int, int] = {}
    left: dict[int, int] = {}
    #: Of the first groups that the rule would ignore: kind and path, and orders with their version.
    examples: list[tuple[str, str, list[tuple[UUID, str]]]] = []
    complete: bool = False

    @classmethod
    def of(cls, sample: Sample) -> Self:
        """At the newest pair of a sample."""
        return cls(sample.until, sample.at, sample.until + 1)


def look(launch: UUID, draft: Rule, now: datetime, progress: Progress) -> Preview | None:
    """Look at the next pairs of a preview; gives what was found once that is all. Raises
    Launch.DoesNotExist."""
    looking = _Looking(launch, draft, now, progress)
    return looking.conclusion() if looking.step() else None


class _Looking:
    """One step of a preview."""

    def __init__(self, launch: UUID, draft: Rule, now: datetime, progress: Progress) -> None:
        self._launch = launch
        self._draft = draft
        self._progress = progress
        roster = read_roster(Launch.objects.prefetch_related("dark_versions").get(pk=launch))
        self._control = roster.control
        self.versions = [
            version
            for version in roster.roles
            if version != roster.control and draft.version in ("", version)
        ]
        self._rules = {of: Rules.of((*current_rules(now), draft), of) for of in self.versions}
        self._rows: defaultdict[str, dict[Group, Discrepancy]] = defaultdict(dict)
        for row in Discrepancy.objects.filter(launch=launch):
            self._rows[row.version][group_of_row(row)] = row
        self._places = places_of(self._rows, grouping.MAX_DISCREPANCIES)
        self._by_id = {row.pk: row for of in self.versions for row in self._rows[of].values()}

    def step(self) -> bool:
        """Look at the next pairs; says whether these were the last."""
        progress = self._progress
        most = min(MAX_LOOKED_AT, progress.looked + STEP)
        newest = self._newest()
        while progress.looked < most and progress.size <= MAX_SIZE:
            chunk = list(islice(newest, _CHUNK))
            if not chunk:
                progress.complete = True
                return True
            if progress.read >= _READ_FOR_ONE * MAX_LOOKED_AT:
                return True
            progress.read += len(chunk)
            for pair in self.judged(chunk):
                self.look(pair)
                if progress.looked >= most or progress.size > MAX_SIZE:
                    break
            else:
                progress.cursor = chunk[-1].pk
        if progress.looked < MAX_LOOKED_AT and progress.size <= MAX_SIZE:
            return False
        left = list(islice(self._newest(), _CHUNK))
        progress.complete = len(left) < _CHUNK and all(one.signature is None for one in left)
        return True

    def _newest(self) -> Iterator[Comparison]:
        """Pairs that can differ, the newest first, each version's and outcome's read by the index;
        among them are those that failed both in the same way."""
        streams = [self._stream(of, outcome) for of in self.versions for outcome in _OUTCOMES]
        return heapq.merge(*streams, key=lambda one: -one.pk)

    def _stream(self, version: str, outcome: Outcome) -> Iterator[Comparison]:
        # Ordered as the index is: otherwise PostgreSQL may expect some soon, and walk by the ids.
        rows = Comparison.objects.filter(
            launch=self._launch, version=version, outcome__gte=outcome, outcome__lte=outcome
        ).order_by("outcome", "-id")
        before, at = self._progress.cursor, self._progress.at
        while before:
            chunk = list(rows.filter(pk__lt=before)[:_READ])
            # What was compared again since is not what it was.
            yield from (one for one in chunk if one.compared_at <= at)
            before = chunk[-1].pk if len(chunk) == _READ else 0

    def judged(self, chunk: Sequence[Comparison]) -> Iterator[StoredPair]:
        """Those that can differ by rules, judged by them and by the draft."""
        differing = [one for one in chunk if one.signature is not None]
        return judged_anew(differing, self._control, self._rules)

    def look(self, pair: StoredPair) -> None:
        """See what one pair would count no more."""
        progress, version = self._progress, pair.shown.version
        progress.looked += 1
        progress.size += pair.size
        progress.cursor = pair.comparison.pk
        now = self._counted(pair)
        if pair.was.counted and None not in pair.shown.judgement.groups.values():
            progress.hidden += 1
            progress.hidden_of[version] = progress.hidden_of.get(version, 0) + 1
        for counts, counted in ((progress.was, pair.was.counted), (progress.left, now)):
            for pk in counted:
                counts[pk] = counts.get(pk, 0) + 1
        self._keep_examples(pair)

    def conclusion(self) -> Preview:
        """What was found."""
        progress = self._progress
        of = progress.looked
        if not progress.complete:
            of = max(of, self._stored(self._launch, self.versions))
        found = Preview(
            looked=progress.looked,
            of=of,
            hidden=progress.hidden,
            hidden_of=Counter(progress.hidden_of),
            examples=self._examples(),
            complete=progress.complete,
        )
        fewer = [
            (progress.was[pk] - progress.left.get(pk, 0), row)
            for pk, row in self._by_id.items()
            if progress.left.get(pk, 0) < progress.was.get(pk, 0)
        ]
        for number, row in sorted(fewer, key=lambda one: (-one[0], one[1].pk)):
            vanishes = progress.complete and not progress.left.get(row.pk)
            (found.vanishing if vanishes else found.shrinking).append((row, number))
        return found

    def _stored(self, launch: UUID, versions: Sequence[str]) -> int:
        """How many pairs have differences that rules can concern, from what is counted.

        Of a folded signature, and of what is folded with failures, it is not known which of its
        pairs failed: there are no more than the matrices have.
        """
        failures = {row.pk for row in self._by_id.values() if row.kind in _FAILURES}
        rows = Signature.objects.filter(launch=launch, version__in=versions, pairs__gt=0)
        shown = sum(
            pairs
            for counted, folded, pairs in rows.values_list("counted", "folded", "pairs")
            if folded or set(counted) - failures
        )
        tallies = Tally.objects.filter(launch=launch, version__in=versions)
        matrices = tallies.values_list("matrix", flat=True)
        most: int = sum(matrix.get(of, 0) for matrix in matrices for of in _CELLS)
        return min(shown, most)

    def _counted(self, pair: StoredPair) -> set[int]:
        """The discrepancies that the pair would count; those that it would make are not known."""
        of = pair.shown.version
        rows = self._rows[of]
        counted: set[int] = set()
        for group, rule in pair.shown.judgement.groups.items():
            if rule is None:
                row = known_row(group, rows, pair.was, self._by_id)
                if row is None:
                    row = rows.get(self._places.place(of, group, counts=True))
                counted.update([row.pk] if row is not None else ())
        return counted

    def _keep_examples(self, pair: StoredPair) -> None:
        kept = self._progress.examples
        known = {(kind, path): orders for kind, path, orders in kept}
        for group, rule in pair.shown.judgement.groups.items():
            if rule != self._draft.id:
                continue
            orders = known.get((group.kind, group.path))
            if orders is None and len(kept) < EXAMPLES:
                orders = known[group.kind, group.path] = []
                kept.append((group.kind, group.path, orders))
            if orders is not None and len(orders) < EXAMPLES:
                orders.append((pair.shown.order, pair.shown.version))

    def _examples(self) -> list[Shows]:
        """Some of what the rule would ignore, in turn, so that each kind of difference that it
        ignores is shown before a second like."""
        found = [
            [(order, version, Group(GroupKind(kind), path)) for order, version in orders]
            for kind, path, orders in self._progress.examples
        ]
        turns = [one for one in chain.from_iterable(zip_longest(*found)) if one is not None]
        wanted = turns[:EXAMPLES]
        rows = Comparison.objects.filter(
            order__in={order for order, _, _ in wanted}, version__in=self.versions
        )
        pairs = {(one.shown.order, one.shown.version): one.shown for one in self.judged(list(rows))}
        examples = []
        for order, version, group in wanted:
            if (shown := pairs.get((order, version))) is None:
                continue
            for difference, rule in differences(shown.control, shown.ending, shown.rules):
                if rule == self._draft.id and group_of(difference) == group:
                    examples.append(Shows(order, version, difference))
                    break
        return examples
