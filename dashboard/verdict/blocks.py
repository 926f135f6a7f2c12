"""What the orders of one block of time add up to.

All sums are integers (log ratios in 1e-9, times in nanoseconds), so that adding is exact and the
same in any order; a taken-back order leaves nothing behind. A block is a commutative group: any
split of its orders over any number of observers merges to the same sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dashboard.verdict.rates import MOST_FIELDS
from dashboard.verdict.segments import rank
from dashboard.verdict.signatures import OTHERS, SOMETHING, other_of, simplest
from dashboard.verdict.slow import MOST_TIMES, checksum, slow_in

#: Of a log ratio: 1e-9 of it is one.
SCALE = 1_000_000_000
#: Names that a block keeps of segments, classes and signatures; the last ones go. Discrepancies
#: it keeps as many of as a launch does.
_MOST_NAMES = 128


@dataclass(slots=True)
class BlockSums:
    """Counts and sums over the orders that both versions were given."""

    orders: int = 0
    #: As many as orders: kept because stored blocks have it.
    changes: int = 0
    #: Orders that both versions ended, well or badly.
    answered: int = 0
    #: Orders for which the control has a time, whatever the candidate has, and those times.
    timed: int = 0
    timed_ns: int = 0
    #: Orders with a log ratio, their sum, the summed times, and who was faster.
    pairs: int = 0
    log_ratio: int = 0
    control_ns: int = 0
    candidate_ns: int = 0
    faster: int = 0
    slower: int = 0
    #: Orders on which the candidate alone, or the control alone, was wrong, missing, slow.
    errors_pos: int = 0
    errors_neg: int = 0
    missing_pos: int = 0
    missing_neg: int = 0
    missing_both: int = 0
    #: Orders that the control, and that the candidate, failed or took without an answer.
    control_failed: int = 0
    candidate_failed: int = 0
    #: Orders that a baseline was sent, and those that it handled, and failed as above.
    baseline_sent: int = 0
    baseline_handled: int = 0
    baseline_failed: int = 0
    slow_pos: int = 0
    slow_neg: int = 0
    #: Orders of which it is known whether they were slow: with a log ratio, and with room for them.
    slow_of: int = 0
    #: Orders that both handled, and those that the baseline handled as well.
    handled: int = 0
    compared: int = 0
    #: Of the compared ones, classes of differences; of the handled ones, signatures.
    classes: dict[str, int] = field(default_factory=dict)
    signatures: dict[str, int] = field(default_factory=dict)
    #: Of the compared ones, by discrepancy: the candidate alone shows it, the baseline alone.
    only_shown: dict[str, int] = field(default_factory=dict)
    only_noise: dict[str, int] = field(default_factory=dict)
    segment_pairs: dict[str, int] = field(default_factory=dict)
    segment_sums: dict[str, int] = field(default_factory=dict)
    #: Until the slow threshold is frozen: how often each pair of times occurs.
    times: dict[str, int] = field(default_factory=dict)

    def merge(self, other: BlockSums) -> None:
        """Add what another block of the same time holds."""
        for name in NUMBERS:
            if more := getattr(other, name):
                setattr(self, name, getattr(self, name) + more)
        for name in MAPPINGS:
            if names := getattr(other, name):
                _add(getattr(self, name), names)
        for name, number in _trim(self.classes, simplest):
            _add(self.classes, {other_of(name): number})
        for _, number in _trim(self.signatures, simplest):
            _add(self.signatures, {SOMETHING: number})
        _trim_fields(self.only_shown, self.only_noise)
        _trim(self.segment_pairs, rank)
        _trim(self.segment_sums, rank)
        _trim(self.times, checksum, MOST_TIMES)

    def slow_counts(self, threshold: int) -> tuple[int, int, int]:
        """On how many orders the candidate alone was slow, the control alone, and of how many."""
        pos, neg, of = slow_in(self.times, threshold)
        return self.slow_pos + pos, self.slow_neg + neg, self.slow_of + of

    def freeze(self, threshold: int) -> None:
        """Keep, of how slow orders were, only what this threshold makes of it."""
        self.slow_pos, self.slow_neg, self.slow_of = self.slow_counts(threshold)
        self.times = {}

    def to_json(self) -> dict[str, Any]:
        """What is not zero, by name: so a later release may add a field."""
        return {name: value for name in (*NUMBERS, *MAPPINGS) if (value := getattr(self, name))}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> BlockSums:
        """Read what ``to_json`` wrote."""
        fields: dict[str, Any] = {
            name: dict(one) if isinstance(one, dict) else one for name, one in stored.items()
        }
        return cls(**fields)


def joined(blocks: Sequence[BlockSums], threshold: int | None) -> BlockSums:
    """One block of several, whose slow orders are known; it may be one of them itself."""
    if len(blocks) == 1 or threshold is None:
        return blocks[0]
    whole = BlockSums()
    for block in blocks:
        frozen = replace(block)
        frozen.freeze(threshold)
        whole.merge(frozen)
    return whole


_ALL = tuple(BlockSums.__dataclass_fields__)
NUMBERS = _ALL[: _ALL.index("classes")]
MAPPINGS = _ALL[_ALL.index("classes") :]


def _add(to: dict[str, int], more: Mapping[str, int]) -> None:
    for key, number in more.items():
        whole = to.get(key, 0) + number
        if whole:
            to[key] = whole
        else:
            to.pop(key, None)


def _trim(
    names: dict[str, int], first: Callable[[str], Any], most: int = _MOST_NAMES
) -> list[tuple[str, int]]:
    """Keep the first names, and give back the rest.

    Which they are does not depend on the order in which names come: a name that is among the first
    of all is among the first of any part. What stands for the rest is kept besides.
    """
    if len(names) <= most:
        return []
    real = names.keys() - _REST
    if len(real) <= most:
        return []
    return [(name, names.pop(name)) for name in sorted(real, key=first)[most:]]


_REST = {*OTHERS, SOMETHING}


def _trim_fields(shown: dict[str, int], noise: dict[str, int]) -> None:
    """Keep the first discrepancies, each on both sides, and let the rest go."""
    if len(shown) + len(noise) <= MOST_FIELDS:
        return
    for name in sorted(shown.keys() | noise.keys(), key=int)[MOST_FIELDS:]:
        shown.pop(name, None)
        noise.pop(name, None)
