"""Sums over the orders of one block of time, and how time is cut into blocks.

All sums are integers (log ratios in units of 1e-9, times in nanoseconds), so addition is exact and
does not depend on the order, and removing an order leaves no trace. Any split of a block over
several observers merges to the same sums.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import gt, lt
from typing import Any

from dashboard.verdict.classes import OTHERS, SOMETHING, class_of, other_of, signature, simplest
from dashboard.verdict.paired_order import ANSWERED, TIMED, OrderStatus, PairedOrder, clipped_logs
from dashboard.verdict.quantiles import MOST_TIMES, checksum, slow_in, slower_and_faster, times_of
from dashboard.verdict.rates import MOST_FIELDS
from dashboard.verdict.segments import rank

#: Log ratios are kept in units of 1e-9.
SCALE = 1_000_000_000
#: The most segments, classes and signatures that a block keeps; the last names are dropped.
#: Discrepancies have the limit of a launch.
_MOST_NAMES = 128


@dataclass(slots=True)
class BlockSums:
    """Counts and sums over the orders that both versions received."""

    orders: int = 0
    #: Equal to ``orders``; kept because stored blocks have it.
    changes: int = 0
    #: Orders that both versions answered.
    answered: int = 0
    #: Orders for which the control has a time, whether or not the candidate has one, and their sum.
    timed: int = 0
    timed_ns: int = 0
    #: Orders with a log ratio, the sum of the ratios, both sums of times, and which version was
    #: faster.
    pairs: int = 0
    log_ratio: int = 0
    control_ns: int = 0
    candidate_ns: int = 0
    faster: int = 0
    slower: int = 0
    #: Orders that only the candidate, or only the control, failed, did not answer, or was slow on.
    errors_pos: int = 0
    errors_neg: int = 0
    missing_pos: int = 0
    missing_neg: int = 0
    missing_both: int = 0
    #: Orders that the control, and that the candidate, failed or received without answering.
    control_failed: int = 0
    candidate_failed: int = 0
    #: Orders that were sent to a baseline, and of these the ones that it handled, and that it
    #: failed or received without answering.
    baseline_sent: int = 0
    baseline_handled: int = 0
    baseline_failed: int = 0
    slow_pos: int = 0
    slow_neg: int = 0
    #: Orders known to be slow or not: those with a log ratio, as far as there was room to keep
    #: their times.
    slow_of: int = 0
    #: Orders that both handled, and those that the baseline handled as well.
    handled: int = 0
    compared: int = 0
    #: Classes of differences over the compared orders, and signatures over the handled ones.
    classes: dict[str, int] = field(default_factory=dict)
    signatures: dict[str, int] = field(default_factory=dict)
    #: Per discrepancy, compared orders where only the candidate shows it, and only the baseline.
    only_shown: dict[str, int] = field(default_factory=dict)
    only_noise: dict[str, int] = field(default_factory=dict)
    segment_pairs: dict[str, int] = field(default_factory=dict)
    segment_sums: dict[str, int] = field(default_factory=dict)
    #: How often each pair of times occurs, until the slow threshold is frozen.
    times: dict[str, int] = field(default_factory=dict)

    def merge(self, other: BlockSums) -> None:
        """Add the sums of another part of the same block."""
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

    def copy(self) -> BlockSums:
        """An independent copy."""
        other = replace(self)
        for name in MAPPINGS:
            setattr(other, name, dict(getattr(self, name)))
        return other

    def slow_counts(self, threshold: int) -> tuple[int, int, int]:
        """Orders that were slow for the candidate only, for the control only, and all that are
        known."""
        pos, neg, of = slow_in(self.times, threshold)
        return self.slow_pos + pos, self.slow_neg + neg, self.slow_of + of

    def freeze(self, threshold: int) -> None:
        """Replace the kept times by counts of slow orders under this threshold."""
        self.slow_pos, self.slow_neg, self.slow_of = self.slow_counts(threshold)
        self.times = {}

    def to_json(self) -> dict[str, Any]:
        """The fields that are not zero, by name, so that later releases can add fields."""
        return {name: value for name in (*NUMBERS, *MAPPINGS) if (value := getattr(self, name))}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> BlockSums:
        fields: dict[str, Any] = {
            name: dict(one) if isinstance(one, dict) else one for name, one in stored.items()
        }
        return cls(**fields)


def joined(blocks: Sequence[BlockSums], threshold: int | None) -> BlockSums:
    """Several blocks as one, with slow orders counted; may return one of them."""
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
    """Keep the first names and return the rest.

    The choice does not depend on the order in which names arrive: a name that is among the first of
    all is among the first of every part.
    """
    if len(names) <= most:
        return []
    real = names.keys() - _REST
    if len(real) <= most:
        return []
    return [(name, names.pop(name)) for name in sorted(real, key=first)[most:]]


_REST = {*OTHERS, SOMETHING}


def _trim_fields(shown: dict[str, int], noise: dict[str, int]) -> None:
    """Keep the first discrepancies, with both sides, and drop the rest."""
    if len(shown) + len(noise) <= MOST_FIELDS:
        return
    for name in sorted(shown.keys() | noise.keys(), key=int)[MOST_FIELDS:]:
        shown.pop(name, None)
        noise.pop(name, None)


_NS_PER_MS = 1_000_000
_OK, _MISSING = OrderStatus.OK, OrderStatus.MISSING
_FAILED = (OrderStatus.FAILED, OrderStatus.TIMEOUT)


def sums_of(orders: Sequence[PairedOrder], deadline_ms: float, threshold: int | None) -> BlockSums:
    """The sums of usable orders; without a threshold their times are kept until there is one."""
    sums = BlockSums(orders=len(orders), changes=len(orders))
    _add_ends(sums, orders)
    _add_times(sums, orders, deadline_ms, threshold)
    _add_differences(sums, orders)
    return sums


def _add_ends(sums: BlockSums, orders: Sequence[PairedOrder]) -> None:
    ends = Counter([(one.control.status, one.candidate.status) for one in orders])
    for (control, candidate), number in ends.items():
        if control in ANSWERED and candidate in ANSWERED:
            sums.answered += number
        if control is not _OK and candidate is _OK:
            sums.errors_neg += number
        if control is _OK and candidate is not _OK:
            sums.errors_pos += number
        if control is candidate is _MISSING:
            sums.missing_both += number
        elif control is _MISSING:
            sums.missing_neg += number
        elif candidate is _MISSING:
            sums.missing_pos += number
        sums.control_failed += number * (control in _FAILED)
        sums.candidate_failed += number * (candidate in _FAILED)
    baselines = [one.baseline.status for one in orders if one.baseline]
    sums.baseline_sent, sums.baseline_handled = len(baselines), baselines.count(_OK)
    sums.baseline_failed = sum(map(baselines.count, _FAILED))


def _add_times(
    sums: BlockSums, orders: Sequence[PairedOrder], deadline_ms: float, threshold: int | None
) -> None:
    """Add the control's time, and both times where both versions have one."""
    controls, candidates, segments, alone = [], [], [], []
    for one in orders:
        control, candidate = one.control, one.candidate
        if control.status in TIMED:
            ms = control.capped_ms(deadline_ms)
            if candidate.status in TIMED:
                controls.append(ms)
                candidates.append(candidate.capped_ms(deadline_ms))
                segments.append(one.segments)
            else:
                alone.append(ms)
    times = _ns(controls), _ns(candidates)
    alone_ns = _ns(alone)
    sums.pairs, sums.control_ns, sums.candidate_ns = len(controls), *map(sum, times)
    sums.timed, sums.timed_ns = sums.pairs + len(alone), sums.control_ns + sum(alone_ns)
    sums.faster = sum(map(lt, candidates, controls))
    sums.slower = sum(map(gt, candidates, controls))
    if threshold is None:
        sums.times = times_of(*times, alone_ns)
    else:
        sums.slow_pos, sums.slow_neg = slower_and_faster(*times, threshold)
        sums.slow_of = sums.pairs
    logs = list(map(round, [one * SCALE for one in clipped_logs(controls, candidates)]))
    sums.log_ratio = sum(logs)
    _add_segments(sums, segments, logs)


