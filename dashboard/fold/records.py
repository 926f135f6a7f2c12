"""The frozen records that the fold reads and writes.

Times are aware; durations are milliseconds. The fold assigns ids from `NextIds`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from dashboard.comparison.judgement import Group
from dashboard.comparison.outcome import Decision, Outcome, State
from dashboard.comparison.rules import Rules
from dashboard.verdict.blocks import Timing
from dashboard.verdict.capacity import Arrivals
from dashboard.verdict.coverage import Coverage
from dashboard.verdict.evidence import Tally
from dashboard.verdict.hindsight import Hindsight
from dashboard.verdict.live_effect import LiveEffect
from dashboard.verdict.quantiles import LogHistogram
from kitchen_worker.contract.messages import Role

#: An order and a version.
Key = tuple[str, str]


class Loss(StrEnum):
    """Why a dead letter names an order of a version."""

    #: By a bound of the version's queue.
    DROPPED = "dropped"
    #: With a reason.
    REFUSED = "refused"


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One order as the dashboard knows it; ``id`` increases with arrival."""

    id: int
    order_id: str
    launch: UUID
    arrived_at: datetime
    sent_at: datetime
    placed_at: datetime
    number: int | None = None
    body: bytes = b""
    label: str = ""
    #: Number of pieces.
    size: int = 0
    #: Like ``item:burger``; the evidence is segmented by them.
    categories: tuple[str, ...] = ()
    #: The dark versions it was sent to.
    sample: frozenset[str] = frozenset()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One version's validated report of one order."""

    event_id: str
    order_id: str
    version: str
    state: State
    received_at: datetime
    finished_at: datetime | None = None
    build: str = ""
    worker: str = ""
    delivery: int = 1
    queue_ms: float | None = None
    handling_ms: float | None = None
    #: JSON; empty unless the order was handled.
    result: bytes = b""
    error_type: str = ""
    error_message: str = ""


class Members(msgspec.Struct, frozen=True):
    """The ids of a pair's discrepancies: counted ones, and ignored ones."""

    counted: frozenset[int] = frozenset()
    ignored: frozenset[int] = frozenset()

    @property
    def all(self) -> frozenset[int]:
        return self.counted | self.ignored

    def __bool__(self) -> bool:
        return bool(self.counted or self.ignored)


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """How a version's result for an order compares with the control's."""

    judged_at: datetime
    outcome: Outcome
    signature: int | None = None
    members: Members = Members()
    #: None unless both handled the order.
    slower: bool | None = None


class ObservationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One version's observation of one order, with its comparison to the control."""

    id: int
    order: int
    version: str
    state: State
    #: The answer came after the deadline.
    late: bool = False
    #: The version's last report of the order; None if it sent none.
    report: Report | None = None
    #: The report that counts first, then the last repeats.
    event_ids: tuple[str, ...] = ()
    comparison: Comparison | None = None


class ParticipantRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A version's counters in a launch; see `dashboard.models`."""

    version: str
    role: Role
    build: str = ""
    #: See `dashboard.comparison.outcome`.
    builds: tuple[tuple[str, float, float], ...] = ()
    orders: int = 0
    handled: int = 0
    failed: int = 0
    missing: int = 0
    late: int = 0
    repeats: int = 0
    pairs: int = 0
    #: Pairs by cell, see `dashboard.comparison.outcome.cell`.
    matrix: Mapping[str, int] = msgspec.field(default_factory=dict)
    times: Mapping[int, int] = msgspec.field(default_factory=dict)
    newest_at: datetime | None = None
    ended_until: datetime | None = None
    #: Orders whose sample names the version; and of these how many are at which place
    #: (`dashboard.fold.accounting.Place`).
    sampled: int = 0
    account: Mapping[str, int] = msgspec.field(default_factory=dict)
    #: Id of the first order that the counters of this group include.
    accounted_from: int = 0
    hindsight: Hindsight = Hindsight()
    #: Of the control alone: these two.
    live_effect: LiveEffect = LiveEffect()
    arrivals: Arrivals = Arrivals()


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """A version's counts in one time slice."""

    version: str
    #: Whole seconds since 1970.
    start: int
    handled: int = 0
    failed: int = 0
    times: Mapping[int, int] = msgspec.field(default_factory=dict)

    @property
    def histogram(self) -> LogHistogram:
        return LogHistogram(dict(self.times))


class DiscrepancyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All differences of one kind and path of one version in one launch."""

    id: int
    version: str
    group: Group
    count: int = 0
    ignored: int = 0
    first_seen_at: datetime
    last_seen_at: datetime
    last_build: str = ""
    control_value: str = ""
    version_value: str = ""
    #: Only reviews change these two.
    state: Decision = Decision.OPEN
    decided_at: datetime | None = None
    #: Hash and id of the example orders: those with the smallest hashes.
    examples: tuple[tuple[int, str], ...] = ()


class SignatureRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A set of discrepancies, and how many pairs of a version show exactly this set."""

    id: int
    version: str
    key: str
    members: Members = Members()
    folded: bool = False
    pairs: int = 0


class Epoch(msgspec.Struct, frozen=True):
    """The builds that evidence belongs to: with other builds, new evidence begins.

    A baseline's build is empty until it is known; the first known build continues the epoch.
    """

    version: str
    control_build: str
    version_build: str
    baseline_build: str = ""
    #: The function that described its orders; empty for the restaurant's own.
    description: str = ""


class EvidenceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The paired orders of one epoch; tally and coverage are never changed in place."""

    id: int
    epoch: Epoch
    timing: Timing
    started_at: datetime
    newest_at: datetime
    tally: Tally
    coverage: Coverage
    #: Increases when something that a verdict shows changes.
    revision: int = 0


@dataclass(frozen=True, kw_only=True)
class LaunchState:
    """Everything kept of a launch except its orders; bounded, however long the launch runs."""

    launch: UUID
    control: str
    #: All versions, the control included, in the order in which they joined.
    participants: Mapping[str, ParticipantRecord]
    discrepancies: Mapping[int, DiscrepancyRecord] = field(default_factory=dict)
    signatures: Mapping[int, SignatureRecord] = field(default_factory=dict)
    evidence: Mapping[int, EvidenceRecord] = field(default_factory=dict)
    #: Discrepancies that are bugs by the last decision, in the newest launch that showed them.
    bugs: frozenset[tuple[str, Group]] = frozenset()
    #: Slices that this batch may change, by version and start.
    slices: Mapping[tuple[str, int], Slice] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The stored records of a launch and of a batch's orders."""

    state: LaunchState
    orders: Mapping[str, OrderRecord] = field(default_factory=dict)
    observations: Mapping[Key, ObservationRecord] = field(default_factory=dict)
    #: The dead letters that name these orders, and those of the batch.
    losses: Mapping[Key, Loss] = field(default_factory=dict)
    #: The rules in force, by version.
    rules: Mapping[str, Rules] = field(default_factory=dict)
    #: The timing of new evidence.
    timing: Timing = field(default_factory=Timing)
    description: str = ""


@dataclass(kw_only=True)
class NextIds:
    """The next free id of each kind."""

    order: int = 1
    observation: int = 1
    discrepancy: int = 1
    signature: int = 1
    evidence: int = 1
    #: Discrepancy ids that a rebuild reuses, by launch, version and group.
    kept: Mapping[tuple[UUID, str, Group], int] = field(default_factory=dict)

    def of_discrepancy(self, launch: UUID, version: str, group: Group) -> int:
        """The id of a new discrepancy."""
        pk = self.kept.get((launch, version, group))
        if pk is None:
            taken = {*self.kept.values()}
            while self.discrepancy in taken:
                self.discrepancy += 1
            pk = self.discrepancy
            self.discrepancy += 1
        return pk


@dataclass(frozen=True, kw_only=True)
class SeenAgain:
    """A discrepancy closed as fixed that a later order shows again."""

    discrepancy: int
    build: str


@dataclass(frozen=True, kw_only=True)
class Changes:
    """New and changed records."""

    orders: tuple[OrderRecord, ...] = ()
    observations: tuple[ObservationRecord, ...] = ()
    participants: Mapping[str, ParticipantRecord] = field(default_factory=dict)
    slices: Mapping[tuple[str, int], Slice] = field(default_factory=dict)
    discrepancies: Mapping[int, DiscrepancyRecord] = field(default_factory=dict)
    signatures: Mapping[int, SignatureRecord] = field(default_factory=dict)
    evidence: Mapping[int, EvidenceRecord] = field(default_factory=dict)
    #: The numbers of the blocks that changed, by evidence.
    blocks: Mapping[int, frozenset[int]] = field(default_factory=dict)
    seen_again: tuple[SeenAgain, ...] = ()

    def applied_to(self, state: LaunchState) -> LaunchState:
        """The launch's state with these changes, without slices."""
        return replace(
            state,
            participants={**state.participants, **self.participants},
            discrepancies={**state.discrepancies, **self.discrepancies},
            signatures={**state.signatures, **self.signatures},
            evidence={**state.evidence, **self.evidence},
            slices={},
        )


#: Ranges kept. Beyond that the two oldest are joined, and the numbers between them are lost.
MAX_RANGES = 1000


@dataclass
class SeenNumbers:
    """The sequence numbers seen of one relay session and launch; the first is 1."""

    #: First and last number of each range, ascending.
    ranges: list[tuple[int, int]] = field(default_factory=list)
    #: Numbers in gaps that can no longer be filled.
    lost: int = 0

    def add(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._add(number)
        while len(self.ranges) > MAX_RANGES:
            (first, end), (start, last) = self.ranges[:2]
            self.lost += start - end - 1
            self.ranges[:2] = [(first, last)]

    @property
    def unseen(self) -> int:
        """How many numbers below the highest were not seen; they may be lost or on their way."""
        if not self.ranges:
            return 0
        seen = sum(last - first + 1 for first, last in self.ranges)
        return self.ranges[-1][1] - seen + self.lost

    def _add(self, number: int) -> None:
        at = bisect_left(self.ranges, (number + 1,)) - 1
        if at >= 0 and number <= self.ranges[at][1]:
            return
        joins_left = at >= 0 and self.ranges[at][1] == number - 1
        after = at + 1
        joins_right = after < len(self.ranges) and self.ranges[after][0] == number + 1
        first = self.ranges[at][0] if joins_left else number
        last = self.ranges[after][1] if joins_right else number
        self.ranges[at + (not joins_left) : after + joins_right] = [(first, last)]
