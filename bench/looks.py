"""What the product's own evidence says of a simulated launch, block after block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from bench.kitchens import Block, Launches
from dashboard.verdict.blocks import Timing
from dashboard.verdict.classes import Differences, class_of
from dashboard.verdict.evidence import EvidenceTotals
from dashboard.verdict.levels import FLAT_BLOCKS, MultiLevelBlocks
from dashboard.verdict.rates import RobustRate
from dashboard.verdict.reasons import CORRELATED
from dashboard.verdict.sequences import RatioBlocks
from dashboard.verdict.thresholds import LaunchHealth, Requirement, Requirements
from dashboard.verdict.verdict import Verdict, verdict
from dashboard.verdict.wording import LEAST_BLOCKS, LEAST_ORDERS

REQUIRED = Requirements()
_DRAWN = math.log(1 / REQUIRED.each)
#: Headlines whose correlation over time is warned of.
_TIMED = (Requirement.SPEED, Requirement.FAILURES, Requirement.SLOW_ORDERS)
_ALONE = class_of(frozenset({1}), frozenset()), class_of(frozenset(), frozenset({1}))


def excludes(blocks: MultiLevelBlocks, theta: float, sign: int) -> bool:
    """Whether the drawn interval lies above theta, or below it with sign -1."""

    def beyond(level: RatioBlocks) -> bool:
        return sign * (level.y - theta * level.x) > 0 and level.log_e(theta) >= _DRAWN

    # Where any level counts, the finest does; which ones do takes longer to tell.
    if not blocks.levels or not beyond(blocks.levels[0].blocks):
        return False
    counting = blocks.counting()
    return bool(counting) and all(map(beyond, counting))


@dataclass(frozen=True, slots=True)
class TimedHeadline:
    """A headline now: without ``rate`` it is speed."""

    margin: float
    blocks: MultiLevelBlocks
    rate: RobustRate | None = None

    @property
    def more(self) -> bool:
        return self._excludes_nought(1)

    @property
    def less(self) -> bool:
        return self._excludes_nought(-1)

    @property
    def alarm(self) -> bool:
        return self.more or self.less

    @property
    def beyond(self) -> bool:
        return (self.blocks.estimate or 0.0) >= self.margin

    @property
    def failed(self) -> bool:
        """Whether it makes the verdict WORSE."""
        return self.beyond and self.more

    @property
    def passes(self) -> bool:
        evidence = (self.blocks, self.rate.counts) if self.rate else (self.blocks,)
        return self.enough and all(
            one.log_e_below(self.margin) >= REQUIRED.limit for one in evidence
        )

    @property
    def enough(self) -> bool:
        if self.rate is not None:
            return self.rate.counts.n >= LEAST_ORDERS
        return self.blocks.k >= LEAST_BLOCKS and self.blocks.levels[0].blocks.x >= LEAST_ORDERS

    def _excludes_nought(self, sign: int) -> bool:
        if not self.enough or sign * (self.blocks.estimate or 0.0) <= 0:
            return False
        if not excludes(self.blocks, 0.0, sign):
            return False
        if self.rate is None:
            return True
        counts = self.rate.counts
        log_e = counts.log_e_greater(0.0) if sign > 0 else counts.log_e_below(0.0)
        return log_e >= math.log(2 / REQUIRED.each)


class TimedLaunch:
    """The evidence of one launch so far."""

    def __init__(self) -> None:
        self.evidence = EvidenceTotals(threshold=1, scale_ns=1.0)
        self.evidence.slow.blocks.beside = self.evidence.effect
        #: The evidence keeps differences so that a review may change them, which takes longer: it
        #: gets them when a verdict is asked for.
        self.differences = RobustRate()
        self._differences: list[tuple[int, int, int]] = []
        self.passed: set[Requirement] = set()
        margins = REQUIRED.margins
        rates = {
            Requirement.FAILURES: self.evidence.errors,
            Requirement.SLOW_ORDERS: self.evidence.slow,
            Requirement.DIFFERENCES: self.differences,
        }
        self.headlines = {
            Requirement.SPEED: TimedHeadline(margins[Requirement.SPEED], self.evidence.effect),
            **{name: TimedHeadline(margins[name], one.blocks, one) for name, one in rates.items()},
        }

    @property
    def orders(self) -> int:
        return self.evidence.orders

    @property
    def ready(self) -> bool:
        """Whether all headlines have passed, if this is asked after every block: a pass stays until
        there is evidence against it."""
        for name, one in self.headlines.items():
            if name not in self.passed or one.beyond:
                self.passed.discard(name)
                if one.passes:
                    self.passed.add(name)
        return len(self.passed) == len(self.headlines)

    @property
    def worse(self) -> bool:
        return any(one.failed for one in self.headlines.values())

    @property
    def alarm(self) -> bool:
        return any(one.alarm for one in self.headlines.values())

    @property
    def warned(self) -> bool:
        """Whether the board warns that results are correlated over time."""
        return any(
            blocks.k >= FLAT_BLOCKS and blocks.lag1 > CORRELATED / math.sqrt(blocks.k)
            for blocks in (one.blocks for name, one in self.headlines.items() if name in _TIMED)
        )

    def verdict(self) -> Verdict:
        """The product's, as if nothing had passed before."""
        self.evidence.differences = Differences()
        for n, *alone in self._differences:
            classes = {name: number for name, number in zip(_ALONE, alone, strict=True) if number}
            self.evidence.differences.add(n, classes)
        health = LaunchHealth(behind_s=0.0)
        return verdict(self.evidence, REQUIRED, health, timing=Timing(), bench=EvidenceTotals())

    def add(self, block: Block) -> None:
        own, pairs = self.evidence, block.pairs
        own.orders += block.orders
        own.pairs += pairs
        own.handled += pairs
        own.compared += pairs
        own.missing.add(0, 0, block.orders)
        own.effect.add(pairs, block.log_ratio)
        for rate, (n, pos, neg) in (
            (own.errors, block.failures),
            (own.slow, block.slow),
            (self.differences, block.differences),
        ):
            rate.add(pos, neg, n - pos - neg)
        self._differences.append(block.differences)


def looks(drawn: Launches, run: int) -> Iterator[TimedLaunch]:
    """One launch, after each of its blocks."""
    launch = TimedLaunch()
    for block in drawn.blocks(run):
        launch.add(block)
        yield launch
