"""Reads the stored evidence of each version, and closes its blocks that are over.

What the domain's tally keeps in one object lies here in rows, so that adding reads and writes only
the blocks that orders fall into; closing puts the whole together, once a sweep.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from django.conf import settings

from dashboard import models
from dashboard.models.bulk import upsert
from dashboard.verdict.blocks import BlockSums
from dashboard.verdict.coverage import Coverage
from dashboard.verdict.evidence import Evidence
from dashboard.verdict.tally import Tally
from dashboard.verdict.timing import LEAST_BLOCK_S, LONGEST_BLOCK_S, Timing
from restaurant.environment import MOST_BLOCKS_A_DEADLINE


def timing_in_force() -> Timing:
    """The timing that the settings ask for; without a length of blocks it is chosen by the rate."""
    environment = settings.ENVIRONMENT
    least_s = max(LEAST_BLOCK_S, math.ceil(environment.deadline_s / MOST_BLOCKS_A_DEADLINE))
    return Timing(
        block_s=environment.block_s or least_s,
        longest_s=0.0 if environment.block_s else LONGEST_BLOCK_S,
        deadline_s=environment.deadline_s,
        warm_up_s=environment.warm_up_s,
    )


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
        {number: sums_in(text) for number, text in blocks},
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
        row.settled = as_text(tally.settled.to_json())
        row.threshold = tally.settled.threshold
    if row.threshold is not None and not was_frozen:
        save_blocks((row.pk, number, sums) for number, sums in tally.blocks.items())
    row.closed_until, row.settled_until = tally.closed_until, tally.settled_until
    row.revision += 1
    return tally


#: Columns that ``close_until`` changes.
CLOSED = ("settled", "threshold", "closed_until", "settled_until", "revision")


def coverage_of(row: models.Evidence) -> Coverage:
    """The orders seen by shape."""
    return coverage_in(row.coverage)


def coverage_in(text: str) -> Coverage:
    """The orders seen by shape, as they are stored."""
    return Coverage.from_json(msgspec.json.decode(text)) if text else Coverage()


def save_blocks(blocks: Iterable[tuple[int, int, BlockSums]]) -> None:
    """Write blocks, each of an evidence and with a number."""
    upsert(
        models.EvidenceBlock,
        ("evidence_id", "number", "sums"),
        [(evidence, number, as_text(sums.to_json())) for evidence, number, sums in blocks],
        key=("evidence_id", "number"),
        updated=("sums",),
    )


def sums_in(text: str) -> BlockSums:
    """A block as it is stored."""
    return BlockSums.from_json(msgspec.json.decode(text))


def as_text(value: Any) -> str:
    """JSON text for a column."""
    return msgspec.json.encode(value).decode()
