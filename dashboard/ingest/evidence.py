"""Reads the stored evidence of each version and closes its finished blocks.

A tally's blocks are stored as rows, so that a batch of orders writes only the blocks it changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from django.conf import settings

from dashboard import models
from dashboard.models.sql import upsert
from dashboard.verdict.blocks import LEAST_BLOCK_S, LONGEST_BLOCK_S, BlockSums, Timing
from dashboard.verdict.coverage import Coverage
from dashboard.verdict.evidence import EvidenceTotals, Tally
from restaurant.environment import MOST_BLOCKS_A_DEADLINE


def timing_in_force() -> Timing:
    """The timing by the settings; without a block length there, the order rate decides it."""
    environment = settings.ENVIRONMENT
    least_s = max(LEAST_BLOCK_S, math.ceil(environment.deadline_s / MOST_BLOCKS_A_DEADLINE))
    return Timing(
        block_s=environment.block_s or least_s,
        longest_s=0.0 if environment.block_s else LONGEST_BLOCK_S,
        deadline_s=environment.deadline_s,
        warm_up_s=environment.warm_up_s,
    )


def timing_of(row: models.Evidence) -> Timing:
    """The timing of evidence; it never changes."""
    return Timing(**row.timing)


def whole_tally(row: models.Evidence) -> Tally:
    blocks = models.EvidenceBlock.objects.filter(evidence=row).values_list("number", "sums")
    settled = (
        EvidenceTotals.from_json(msgspec.json.decode(row.settled))
        if row.settled
        else EvidenceTotals()
    )
    return Tally(
        timing_of(row),
        settled,
        {number: BlockSums.from_json(msgspec.json.decode(text)) for number, text in blocks},
        row.closed_until,
        row.settled_until,
        row.late,
        row.lost,
        row.bad,
    )


def closes(row: models.Evidence, at: datetime) -> bool:
    """Whether a block has finished by this time that is not closed yet."""
    return row.closed_until is None or timing_of(row).closed_at(at.timestamp()) > row.closed_until


def close_until(row: models.Evidence, at: datetime) -> bool:
    """Close the blocks finished by this time, so that they count; returns whether there are any.
    The caller saves the columns in CLOSED."""
    if not closes(row, at):
        return False
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
    return True


#: Columns that ``close_until`` changes.
CLOSED = ("settled", "threshold", "closed_until", "settled_until", "revision")


def coverage_of(row: models.Evidence) -> Coverage:
    return Coverage.from_json(msgspec.json.decode(row.coverage)) if row.coverage else Coverage()


def save_blocks(blocks: Iterable[tuple[int, int, BlockSums]]) -> None:
    """Write blocks, each with the id of its evidence and its number."""
    upsert(
        models.EvidenceBlock,
        ("evidence_id", "number", "sums"),
        [(evidence, number, as_text(sums.to_json())) for evidence, number, sums in blocks],
        key=("evidence_id", "number"),
        updated=("sums",),
    )


def as_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
