"""Brings what is counted of the first period to what is counted of all of them.

Counts are so many times what they were. The evidence is not: its blocks are laid down period by
period, and the product closes them, judges, and keeps the history as it does behind live orders.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

from django.conf import settings
from django.db.models import F

from bench.growth.clock import it_is
from bench.growth.names import Period, name_of
from dashboard.domain.decision import Decision
from dashboard.models import (
    Discrepancy,
    Evidence,
    EvidenceBlock,
    Example,
    Signature,
    Sweep,
    Tally,
)
from dashboard.observing.evidence import coverage_of, timing_of
from dashboard.reviewing.reviews import Seen, review
from dashboard.verdict.closing import close_blocks
from dashboard.verdict.coverage import Coverage
from restaurant.models import Order

_COUNTS = ("orders", "handled", "failed", "missing", "late", "repeats", "pairs")
#: What people have decided by the end, where it was found.
_DECIDED = {
    "cook": (Decision.NOISE, "whoever is free cooks"),
    "actual_minutes": (Decision.BY_DESIGN, "the stations work side by side"),
    "total_price": (Decision.BUG, "a cent is lost"),
}


def multiply(periods: int, period: Period, seed: int) -> None:
    """Count what all periods hold, all but the evidence."""
    later = timedelta(seconds=(periods - 1) * period.seconds)
    for tally in Tally.objects.all():
        for name in _COUNTS:
            setattr(tally, name, periods * getattr(tally, name))
        tally.matrix = {cell: periods * count for cell, count in tally.matrix.items()}
        tally.sketch = {bucket: periods * count for bucket, count in tally.sketch.items()}
        tally.newest_at = tally.newest_at and tally.newest_at + later
        tally.ended_until = tally.ended_until and tally.ended_until + later
        tally.save()
    for row in Discrepancy.objects.all():
        row.count, row.ignored = periods * row.count, periods * row.ignored
        row.last_seen_at += later
        row.save()
    Signature.objects.update(pairs=periods * F("pairs"))
    _spread_examples(periods, period.orders, seed)


def review_some(end: datetime) -> None:
    """Let somebody decide on some of what was found."""
    with it_is(end):
        for row in Discrepancy.objects.filter(path__in=_DECIDED, kind="value", version="vnext"):
            decision, note = _DECIDED[row.path]
            review([Seen(row.pk, row.revision)], decision, note=note, author="ada")


def close_periods(periods: int, period: Period, on_period: Callable[[int], None]) -> None:
    """Lay down the evidence of each period in turn, and let the product close what is over."""
    rows = list(Evidence.objects.all())
    blocks = {row.pk: list(row.blocks.values_list("number", "sums")) for row in rows}
    deadline = timedelta(seconds=settings.ENVIRONMENT.deadline_s)
    for number in range(periods):
        end = period.start(number + 1)
        for row in rows if number else ():
            _lay_down(row, blocks[row.pk], number * period.seconds)
        Sweep.objects.update(swept_until=end)
        close_blocks(end + deadline)
        on_period(number + 1)
    for row in rows:
        _multiply_evidence(Evidence.objects.get(pk=row.pk), periods, period)


def _lay_down(row: Evidence, blocks: list[tuple[int, str]], later_s: int) -> None:
    shift = later_s / timing_of(row).block_s
    if not shift.is_integer():
        raise ValueError(f"BLOCK_SECONDS must go into {later_s} s evenly")
    EvidenceBlock.objects.bulk_create(
        EvidenceBlock(evidence=row, number=number + int(shift), sums=sums)
        for number, sums in blocks
    )


def _multiply_evidence(row: Evidence, periods: int, period: Period) -> None:
    once, whole = coverage_of(row), Coverage()
    for _ in range(periods):
        whole.merge(once)
    row.coverage = json.dumps(whole.to_json(), separators=(",", ":"))
    row.late, row.lost, row.bad = periods * row.late, periods * row.lost, periods * row.bad
    row.newest_at += timedelta(seconds=(periods - 1) * period.seconds)
    row.save(update_fields=["coverage", "late", "lost", "bad", "newest_at"])


def _spread_examples(periods: int, orders: int, seed: int) -> None:
    """Draw each example from all the orders that are copies of it: each as likely as any other."""
    random = Random(seed)
    examples = list(Example.objects.order_by("discrepancy", "slot"))
    names = {example.order for example in examples}
    numbers = dict(Order.objects.filter(uuid__in=names).values_list("uuid", "id"))
    for example in examples:
        number = numbers[example.order] + orders * random.randrange(periods)
        example.order = name_of(seed, number)
    Example.objects.bulk_update(examples, ["order"])
