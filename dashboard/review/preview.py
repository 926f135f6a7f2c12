"""Previews what a rule would change in a launch's stored pairs.

A preview uses a fixed sample: the newest pairs up to a moment. It runs in steps and passes its
state from one to the next as data, so that a page can show its progress.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice, zip_longest
from typing import NamedTuple, Self
from uuid import UUID

import msgspec
from django.db.models import Max

from dashboard.comparison.diff import Difference
from dashboard.comparison.folding import Folding, containing_group
from dashboard.comparison.judgement import (
    Ending,
    Group,
    GroupKind,
    Judgement,
    differences,
    group_of,
    judge,
)
from dashboard.comparison.outcome import Decision, Outcome, State, cell
from dashboard.comparison.rules import ComparisonRule, Rules
from dashboard.fold.discrepancies import MAX_DISCREPANCIES
from dashboard.fold.records import Members
from dashboard.ingest.rulebook import current_rules
from dashboard.ingest.stored import members_in
from dashboard.models import Discrepancy, Observation, ObservedOrder, Participant, Signature
from dashboard.review.replaying import ending_of
from kitchen_worker.contract.messages import Role

#: Limits: pairs judged, and bytes of their answers. There is no time limit, so that the same pairs
#: give the same preview.
MAX_PAIRS = 1_000
MAX_SIZE = 8_000_000
#: Pairs judged per step.
STEP = 200
EXAMPLES = 3
#: Pairs per query with their answers, and without.
_CHUNK = 100
_READ = 500
#: Pairs read per judged pair, at most.
_READ_FOR_ONE = 5
#: Kinds that rules do not apply to.
_FAILURES = (GroupKind.FAILED, GroupKind.CONTROL_FAILED)
_OUTCOMES = (Outcome.DIFFER, Outcome.BOTH_FAILED)
_OPEN = State.RECEIVED
#: The cells of a matrix with these outcomes.
_CELLS = (
    cell(State.HANDLED, State.HANDLED, Outcome.DIFFER),
    cell(State.FAILED, State.FAILED, Outcome.BOTH_FAILED),
)


class Sample(NamedTuple):
    """A fixed set of stored pairs: those judged up to a moment."""

    #: The newest order's id, and the time of the last report.
    until: int
    at: datetime

    @classmethod
    def now(cls, launch: UUID) -> Sample:
        newest = ObservedOrder.objects.filter(launch=launch).order_by("-id")
        until = newest.values_list("id", flat=True).first() or 0
        at = Participant.objects.filter(launch=launch).aggregate(at=Max("newest_at"))["at"]
        return cls(until, at or datetime.now(UTC))

    @classmethod
    def read(cls, text: str) -> Sample | None:
        """Parse ``text``; None if it is invalid."""
        until, _, at = text.partition("@")
        try:
            found = cls(int(until), datetime.fromisoformat(at))
        except ValueError:
            return None
        return found if 0 <= found.until < 2**63 and found.at.tzinfo else None

    @property
    def text(self) -> str:
        """For the address of a page."""
        return f"{self.until}@{self.at.isoformat()}"


class Example(NamedTuple):
    """A difference of an order in one version."""

    order: ObservedOrder
    version: str
    difference: Difference


class _Pair(NamedTuple):
    """A stored pair, judged by the rules and the draft."""

    order: int
    participant: int
    version: str
    #: The discrepancies it is counted in.
    was: Members
    control: Ending
    ending: Ending
    judgement: Judgement
    #: Bytes of both answers.
    size: int


@dataclass
class Preview:
    """What a rule would change in the pairs judged."""

    #: Pairs with differences that rules can apply to: judged, and stored by now.
    evaluated: int = 0
    of: int = field(default=0, compare=False)
    #: Pairs that would no longer count, in total and by version.
    hidden: int = 0
    hidden_of: Counter[str] = field(default_factory=Counter)
    #: Discrepancies that would count no pairs, with their number of pairs in the sample; and those
    #: that would count fewer, with how many fewer.
    vanishing: list[tuple[Discrepancy, int]] = field(default_factory=list)
    shrinking: list[tuple[Discrepancy, int]] = field(default_factory=list)
    #: Differences that the rule would ignore.
    examples: list[Example] = field(default_factory=list)
    #: Whether all pairs of the sample were judged.
    complete: bool = False


class Progress(msgspec.Struct):
    """The state of a preview between steps."""

    until: int
    at: datetime
    #: Order and participant of the last pair read, and how many were read.
    cursor: tuple[int, int]
    read: int = 0
    evaluated: int = 0
    size: int = 0
    hidden: int = 0
    hidden_of: dict[str, int] = {}
    #: Pairs by discrepancy: counted now, and by the rule.
    was: dict[int, int] = {}
    left: dict[int, int] = {}
    #: The first groups that the rule would ignore: kind, path, and orders with their version.
    examples: list[tuple[str, str, list[tuple[int, str]]]] = []
    complete: bool = False

    @classmethod
    def of(cls, sample: Sample) -> Self:
        return cls(sample.until, sample.at, (sample.until, 0))


def preview_step(
    launch: UUID, draft: ComparisonRule, now: datetime, progress: Progress
) -> Preview | None:
    """Judge the next pairs; returns the preview once it is finished."""
    previewing = _Previewing(launch, draft, now, progress)
    return previewing.result() if previewing.step() else None


class _Previewing:
    """One step of a preview."""

    def __init__(
        self, launch: UUID, draft: ComparisonRule, now: datetime, progress: Progress
    ) -> None:
        self._launch = launch
        self._draft = draft
        self._progress = progress
        participants = Participant.objects.filter(launch=launch).order_by("id")
        roles = list(participants.values_list("id", "version", "role"))
        self._controls = [pk for pk, _, role in roles if role == Role.CONTROL]
        #: The dark versions that the draft applies to, by participant.
        self._versions = {
            pk: version
            for pk, version, role in roles
            if role != Role.CONTROL and draft.version in ("", version)
        }
        self.versions = list(self._versions.values())
        self._rules = {of: Rules.of((*current_rules(now), draft), of) for of in self.versions}
        self._rows: defaultdict[str, dict[Group, Discrepancy]] = defaultdict(dict)
        for row in Discrepancy.objects.filter(launch=launch):
            self._rows[row.version][row.group] = row
        self._folding = _folding_of(self._rows)
        self._by_id = {row.pk: row for of in self.versions for row in self._rows[of].values()}

    def step(self) -> bool:
        """Judge the next pairs; True if these were the last."""
        progress = self._progress
        most = min(MAX_PAIRS, progress.evaluated + STEP)
        newest = self._newest()
        while progress.evaluated < most and progress.size <= MAX_SIZE:
            chunk = list(islice(newest, _CHUNK))
            if not chunk:
                progress.complete = True
                return True
            if progress.read >= _READ_FOR_ONE * MAX_PAIRS:
                return True
            progress.read += len(chunk)
            for pair in self.judged(chunk):
                self._add_pair(pair)
                if progress.evaluated >= most or progress.size > MAX_SIZE:
                    break
            else:
                progress.cursor = chunk[-1].order_id, chunk[-1].participant_id
        if progress.evaluated < MAX_PAIRS and progress.size <= MAX_SIZE:
            return False
        left = list(islice(self._newest(), _CHUNK))
        progress.complete = len(left) < _CHUNK and all(one.signature is None for one in left)
        return True

    def _newest(self) -> Iterator[Observation]:
        """Pairs that can differ, newest first, merged from an index scan per version and outcome.
        Pairs that failed in the same way are among them."""
        streams = [self._stream(of, outcome) for of in self._versions for outcome in _OUTCOMES]
        return heapq.merge(*streams, key=lambda one: (-one.order_id, one.participant_id))

    def _stream(self, participant: int, outcome: Outcome) -> Iterator[Observation]:
        # Ordered like the index; otherwise PostgreSQL may scan by id.
        rows = (
            Observation.objects.filter(
                participant=participant, exception__gte=outcome, exception__lte=outcome
            )
            .order_by("exception", "-order")
            .only("order", "participant", "signature", "members", "judged_at")
        )
        (order, of), at = self._progress.cursor, self._progress.at
        before = order + (participant > of)
        while before:
            chunk = list(rows.filter(order__lt=before)[:_READ])
            # Leave out pairs that were judged again since.
            yield from (one for one in chunk if one.judged_at is None or one.judged_at <= at)
            before = chunk[-1].order_id if len(chunk) == _READ else 0

    def judged(self, chunk: Sequence[Observation]) -> Iterator[_Pair]:
        """The pairs that rules can apply to, judged by the rules and the draft, in two queries."""
        differing = [one for one in chunk if one.signature is not None]
        answers = self._answers({one.order_id for one in differing})
        members = _members(differing)
        for one in differing:
            control = next(
                (found for pk in self._controls if (found := answers.get((one.order_id, pk)))), None
            )
            version = answers.get((one.order_id, one.participant_id))
            if control is None or version is None or _OPEN in (control.state, version.state):
                continue
            name = self._versions[one.participant_id]
            ends = ending_of(control), ending_of(version)
            yield _Pair(
                order=one.order_id,
                participant=one.participant_id,
                version=name,
                was=members[one.pk],
                control=ends[0],
                ending=ends[1],
                judgement=judge(*ends, self._rules[name]),
                size=_size(control) + _size(version),
            )

    def _answers(self, orders: set[int]) -> dict[tuple[int, int], Observation]:
        rows = Observation.objects.filter(
            order__in=orders, participant__in=[*self._controls, *self._versions]
        )
        return {(one.order_id, one.participant_id): one for one in rows}

    def _add_pair(self, pair: _Pair) -> None:
        progress, version = self._progress, pair.version
        progress.evaluated += 1
        progress.size += pair.size
        progress.cursor = pair.order, pair.participant
        now = self._counted(pair)
        if pair.was.counted and None not in pair.judgement.groups.values():
            progress.hidden += 1
            progress.hidden_of[version] = progress.hidden_of.get(version, 0) + 1
        for counts, counted in ((progress.was, pair.was.counted), (progress.left, now)):
            for pk in counted:
                counts[pk] = counts.get(pk, 0) + 1
        self._keep_examples(pair)

    def result(self) -> Preview:
        progress = self._progress
        of = progress.evaluated
        if not progress.complete:
            of = max(of, self._stored(self._launch, self.versions))
        found = Preview(
            evaluated=progress.evaluated,
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
        """How many pairs have differences that rules can apply to, by the counters.

        Folded signatures do not tell which of their pairs failed; the matrices bound the number.
        """
        failures = {row.pk for row in self._by_id.values() if row.kind in _FAILURES}
        rows = Signature.objects.filter(launch=launch, version__in=versions, pairs__gt=0)
        shown = sum(
            pairs
            for counted, folded, pairs in rows.values_list("counted", "folded", "pairs")
            if folded or set(counted) - failures
        )
        participants = Participant.objects.filter(launch=launch, version__in=versions)
        matrices = participants.values_list("matrix", flat=True)
        most: int = sum(matrix.get(of, 0) for matrix in matrices for of in _CELLS)
        return min(shown, most)

    def _counted(self, pair: _Pair) -> set[int]:
        """The existing discrepancies that the pair would count in."""
        of = pair.version
        rows = self._rows[of]
        counted: set[int] = set()
        for group, rule in pair.judgement.groups.items():
            if rule is None:
                row = _known_row(group, rows, pair.was, self._by_id)
                if row is None:
                    row = rows.get(self._folding.assign(of, group, counts=True))
                counted.update([row.pk] if row is not None else ())
        return counted

    def _keep_examples(self, pair: _Pair) -> None:
        kept = self._progress.examples
        known = {(kind, path): orders for kind, path, orders in kept}
        for group, rule in pair.judgement.groups.items():
            if rule != self._draft.id:
                continue
            orders = known.get((group.kind, group.path))
            if orders is None and len(kept) < EXAMPLES:
                orders = known[group.kind, group.path] = []
                kept.append((group.kind, group.path, orders))
            if orders is not None and len(orders) < EXAMPLES:
                orders.append((pair.order, pair.version))

    def _examples(self) -> list[Example]:
        """Differences that the rule would ignore, alternating between groups."""
        found = [
            [(order, version, Group(GroupKind(kind), path)) for order, version in orders]
            for kind, path, orders in self._progress.examples
        ]
        turns = [one for one in chain.from_iterable(zip_longest(*found)) if one is not None]
        wanted = turns[:EXAMPLES]
        orders = ObservedOrder.objects.defer("body").in_bulk({order for order, _, _ in wanted})
        rows = Observation.objects.filter(
            order__in=list(orders), participant__in=list(self._versions)
        )
        pairs = {(one.order, one.version): one for one in self.judged(list(rows))}
        examples = []
        for order, version, group in wanted:
            if (pair := pairs.get((order, version))) is None:
                continue
            for difference, rule in differences(pair.control, pair.ending, self._rules[version]):
                if rule == self._draft.id and group_of(difference) == group:
                    examples.append(Example(orders[order], version, difference))
                    break
        return examples


def _members(pairs: Sequence[Observation]) -> dict[int, Members]:
    """The discrepancies that pairs are counted in, by observation."""
    signatures = Signature.objects.in_bulk({one.signature for one in pairs if one.signature})
    shown = {
        pk: Members(frozenset(one.counted), frozenset(one.ignored))
        for pk, one in signatures.items()
    }
    return {
        one.pk: members_in(one.members) if one.members else shown.get(one.signature or 0, Members())
        for one in pairs
    }


def _size(answer: Observation) -> int:
    return len(answer.result) + len(answer.error_message)


def _known_row(
    group: Group,
    rows: Mapping[Group, Discrepancy],
    was: Members,
    by_id: Mapping[int, Discrepancy],
) -> Discrepancy | None:
    """A group's own discrepancy, or the fold that the pair was counted in before."""
    if (own := rows.get(group)) is not None:
        return own
    before = {by_id[pk].group: by_id[pk] for pk in was.all if pk in by_id}
    folded = containing_group(group, before)
    return before[folded] if folded is not None else None


def _folding_of(rows: Mapping[str, Mapping[Group, Discrepancy]]) -> Folding:
    counts = {
        version: {group: row.count > 0 or row.state != Decision.OPEN for group, row in of.items()}
        for version, of in rows.items()
    }
    return Folding(counts, MAX_DISCREPANCIES)