def _ns(times_ms: Sequence[float]) -> list[int]:
    return list(map(round, [ms * _NS_PER_MS for ms in times_ms]))


def _add_segments(
    sums: BlockSums, segments: Sequence[tuple[str, ...]], logs: Sequence[int]
) -> None:
    by_name: defaultdict[str, list[int]] = defaultdict(list)
    for names, log in zip(segments, logs, strict=True):
        for name in names:
            by_name[name].append(log)
    sums.segment_pairs = {name: len(some) for name, some in by_name.items()}
    sums.segment_sums = {name: sum(some) for name, some in by_name.items()}


def _add_differences(sums: BlockSums, orders: Sequence[PairedOrder]) -> None:
    handled = [one for one in orders if one.control.status is one.candidate.status is _OK]
    compared = [one for one in handled if one.baseline and one.baseline.status is _OK]
    sums.handled, sums.compared = len(handled), len(compared)
    for shown, number in Counter([one.shown for one in handled if one.shown]).items():
        _count(sums.signatures, signature(shown), number)
    differing = [(one.shown, one.noise) for one in compared if one.shown or one.noise]
    for (shown, noise), number in Counter(differing).items():
        _count(sums.classes, class_of(shown, noise), number)
        for one in shown - noise:
            _count(sums.only_shown, str(one), number)
        for one in noise - shown:
            _count(sums.only_noise, str(one), number)


def _count(names: dict[str, int], name: str, number: int) -> None:
    names[name] = names.get(name, 0) + number


#: By default a block is as long as this many orders take, within the bounds below. In simulations,
#: slow phases of 20 s on one host did no harm with blocks of 10 s, and caused a wrong verdict in
#: one launch of seven with blocks of 2 s.
ORDERS_A_BLOCK = 25
LEAST_BLOCK_S = 10.0
LONGEST_BLOCK_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How time is cut into blocks, and when a block is complete. All values are in seconds."""

    #: The length of a base block.
    block_s: float = 10.0
    #: The longest that joined base blocks may be; 0 if ``block_s`` was set.
    longest_s: float = 0.0
    #: After how long without an answer an order is missing or timed out.
    deadline_s: float = 30.0
    grace_s: float = 2.0
    #: How long after the later version's first answer the warm-up lasts, and with how many orders
    #: at least.
    warm_up_s: float = 60.0
    warm_up_orders: int = 200
    #: The number of closed blocks that can still be corrected, because they are kept one by one.
    kept_blocks: int = 6

    @property
    def deadline_ms(self) -> float:
        """The deadline in milliseconds."""
        return self.deadline_s * 1000

    def block_of(self, placed_at: float) -> int:
        """The number of an order's block; ``placed_at`` is in seconds since 1970."""
        return math.floor(placed_at / self.block_s)

    def closed_at(self, now: float) -> int:
        """The first block that is still open."""
        return math.floor((now - self.deadline_s - self.grace_s) / self.block_s)

    def joined(self, orders: int, blocks: int) -> int:
        """How many base blocks to join into one, given how many orders arrived in how many base
        blocks."""
        most = math.floor(self.longest_s / self.block_s)
        return min(math.ceil(ORDERS_A_BLOCK * blocks / orders), most) if most > 1 else 1
