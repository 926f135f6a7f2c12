"""What the closed blocks of a launch amount to, folded in the order of time.

Constant memory, whatever the number of orders: sums by level, counts, and a bounded number of
segments and classes of differences.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

from dashboard.verdict.blocks import SCALE, BlockSums, Timing, joined, sums_of
from dashboard.verdict.classes import SOMETHING, Differences, simplest
from dashboard.verdict.levels import MultiLevelBlocks
from dashboard.verdict.paired_order import PairedOrder
from dashboard.verdict.quantiles import controls_in, threshold_of
from dashboard.verdict.rates import MOST_FIELDS, PairedRate, RobustRate, beyond_noise
from dashboard.verdict.segments import Drift, Segments

#: The slow threshold rests on so many times of the warm-up, up to the end of a block.
MOST_TIMED = 10_000
#: Signatures of differences that are told apart over the launch; the rest show something.
_MOST_SIGNATURES = 64
#: The newest outcomes cover at least this number of orders, once there are enough.
NEWEST_ORDERS = 200


@dataclass(slots=True)
class Outcomes:
    """How the versions ended some orders, those of the warm-up among them.

    A version failed an order that it ended badly, or took and did not answer; one that it never
    took is missing, and in no count but ``orders`` and ``baseline_sent``.
    """

    orders: int = 0
    control_failed: int = 0
    candidate_failed: int = 0
    #: Orders that the baseline was sent, and of those the ones that it handled, and failed.
    baseline_sent: int = 0
    baseline_handled: int = 0
    baseline_failed: int = 0

    def add(self, more: BlockSums | Outcomes) -> None:
        """Add those of a block, or of other orders."""
        for name in _OUTCOMES:
            setattr(self, name, getattr(self, name) + getattr(more, name))

    @property
    def baseline_missing(self) -> int:
        """Orders that the baseline was sent and never took."""
        return self.baseline_sent - self.baseline_handled - self.baseline_failed


_OUTCOMES = tuple(Outcomes.__dataclass_fields__)


@dataclass(slots=True)
class WarmUp:
    """What came before the test: the control's times set the scale and the slow threshold."""

    orders: int = 0
    answered: int = 0
    #: Orders for which the control has a time, and those times: a candidate that never has one is
    #: to be judged, too.
    timed: int = 0
    timed_ns: int = 0
    #: How often each of the control's first MOST_TIMED times occurs, in nanoseconds.
    times: dict[str, int] = field(default_factory=dict)
    #: The first base block in which both versions answered, the orders before it, and the last
    #: base block with an order.
    first: int | None = None
    before: int = 0
    last: int | None = None

    def lasts(self, block: int, timing: Timing) -> bool:
        """Whether a block is part of it still."""
        if self.first is None or self.timed < timing.warm_up_orders:
            return True
        return block < self.first + math.ceil(timing.warm_up_s / timing.block_s)

    def add(self, block: int, sums: BlockSums) -> None:
        """Take a block in."""
        if self.first is None and sums.answered:
            self.first, self.before = block, self.orders
        self.last = block
        self.orders += sums.orders
        self.answered += sums.answered
        self.timed += sums.timed
        self.timed_ns += sums.timed_ns
        if sum(self.times.values()) < MOST_TIMED:
            for time, count in controls_in(sums.times).items():
                self.times[str(time)] = self.times.get(str(time), 0) + count

    @property
    def span(self) -> tuple[int, int]:
        """How many orders came in how many base blocks, from the first answers on."""
        if self.first is None or self.last is None:
            return 0, 0
        return self.orders - self.before, self.last + 1 - self.first

    def threshold(self, timing: Timing) -> int:
        """The longest time that is not slow, in nanoseconds."""
        times = {int(time): count for time, count in self.times.items()}
        return threshold_of(times, round(timing.deadline_s * 1e9))


