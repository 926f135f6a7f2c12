"""Stores the evidence of each version: adds orders to blocks, closes blocks that are over.

What the domain's tally keeps in one object lies here in rows, so that adding reads and writes only
the blocks that orders fall into; closing puts the whole together, once a sweep.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings

from dashboard import models
from dashboard.domain.verdict.blocks import BlockSums
from dashboard.domain.verdict.coverage import Coverage
from dashboard.domain.verdict.evidence import Evidence
from dashboard.domain.verdict.paired_order import PairedOrder
from dashboard.domain.verdict.tally import MOST_BLOCKS, Tally
from dashboard.domain.verdict.timing import Timing

#: Of the stored sums: a release that stores them otherwise begins anew.
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Builds:
    """The builds of an epoch: a new one of either starts anew, with no memory."""

    control: str
    version: str


@dataclass(frozen=True, slots=True)
class Weighed:
    """An order that counts, and the shapes that it has; no order where an answer came late."""

    placed_at: float
    order: PairedOrder | None
    shapes: tuple[str, ...] = ()


def timing_in_force() -> Timing:
    """The timing that the settings ask for."""
    environment = settings.ENVIRONMENT
    return Timing(
        block_s=environment.block_s,
        deadline_s=environment.deadline_s,
        warm_up_s=environment.warm_up_s,
    )


def add_to_evidence(
    launch: UUID, version: str, builds: Builds, orders: Sequence[Weighed], now: datetime
) -> None:
    """Add orders to the evidence of one epoch, inside the transaction that records them."""
    timing = timing_in_force()
    row = _row(launch, version, builds, timing, now)
    numbers = {timing.block_of(one.placed_at) for one in orders}
    stored = dict(
        models.EvidenceBlock.objects.filter(evidence=row, number__in=numbers).values_list(
            "number", "sums"
        )
    )
    tally = Tally(
        timing,
        Evidence(threshold=row.threshold),
        {number: _sums(text) for number, text in stored.items()},
        row.closed_until,
        row.settled_until,
        row.late,
        row.lost,
        row.bad,
    )
    room = MOST_BLOCKS - models.EvidenceBlock.objects.filter(evidence=row).count()
    for one in orders:
        if one.order is None:
            tally.late += 1
        elif (
            timing.block_of(one.placed_at) in tally.blocks or len(tally.blocks) - len(stored) < room
        ):
            tally.add(one.order)
        else:
            tally.lost += 1
    _save_blocks(row, tally.blocks)
    row.coverage = _covered(row.coverage, orders)
    row.late, row.lost, row.bad, row.newest_at = tally.late, tally.lost, tally.bad, now
    row.revision += any(number < (row.closed_until or 0) for number in numbers)
    row.save(update_fields=["coverage", "late", "lost", "bad", "newest_at", "revision"])


def timing_of(row: models.Evidence) -> Timing:
    """The timing of an evidence, which it keeps for good."""
    return Timing(**row.timing)


def whole_tally(row: models.Evidence) -> Tally:
    """All of an evidence in one."""
    blocks = models.EvidenceBlock.objects.filter(evidence=row).values_list("number", "sums")
    settled = Evidence.from_json(msgspec.json.decode(row.settled)) if row.settled else Evidence()
    return Tally(
        timing_of(row),
        settled,
        {number: _sums(text) for number, text in blocks},
        row.closed_until,
        row.settled_until,
        row.late,
        row.lost,
        row.bad,
    )


def close_until(row: models.Evidence, at: datetime) -> Tally | None:
    """Let the blocks of an evidence count that are over at a time; None if none is that was not."""
    timing = timing_of(row)
    if row.closed_until is not None and timing.closed_at(at.timestamp()) <= row.closed_until:
        return None
    tally = whole_tally(row)
    numbers, was_frozen = set(tally.blocks), tally.settled.threshold is not None
    tally.close(at.timestamp())
    settled = numbers - tally.blocks.keys()
    if settled:
        models.EvidenceBlock.objects.filter(evidence=row, number__in=settled).delete()
        row.settled = _json(tally.settled.to_json())
        row.threshold = tally.settled.threshold
    if row.threshold is not None and not was_frozen:
        _save_blocks(row, tally.blocks)
    row.closed_until, row.settled_until = tally.closed_until, tally.settled_until
    row.revision += 1
    return tally


#: Columns that ``close_until`` changes.
CLOSED = ("settled", "threshold", "closed_until", "settled_until", "revision")


def coverage_of(row: models.Evidence) -> Coverage:
    """The orders seen by shape."""
    return Coverage.from_json(msgspec.json.decode(row.coverage)) if row.coverage else Coverage()


def _row(
    launch: UUID, version: str, builds: Builds, timing: Timing, now: datetime
) -> models.Evidence:
    epoch = _json([FORMAT, builds.control, builds.version, asdict(timing)])
    row, _ = models.Evidence.objects.get_or_create(
        launch=launch,
        version=version,
        key=hashlib.sha256(epoch.encode()).hexdigest(),
        defaults={
            "control_build": builds.control,
            "version_build": builds.version,
            "timing": asdict(timing),
            "started_at": now,
            "newest_at": now,
        },
    )
    return row


def _covered(stored: str, orders: Iterable[Weighed]) -> str:
    new = [(one.shapes, one.order.shown) for one in orders if one.order is not None and one.shapes]
    if not new:
        return stored
    coverage = Coverage.from_json(msgspec.json.decode(stored)) if stored else Coverage()
    for shapes, shown in new:
        coverage.add(shapes, shown)
    return _json(coverage.to_json())


def _save_blocks(row: models.Evidence, blocks: Mapping[int, BlockSums]) -> None:
    models.EvidenceBlock.objects.bulk_create(
        [
            models.EvidenceBlock(evidence=row, number=number, sums=_json(sums.to_json()))
            for number, sums in blocks.items()
        ],
        update_conflicts=True,
        unique_fields=("evidence", "number"),
        update_fields=("sums",),
    )


def _sums(text: str) -> BlockSums:
    return BlockSums.from_json(msgspec.json.decode(text))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
