"""What a batch of news changes: states, counts and pairs, worked out before anything is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from dashboard.domain.outcome import Change, State, change

#: An order and a version: the key of every record.
Key = tuple[UUID, str]

#: Of one order and version the ids of so many events are remembered: the first one's, which
#: counts, and those of the last repeats.
REMEMBERED = 10


class Standing(msgspec.Struct, frozen=True, gc=False):
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


class Pair(msgspec.Struct, frozen=True):
    """How the control and another version have ended the same order.

    ``was`` says how they stood before, the control first; None while one could still end.
    """

    order: UUID
    name: str
    control: Standing
    version: Standing
    was: tuple[State, State] | None

    @property
    def slower(self) -> bool | None:
        """Whether the version took longer than the control; None unless both handled the order."""
        if not self.control.state is self.version.state is State.HANDLED:
            return None
        if self.control.handling_ms is None or self.version.handling_ms is None:
            return None
        return self.version.handling_ms > self.control.handling_ms


@dataclass
class Ledger:
    """The standings of some orders, before and after a batch of news. All of one launch."""

    before: Mapping[Key, Standing]
    #: The ids of the events that ended an order: a message that is delivered again is no repeat.
    event_ids_before: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    after: dict[Key, Standing] = field(init=False)
    event_ids: dict[Key, tuple[str, ...]] = field(init=False)
    counts: defaultdict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))

    def __post_init__(self) -> None:
        self.after = dict(self.before)
        self.event_ids = dict(self.event_ids_before)

    def take(self, order: UUID, version: str, news: Standing, *, event_id: str = "") -> Change:
        """Take one piece of news in, and say what it was; only what changes something counts."""
        key = (order, version)
        known = self.after.get(key)
        kind = change(known.state if known else None, news.state)
        counts = self.counts[version]
        if kind is Change.REPEATED:
            if event_id and event_id in self.event_ids.get(key, ()):
                return Change.STALE
            counts.repeats += 1
            self._remember(key, event_id)
        if kind in (Change.REPEATED, Change.STALE):
            return kind
        self.after[key] = news
        if news.state is not State.RECEIVED:
            self._remember(key, event_id)
        counts.orders += kind is Change.NEW
        counts.missing += (news.state is State.MISSING) - (kind is Change.MENDED)
        counts.late += kind is Change.MENDED
        counts.handled += news.state is State.HANDLED
        counts.failed += news.state is State.FAILED
        return kind

    def _remember(self, key: Key, event_id: str) -> None:
        if event_id:
            first, *repeats = (*self.event_ids.get(key, ()), event_id)
            self.event_ids[key] = (first, *repeats[1 - REMEMBERED :])

    def pairs(self, control: str, others: Iterable[str]) -> Iterator[Pair]:
        """The pairs that this batch has ended, or ended otherwise; counts the complete ones."""
        others = tuple(others)
        for order in {order for order, _ in self.after}:
            for name in others:
                keys = (order, control), (order, name)
                was, now = _ended(self.before, *keys), _ended(self.after, *keys)
                if now is None or now == was:
                    continue
                self.counts[name].pairs += _complete(now) - _complete(was)
                yield Pair(order, name, self.after[keys[0]], self.after[keys[1]], was)


def _ended(
    standings: Mapping[Key, Standing], control: Key, version: Key
) -> tuple[State, State] | None:
    """The states of a pair, once both have ended."""
    first, second = standings.get(control), standings.get(version)
    if first is None or second is None or State.RECEIVED in (first.state, second.state):
        return None
    return first.state, second.state


def _complete(states: tuple[State, State] | None) -> bool:
    return states is not None and State.MISSING not in states