@dataclass(slots=True)
class EvidenceTotals:
    """The totals that a verdict is computed from.

    ``threshold`` is the longest time that is not slow, in nanoseconds; it and ``scale_ns`` are None
    in the warm-up.
    """

    warm_up: WarmUp = field(default_factory=WarmUp)
    threshold: int | None = None
    scale_ns: float | None = None
    #: How many base blocks make one that is tested: chosen at the end of the warm-up.
    joined: int = 1
    orders: int = 0
    missing_both: int = 0
    pairs: int = 0
    handled: int = 0
    compared: int = 0
    faster: int = 0
    slower: int = 0
    signatures: dict[str, int] = field(default_factory=dict)
    #: Of the compared orders, by discrepancy: the candidate alone shows it, the baseline alone.
    only_shown: dict[str, int] = field(default_factory=dict)
    only_noise: dict[str, int] = field(default_factory=dict)
    missing: PairedRate = field(default_factory=PairedRate)
    effect: MultiLevelBlocks = field(default_factory=MultiLevelBlocks)
    total_time: MultiLevelBlocks = field(default_factory=MultiLevelBlocks)
    errors: RobustRate = field(default_factory=RobustRate)
    slow: RobustRate = field(default_factory=RobustRate)
    differences: Differences = field(default_factory=Differences)
    segments: Segments = field(default_factory=Segments)
    drift: Drift = field(default_factory=Drift)
    #: Of all orders, the warm-up's among them: so it is known why a warm-up does not end.
    outcomes: Outcomes = field(default_factory=Outcomes)
    #: Of the newest orders, in two parts; ``newest`` has both.
    newest_parts: list[Outcomes] = field(default_factory=lambda: [Outcomes(), Outcomes()])
    #: Orders that came too late to be counted; set by the tally.
    lost: int = 0

    @property
    def newest(self) -> Outcomes:
        """Of the newest blocks with 200 orders or more, or of all while there are fewer: shows a
        baseline that has died, fails, or gets no orders."""
        both = Outcomes()
        for part in self.newest_parts:
            both.add(part)
        return both

    @property
    def slow_orders(self) -> RobustRate:
        """The rate of slow orders, whose blocks count from the level on at which speed is flat."""
        return self.slow.beside(self.effect)

    @property
    def incomplete(self) -> int:
        """Orders with no report from at least one version."""
        return self.missing.pos + self.missing.neg + self.missing_both

    @property
    def seen(self) -> int:
        """Counted orders, including the warm-up's."""
        return self.warm_up.orders + self.orders

    @property
    def unknown_share(self) -> float | None:
        """The share of orders that are incomplete, and of all orders that are lost; None while no
        order was tested or lost."""
        if not self.orders and not self.lost:
            return None
        incomplete = self.incomplete / self.orders if self.orders else 0.0
        return min(1.0, incomplete + self.lost / (self.seen + self.lost))

    @property
    def empty(self) -> bool:
        """Whether no order was counted yet."""
        return self.warm_up.orders == 0

    def begin(self, block: int, timing: Timing) -> None:
        """End the warm-up where this base block is past it: freeze what is taken from it."""
        if self.threshold is None and not self.warm_up.lasts(block, timing):
            self.threshold = self.warm_up.threshold(timing)
            self.scale_ns = self.warm_up.timed_ns / self.warm_up.timed
            self.joined = timing.joined(*self.warm_up.span)
            self.warm_up.times = {}

    def end_of(self, block: int) -> int:
        """The base block that begins the next block after the one that this base block is in."""
        return (block // self.joined + 1) * self.joined

    def settled_until(self, until: int) -> int:
        """The first base block that may still get orders, when those until then are to settle."""
        whole = until // self.joined * self.joined
        past_warm_up = -1 if self.warm_up.last is None else self.warm_up.last + 1
        return max(whole, min(past_warm_up, until))

    def fold(self, block: int, sums: BlockSums, timing: Timing) -> None:
        """Take in a closed block, by its first base block; blocks must come in ascending order."""
        self.begin(block, timing)
        self._fold_outcomes(sums)
        if self.threshold is None:
            self.warm_up.add(block, sums)
            return
        self._fold_times(sums)
        self._fold_rates(sums, self.threshold)

    def block_s(self, timing: Timing) -> float:
        """The length of a block that is tested, in seconds."""
        return self.joined * timing.block_s

    def why_block_s(self, timing: Timing) -> str:
        """Why blocks are of that length, as in "5 orders a minute"; empty in the warm-up."""
        if self.threshold is None:
            return ""
        if not timing.longest_s:
            return "as set"
        orders, blocks = self.warm_up.span
        a_second = orders / blocks / timing.block_s
        rate, unit = (a_second, "second") if a_second >= 1 else (a_second * 60, "minute")
        number = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
        return f"{number} {'order' if number == '1' else 'orders'} a {unit}"

    def _fold_outcomes(self, sums: BlockSums) -> None:
        self.outcomes.add(sums)
        if self.newest_parts[-1].orders >= NEWEST_ORDERS:
            self.newest_parts = [self.newest_parts[-1], Outcomes()]
        self.newest_parts[-1].add(sums)

    def _fold_times(self, sums: BlockSums) -> None:
        effect = sums.log_ratio / SCALE
        scale = self.scale_ns or 1.0
        self.pairs += sums.pairs
        self.faster += sums.faster
        self.slower += sums.slower
        self.effect.add(sums.pairs, effect)
        self.drift.add(sums.pairs, effect)
        self.total_time.add(sums.control_ns / scale, sums.candidate_ns / scale)
        own = {name: total / SCALE for name, total in sums.segment_sums.items()}
        self.segments.add(sums.segment_pairs, own)

    def _fold_rates(self, sums: BlockSums, threshold: int) -> None:
        self.orders += sums.orders
        self.missing_both += sums.missing_both
        self.handled += sums.handled
        self.compared += sums.compared
        pos, neg, of = sums.slow_counts(threshold)
        self.slow.add(pos, neg, of - pos - neg)
        errors = sums.errors_pos, sums.errors_neg
        self.errors.add(*errors, sums.orders - sum(errors))
        missing = sums.missing_pos, sums.missing_neg
        self.missing.add(*missing, sums.orders - sum(missing))
        self.differences.add(sums.compared, sums.classes)
        for name in sorted(sums.signatures, key=simplest):
            known = name in self.signatures or len(self.signatures) < _MOST_SIGNATURES
            place = name if known else SOMETHING
            self.signatures[place] = self.signatures.get(place, 0) + sums.signatures[name]
        self._fold_fields(sums)

    def _fold_fields(self, sums: BlockSums) -> None:
        for name in sorted(sums.only_shown.keys() | sums.only_noise.keys(), key=int):
            if name in self.only_shown or len(self.only_shown) < MOST_FIELDS:
                for own, more in (
                    (self.only_shown, sums.only_shown),
                    (self.only_noise, sums.only_noise),
                ):
                    own[name] = own.get(name, 0) + more.get(name, 0)

    def beyond_noise(
        self, accepted: Collection[int] = (), same: Mapping[int, int] = MappingProxyType({})
    ) -> list[int]:
        """Discrepancies significantly more frequent in the candidate than in the baseline.

        At 5 % for all of a launch together, at any time; without the accepted ones. ``same`` maps
        a discrepancy that noise was recorded under to its current one.
        """
        noise: Counter[int] = Counter()
        for name, number in self.only_noise.items():
            noise[same.get(int(name), int(name))] += number
        return [
            int(name)
            for name, pos in self.only_shown.items()
            if int(name) not in accepted
            and beyond_noise(pos, neg := noise[int(name)], max(0, self.compared - pos - neg))
        ]

    def shown_of(self, discrepancies: Collection[int]) -> frozenset[int]:
        """Those of some discrepancies that orders of this evidence show, on either side."""
        classes = (*self.differences.names, *self.signatures)
        numbers = {one for name in classes for one in name.replace("|", ",").split(",")}
        numbers |= self.only_shown.keys() | self.only_noise.keys()
        return frozenset(one for one in discrepancies if str(one) in numbers)

    def to_json(self) -> dict[str, Any]:
        """All fields by name; only what changed since the last closed block is different."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        made = {name: getattr(self, name).to_json() for name in _MADE}
        missing = self.missing
        return {
            **plain,
            **made,
            "signatures": dict(self.signatures),
            "only_shown": dict(self.only_shown),
            "only_noise": dict(self.only_noise),
            "missing": [missing.pos, missing.neg, missing.zero],
            "warm_up": asdict(self.warm_up),
            "outcomes": asdict(self.outcomes),
            "newest_parts": [asdict(part) for part in self.newest_parts],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> EvidenceTotals:
        """Read what ``to_json`` wrote."""
        return cls(
            **{name: stored[name] for name in _PLAIN if name in stored},
            **{name: kind.from_json(stored[name]) for name, kind in _MADE.items()},
            signatures=dict(stored["signatures"]),
            only_shown=dict(stored["only_shown"]),
            only_noise=dict(stored["only_noise"]),
            missing=PairedRate(*stored["missing"]),
            warm_up=WarmUp(**{**stored["warm_up"], "times": dict(stored["warm_up"]["times"])}),
            outcomes=Outcomes(**stored["outcomes"]),
            newest_parts=[Outcomes(**part) for part in stored["newest_parts"]],
        )

    def copy(self) -> EvidenceTotals:
        """An independent copy."""
        empty = replace(self, differences=Differences())
        copied = EvidenceTotals.from_json(empty.to_json())
        copied.differences = self.differences.copy()
        return copied


_PLAIN = (
    "threshold", "scale_ns", "joined", "orders", "missing_both", "pairs", "handled", "compared",
    "faster", "slower",
)  # fmt: skip
_MADE: dict[str, Any] = {
    "effect": MultiLevelBlocks,
    "total_time": MultiLevelBlocks,
    "errors": RobustRate,
    "slow": RobustRate,
    "differences": Differences,
    "segments": Segments,
    "drift": Drift,
}


#: Maximum unsettled blocks, whatever the clocks say; orders beyond it are lost.
MOST_BLOCKS = 512


@dataclass(slots=True)
class Tally:
    """Unsettled blocks by number, and the totals of the settled ones."""

    timing: Timing = field(default_factory=Timing)
    settled: EvidenceTotals = field(default_factory=EvidenceTotals)
    blocks: dict[int, BlockSums] = field(default_factory=dict)
    #: The first block that is not closed, and the first that is not settled.
    closed_until: int | None = None
    settled_until: int | None = None
    #: Answers that came after they were counted as missing; orders that came after their block had
    #: settled; orders with a time that is none.
    late: int = 0
    lost: int = 0
    bad: int = 0
    #: Blocks of this tally stored elsewhere, which count towards MOST_BLOCKS.
    apart: int = 0

    def add_all(self, orders: Iterable[PairedOrder]) -> int:
        """Count orders; return how many were counted."""
        by_block: defaultdict[int, list[PairedOrder]] = defaultdict(list)
        for order in orders:
            if order.usable:
                by_block[self.timing.block_of(order.placed_at)].append(order)
            else:
                self.bad += 1
        counted = 0
        for number, some in by_block.items():
            block = self._block(number)
            if block is None:
                self.lost += len(some)
                continue
            block.merge(sums_of(some, self.timing.deadline_ms, self.settled.threshold))
            counted += len(some)
        return counted

    def _block(self, number: int) -> BlockSums | None:
        if self.settled_until is not None and number < self.settled_until:
            return None
        if number not in self.blocks and len(self.blocks) + self.apart >= MOST_BLOCKS:
            return None
        return self.blocks.setdefault(number, BlockSums())

    def close(self, now: float) -> None:
        """Let the blocks count whose orders have all ended by now, in seconds since 1970."""
        self.closed_until = _latest(self.closed_until, self.timing.closed_at(now))
        until = self.closed_until - self.timing.kept_blocks
        for number in self._fold(self.settled, until):
            del self.blocks[number]
        self.settled_until = _latest(self.settled_until, self.settled.settled_until(until))
        if self.settled.threshold is not None:
            for block in self.blocks.values():
                block.freeze(self.settled.threshold)

    def _fold(self, evidence: EvidenceTotals, until: int) -> list[int]:
        """Fold the blocks that are whole by then into an evidence; gives their base blocks."""
        numbers = sorted(one for one in self.blocks if one < until)
        folded: list[int] = []
        while len(folded) < len(numbers):
            first = numbers[len(folded)]
            evidence.begin(first, self.timing)
            end = evidence.end_of(first)
            if end > until:
                break
            whole = [one for one in numbers if first <= one < end]
            sums = joined([self.blocks[one] for one in whole], evidence.threshold)
            evidence.fold(first, sums, self.timing)
            folded += whole
        return folded

    def evidence(self) -> EvidenceTotals:
        """The totals of all closed blocks; read-only, and cheap enough for every frame."""
        until = self.closed_until or 0
        if all(one >= until for one in self.blocks):
            return replace(self.settled, lost=self.lost)
        evidence = self.settled.copy()
        evidence.lost = self.lost
        self._fold(evidence, until)
        return evidence


def _latest(known: int | None, new: int) -> int:
    return new if known is None else max(known, new)
