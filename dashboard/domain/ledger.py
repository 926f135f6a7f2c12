"""What a batch of news changes: states, counts and pairs, worked out before anything is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from dashboard.domain.outcome import Change, Outcome, State, change, outcome

#: An order and a version: the key of every record.
Key = tuple[UUID, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """How one version stands with one order; ``handling_ms`` once it has handled or failed."""

    state: State
    handling_ms: float | None = None


@dataclass(slots=True)
class Counts:
    """What to add to a version's tally; numbers may be negative."""

    orders: int = 0
    handled: int = 0
    failed: int = 0
    missing: int = 0
    late: int = 0
    repeats: int = 0
    pairs: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """What the control and another version made of the same order, as it now stands."""

    order: UUID
    version: str
    outcome: Outcome
    control_ms: float | None
    version_ms: float | None

    @property
    def slower(self) -> bool | None:
        """Whether the version took longer than the control; None unless both handled the order."""
        if self.outcome is not Outcome.HANDLED or None in (self.control_ms, self.version_ms):
            return None
        return (self.version_ms or 0.0) > (self.control_ms or 0.0)


@dataclass
class Ledger:
    """The standings of some orders, before and after a batch of news. All of one launch."""

    before: Mapping[Key, Standing]
    after: dict[Key, Standing] = field(init=False)
    counts: defaultdict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))

    def __post_init__(self) -> None:
        self.after = dict(self.before)

    def take(self, order: UUID, version: str, news: Standing) -> Change:
        """Take one piece of news in, and say what it was; only what changes something counts."""
        known = self.after.get((order, version))
        kind = change(known.state if known else None, news.state)
        counts = self.counts[version]
        if kind is Change.REPEATED:
            counts.repeats += 1
        if kind in (Change.REPEATED, Change.STALE):
            return kind
        self.after[order, version] = news
        counts.orders += kind is Change.NEW
        counts.missing += (news.state is State.MISSING) - (kind is Change.MENDED)
        counts.late += kind is Change.MENDED
        counts.handled += news.state is State.HANDLED
        counts.failed += news.state is State.FAILED
        return kind

    def pairs(self, control: str, others: Iterable[str]) -> Iterator[Pair]:
        """The pairs whose outcome this batch changed; counts the ones it completed."""
        others = tuple(others)
        for order in {order for order, _ in self.after}:
            for version in others:
                before = self._outcome(self.before, (order, control), (order, version))
                now = self._outcome(self.after, (order, control), (order, version))
                if now is None or now is before:
                    continue
                self.counts[version].pairs += _complete(now) - _complete(before)
                yield Pair(
                    order,
                    version,
                    now,
                    self.after[order, control].handling_ms,
                    self.after[order, version].handling_ms,
                )

    @staticmethod
    def _outcome(standings: Mapping[Key, Standing], control: Key, version: Key) -> Outcome | None:
        first, second = standings.get(control), standings.get(version)
        return outcome(first.state, second.state) if first and second else None


def _complete(found: Outcome | None) -> bool:
    return found is not None and found is not Outcome.MISSING
