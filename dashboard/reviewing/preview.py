"""What a rule would do to a launch's stored pairs, before anybody saves it."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice, zip_longest
from typing import NamedTuple
from uuid import UUID

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

#: Pairs that are looked at, the newest ones, and characters of their answers in all. No clock
#: decides, so that the same pairs give the same preview.
MAX_LOOKED_AT = 1_000
MAX_SIZE = 8_000_000
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


class Shows(NamedTuple):
    """An order, a version, and a difference of the two."""

    order: UUID
    version: str
    difference: Difference


@dataclass
class Preview:
    """What a rule would change, as far as the pairs were looked at."""

    #: Pairs with differences that rules can concern: looked at, and stored.
    looked: int = 0
    of: int = 0
    #: Pairs that count now and would count no more, all versions taken together and each alone.
    hidden: int = 0
    hidden_of: Counter[str] = field(default_factory=Counter)
    #: Discrepancies that would count no pair any more, and those that would count fewer: how many.
    vanishing: list[Discrepancy] = field(default_factory=list)
    shrinking: list[tuple[Discrepancy, int]] = field(default_factory=list)
    #: Some of what the rule would ignore.
    examples: list[Shows] = field(default_factory=list)
    #: Whether all stored pairs were looked at.
    complete: bool = False


def preview(launch: UUID, draft: Rule, now: datetime, *, at_most: int = MAX_LOOKED_AT) -> Preview:
    """Judge the newest pairs by the rules in force and by the draft, and say what would change:
    what saving the rule, and then judging the past anew, would do.

    Nothing is written. Raises Launch.DoesNotExist.
    """
    roster = read_roster(Launch.objects.prefetch_related("dark_versions").get(pk=launch))
    versions = [
        version
        for version in roster.roles
        if version != roster.control and draft.version in ("", version)
    ]
    looking = _Looking(launch, versions, draft)
    rules = {of: Rules.of((*current_rules(now), draft), of) for of in versions}
    newest = _newest(launch, versions)
    read = islice(newest, _READ_FOR_ONE * at_most)
    judged = _judged(read, roster.control, rules)
    size = 0
    for pair in islice(judged, at_most):
        looking.look(pair)
        size += pair.size
        if size > MAX_SIZE:
            break
    is_all = next(judged, None) is None and next(newest, None) is None
    return looking.conclusion(is_all=is_all)


def _judged(
    read: Iterator[Comparison], control: str, rules: Mapping[str, Rules]
) -> Iterator[StoredPair]:
    """Those that can differ by rules, judged anew."""
    while chunk := list(islice(read, _CHUNK)):
        differing = [one for one in chunk if one.signature is not None]
        yield from judged_anew(differing, control, rules)


class _Looking:
    """One preview on its way through the stored pairs."""

    def __init__(self, launch: UUID, versions: Sequence[str], draft: Rule) -> None:
        self._draft = draft
        self._rows: defaultdict[str, dict[Group, Discrepancy]] = defaultdict(dict)
        for row in Discrepancy.objects.filter(launch=launch):
            self._rows[row.version][group_of_row(row)] = row
        self._places = places_of(self._rows, grouping.MAX_DISCREPANCIES)
        self._by_id = {row.pk: row for of in versions for row in self._rows[of].values()}
        self._shift: Counter[int] = Counter()
        self._examples: defaultdict[Group, list[Shows]] = defaultdict(list)
        self.found = Preview(of=self._stored(launch, versions))

    def look(self, pair: StoredPair) -> None:
        """See what one pair would count no more."""
        self.found.looked += 1
        now = self._counted(pair)
        if pair.was.counted and None not in pair.shown.judgement.groups.values():
            self.found.hidden += 1
            self.found.hidden_of[pair.shown.version] += 1
        self._shift.subtract(pair.was.counted)
        self._shift.update(now)
        self._keep_examples(pair)

    def conclusion(self, *, is_all: bool) -> Preview:
        """What was found, with the discrepancies by weight; ``is_all``: in all pairs there are."""
        found = self.found
        found.complete = is_all
        found.of = found.looked if is_all else max(found.of, found.looked)
        fewer = [row for row in self._by_id.values() if self._shift[row.pk] < 0]
        for row in sorted(fewer, key=lambda row: (self._shift[row.pk], row.pk)):
            if row.count + self._shift[row.pk] <= 0:
                found.vanishing.append(row)
            else:
                found.shrinking.append((row, -self._shift[row.pk]))
        # In turn, so that each kind of difference that it ignores is shown before a second like.
        turns = chain.from_iterable(zip_longest(*self._examples.values()))
        found.examples = [example for example in turns if example is not None][:EXAMPLES]
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
        shown, mine = pair.shown, self._draft.id
        wanted = {
            group
            for group, rule in shown.judgement.groups.items()
            if rule == mine and len(self._examples[group]) < EXAMPLES
        }
        if not wanted:
            return
        for difference, rule in differences(shown.control, shown.ending, shown.rules):
            group = group_of(difference)
            if rule == mine and group in wanted:
                wanted.remove(group)
                self._examples[group].append(Shows(shown.order, shown.version, difference))


def _newest(launch: UUID, versions: Sequence[str]) -> Iterator[Comparison]:
    """Pairs that can differ, the newest first, each version's and outcome's read by the index;
    among them are those that failed both in the same way."""
    streams = [_stream(launch, of, outcome) for of in versions for outcome in _OUTCOMES]
    return heapq.merge(*streams, key=lambda one: -one.pk)


def _stream(launch: UUID, version: str, outcome: Outcome) -> Iterator[Comparison]:
    # Ordered as the index is: otherwise PostgreSQL may expect some soon, and walk by the ids.
    rows = Comparison.objects.filter(
        launch=launch, version=version, outcome__gte=outcome, outcome__lte=outcome
    ).order_by("outcome", "-id")
    chunk = list(rows[:_READ])
    while chunk:
        yield from chunk
        chunk = list(rows.filter(pk__lt=chunk[-1].pk)[:_READ])
